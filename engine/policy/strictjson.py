"""JSON text to plain values, refusing everything that two readers could understand differently.

Floats, integers beyond 2**53 - 1, doubled keys, keys outside ASCII, strings that are not in NFC or
hold U+0000 all have readers that disagree about them, so that equal digests would not mean equal
values.
What shape a document has is checked elsewhere.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.core.errors import Malformed
from engine.policy.problems import Problem, found, pointer, refuse

INT_MAX: Final = 2**53 - 1
_DEPTH_MAX: Final = 64


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, doubled keys included."""


class _Number(str):
    """A number that is no plain integer, as it was written."""

    __slots__ = ()


def read_strict(content: bytes, *, where: str) -> Any:
    """Read JSON text.

    Raises:
        Malformed: naming `where` and, for every problem found, the JSON pointer.
    """
    try:
        written = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_Pairs,
            parse_float=_Number,
            parse_constant=_Number,
            parse_int=_integer,
        )
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    except json.JSONDecodeError as error:
        raise Malformed(
            f"expected JSON, found {error.msg.lower()} in line {error.lineno}, "
            f"column {error.colno}",
            where=where,
        ) from error
    except RecursionError as error:
        raise Malformed(f"expected at most {_DEPTH_MAX} levels, found more", where=where) from error
    problems: list[Problem] = []
    value = _plain(written, (), problems)
    problems += value_problems(value)
    refuse(problems, where=where)
    return value


def _integer(text: str) -> int | _Number:
    # Python refuses to read integers of thousands of digits at all; such a text is no integer
    # of ours either, so it takes the way of the other bad numbers.
    return int(text) if len(text) <= 20 else _Number(text)


def _plain(written: Any, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    """`written` with objects as dicts; doubled keys and bad numbers become problems."""
    if len(path) > _DEPTH_MAX:
        problems.append(
            Problem(
                where=pointer(*path), rule="depth", message=f"expected at most {_DEPTH_MAX} levels"
            )
        )
        return None
    if isinstance(written, _Number):
        problems.append(
            Problem(
                where=pointer(*path),
                rule="float",
                message=f"expected an integer of at most 2^53 - 1, found {written[:_DEPTH_MAX]}",
            )
        )
        return None
    if isinstance(written, _Pairs):
        plain: dict[str, Any] = {}
        for key, value in written:
            if key in plain:
                problems.append(
                    Problem(
                        where=pointer(*path, key),
                        rule="doubled-key",
                        message="expected each key once, found it twice",
                    )
                )
            plain[key] = _plain(value, (*path, key), problems)
        return plain
    if isinstance(written, list):
        return [_plain(item, (*path, n), problems) for n, item in enumerate(written)]
    return written


def plain_texts(blob: bytes) -> bool:
    """Whether all texts in canonical JSON are in NFC and without U+0000.

    Quotes stand between texts, so all of them are in NFC when the whole is. A zero character can
    only be written as its escape.
    """
    if b"\\u0000" in blob:
        return False
    return blob.isascii() or unicodedata.is_normalized("NFC", blob.decode())


def value_problems(value: object) -> list[Problem]:
    """Everything in `value` that cannot be hashed or compared alike everywhere."""
    return list(_walk(value, ()))


def _walk(value: object, path: tuple[str | int, ...]) -> Iterator[Problem]:
    match value:
        case None | bool():
            return
        case int():
            if abs(value) > INT_MAX:
                yield _bad(path, "integer", "an integer of at most 2^53 - 1", value)
        case str():
            if not value.isascii() or "\0" in value:
                yield from _text_problems(value, path)
        case list() | tuple():
            for n, item in enumerate(value):
                yield from _walk(item, (*path, n))
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str) or not key.isascii() or "\0" in key:
                    yield _bad((*path, str(key)), "key", "a key of ASCII characters", key)
                yield from _walk(item, (*path, str(key)))
        case float():
            yield _bad(path, "float", "an integer, floats differ between readers", value)
        case _:
            yield _bad(path, "type", "a JSON value", type(value).__name__)


def _text_problems(value: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    try:
        value.encode()
    except UnicodeEncodeError:
        yield _bad(path, "unicode", "Unicode text without lone surrogates", value)
        return
    if "\0" in value:  # the first engine ends a text there, so that "ciso\0x" would equal "ciso"
        yield _bad(path, "nul", "text without U+0000", value)
    if not unicodedata.is_normalized("NFC", value):
        yield _bad(path, "nfc", "text in Unicode form NFC", value)


def _bad(path: tuple[str | int, ...], rule: str, expected: str, value: object) -> Problem:
    return Problem(
        where=pointer(*path), rule=rule, message=f"expected {expected}, found {found(value)}"
    )
