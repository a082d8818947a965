"""Reading JSON that a stranger wrote: no duplicate keys, no floats, no surprises in shape.

Two readers that disagree about one document are how signed things come to mean something else, so
whatever another reader might take differently is refused here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Mapping, Set
from typing import Any, Final, NoReturn

from engine.core.errors import Malformed

# The largest that every reader of JSON holds exactly (RFC 8259, section 6).
INTEGER_MAX: Final = 2**53 - 1
# Deeper documents are no evidence; Python's own reader would only stop at its recursion limit.
_DEPTH_MAX: Final = 64
# What opens and closes, and strings, which hide both; one that is never closed hides the rest.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_SHAPE: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]}]', re.DOTALL)


def parse_object(content: bytes, *, where: str, fractions: bool = False) -> dict[str, Any]:
    """Read one JSON object, as `parse` does. Raises `Malformed` for anything else."""
    value = parse(content, where=where, fractions=fractions)
    if not isinstance(value, dict):
        raise Malformed(f"expected an object, found {type(value).__name__}", where=where)
    return value


def parse(content: bytes, *, where: str, fractions: bool = False) -> Any:
    """Read one JSON value in UTF-8 without floats and without a key that stands twice.

    Args:
        fractions: let numbers with a fraction or an exponent pass, as their text, and integers of
            any size: documents of others hold them, and ours never do.

    Raises:
        Malformed: also for half of a surrogate pair, which is no character, and, without
            `fractions`, for an integer that not every reader holds exactly.
    """
    try:
        decoded = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8, found byte {error.start}", where=where) from None

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(found)
        if len(result) != len(found):
            twice = sorted(key for key, n in Counter(key for key, _ in found).items() if n > 1)
            raise Malformed(f"key {twice[0]!r} stands twice", where=where)
        return result

    def refuse(number: str) -> NoReturn:
        raise Malformed(f"expected integers only, found {number[:40]}", where=where)

    def exact(number: str) -> int:
        # 17 signs hold every such integer; Python itself refuses only beyond 4,300 digits.
        value = int(number) if len(number) <= 17 else INTEGER_MAX + 1
        if abs(value) > INTEGER_MAX or number == "-0":
            raise Malformed(f"expected exact integers, found {number[:40]}", where=where)
        return value

    _check_depth(decoded, where)
    try:
        value = json.loads(
            decoded,
            object_pairs_hook=pairs,
            parse_float=str if fractions else refuse,
            parse_int=None if fractions else exact,
            parse_constant=refuse,
        )
        if _SURROGATE.search(decoded):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise Malformed(f"expected JSON: {error}", where=where) from None


def _check_depth(decoded: str, where: str) -> None:
    depth = 0
    for found in _SHAPE.finditer(decoded):
        if found[0] in ("[", "{"):
            depth += 1
            if depth > _DEPTH_MAX:
                raise Malformed(f"nested deeper than {_DEPTH_MAX}", where=where)
        elif found[0] in ("]", "}"):
            depth -= 1


def fields(
    value: Any, required: Set[str], *, optional: Set[str] = frozenset(), where: str
) -> Mapping[str, Any]:
    """Return `value` when it is an object with these keys and no others."""
    if not isinstance(value, Mapping):
        raise Malformed(f"expected an object, found {type(value).__name__}", where=where)
    for key in sorted(required - value.keys()):
        raise Malformed(f"expected the key {key!r}, found none", where=where)
    for key in sorted(value.keys() - required - optional):
        raise Malformed(f"unknown key {key!r}", where=where)
    return value


def text(value: Mapping[str, Any], key: str, *, where: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise Malformed(f"expected text, found {type(found).__name__}", where=f"{where}.{key}")
    return found


def integer(value: Mapping[str, Any], key: str, *, where: str) -> int:
    """A whole number, written as one or, as protobuf's JSON does, as a decimal string."""
    found = value.get(key)
    number = found
    if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) <= 16:
        number = int(found)
        if found != str(number):
            raise Malformed(f"expected a plain number, found {found!r}", where=f"{where}.{key}")
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= INTEGER_MAX:
        return number
    raise Malformed(f"expected a number, found {str(found)[:40]!r}", where=f"{where}.{key}")


def base64_of(value: Mapping[str, Any], key: str, *, where: str) -> bytes:
    """Standard base64 in exactly one spelling: padded, and nothing in the spare bits."""
    found = text(value, key, where=where)
    try:
        decoded = base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("expected base64", where=f"{where}.{key}") from None
    if base64.b64encode(decoded).decode() != found:
        raise Malformed("expected base64 in its one spelling", where=f"{where}.{key}")
    return decoded
