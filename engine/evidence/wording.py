"""What was expected and what was found, in words that a person can read: digest, name, time.

What a stranger wrote comes out as one line of printable signs, so that no file can draw lines of
its own into a report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical

NOTHING: Final = "nothing"
_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONG: Final = 240
# So many places of two documents are told; the first ones, for who reads more has the files.
_PARTS_MAX: Final = 6
_BEFORE: Final = 24


def moment(at_s: int) -> str:
    """UTC seconds as a date and a time with its zone."""
    try:
        return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"second {at_s} of 1970"


def span(start_s: int, end_s: int | None) -> str:
    """From one moment to another, or until now."""
    return f"from {moment(start_s)} to {'now' if end_s is None else moment(end_s)}"


def worded(value: object) -> str:
    """One value, on one line."""
    match value:
        case None | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case bytes():
            return value.hex()
        case NamedDigest():
            return f"{value.name} with {value.digest}"
        case Mapping():
            return _of_mapping(value)
        case list() | tuple():
            return ", ".join(map(worded, value)) or NOTHING
        case _:
            return str(value)


def both(expected: object, found: object) -> tuple[str, str]:
    """Two values that differ, each in words; of two documents only what differs in them."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        parts = list(islice(_apart(expected, found, ""), _PARTS_MAX))
        if parts:
            return ", ".join(a.strip() for a, _ in parts), ", ".join(b.strip() for _, b in parts)
    if isinstance(expected, str) and isinstance(found, str):
        return _texts(expected, found)
    return worded(expected), worded(found)


def plain(text: str) -> str:
    """Printable signs only, and no more than a person reads."""
    line = "".join(_printed(sign) for sign in text[: 4 * _LONG])
    return line if len(text) <= 4 * _LONG else f"{line}… ({len(text)} signs)"


def _printed(sign: str) -> str:
    # A backslash is doubled, so that nobody can write what stands for another sign.
    return sign if sign.isprintable() and sign != "\\" else sign.encode("unicode_escape").decode()


def _of_mapping(value: Mapping[Any, Any]) -> str:
    if _is_digest(value):
        return str(Digest(value["sha256"]))
    if set(value) == {"name", "digest"}:
        return f"{value['name']} with {worded(value['digest'])}"
    return ", ".join(f"{key} {worded(value[key])}" for key in sorted(value, key=str)) or NOTHING


def _is_digest(value: Any) -> bool:
    found = value.get("sha256") if isinstance(value, Mapping) else None
    return (
        isinstance(value, Mapping)
        and set(value) == {"sha256"}
        and isinstance(found, str)
        and bool(_HEX64.fullmatch(found))
    )


def _apart(expected: Any, found: Any, at: str) -> Iterator[tuple[str, str]]:
    """Each place where two documents differ, as deep as it lies, with what is there in each."""
    if canonical([expected]) == canonical([found]):  # to Python, 1 and true are the same
        return
    both_digests = _is_digest(expected) and _is_digest(found)
    if isinstance(expected, Mapping) and isinstance(found, Mapping) and not both_digests:
        for key in sorted({*expected, *found}, key=str):
            spot = f"{at}.{key}" if at else str(key)
            if key in expected and key in found:
                yield from _apart(expected[key], found[key], spot)
            elif key in expected:
                yield f"{spot} {worded(expected[key])[:_LONG]}", f"no {spot}"
            else:
                yield f"no {spot}", f"{spot} {worded(found[key])[:_LONG]}"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _apart(one, other, f"{at}[{number}]")
    elif isinstance(expected, str) and isinstance(found, str):
        wanted, there = _texts(expected, found)
        yield f"{at} {wanted}", f"{at} {there}"
    else:
        yield f"{at} {worded(expected)[:_LONG]}", f"{at} {worded(found)[:_LONG]}"


def _texts(expected: str, found: str) -> tuple[str, str]:
    """Of long ones the part where they part."""
    if max(len(expected), len(found)) <= _LONG:
        return expected or NOTHING, found or NOTHING
    same = next(
        (n for n, (one, other) in enumerate(zip(expected, found, strict=False)) if one != other),
        min(len(expected), len(found)),
    )
    start = max(0, same - _BEFORE)
    return _part(expected, start, same), _part(found, start, same)


def _part(text: str, start: int, same: int) -> str:
    if same >= len(text):
        return f"{text[start:]} (ends at sign {same})" if text else NOTHING
    end = start + _LONG // 2
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    return f"{head}{text[start:end]}{tail} (from sign {same})"
