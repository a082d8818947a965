"""What was expected and what was found, in words that a person can read: digest, name, time.

What a stranger wrote comes out as one line of printable signs, so that no file can draw lines of
its own into a report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical

NOTHING: Final = "nothing"
_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LONG: Final = 240
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
        every = sorted({*expected, *found}, key=str)
        keys = [key for key in every if _differ(key, expected, found)]
        if keys and not _is_digest(expected):
            return _members(expected, keys), _members(found, keys)
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


def _is_digest(value: Mapping[Any, Any]) -> bool:
    found = value.get("sha256")
    return set(value) == {"sha256"} and isinstance(found, str) and bool(_HEX64.fullmatch(found))


def _differ(key: Any, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> bool:
    """By their JSON: to Python, 1 and true are the same."""
    if (key in expected) != (key in found):
        return True
    return canonical([expected[key]]) != canonical([found[key]])


def _members(value: Mapping[Any, Any], keys: list[Any]) -> str:
    return ", ".join(f"{key} {worded(value[key])}" if key in value else f"no {key}" for key in keys)


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
