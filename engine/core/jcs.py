"""Canonical JSON bytes for everything that is hashed or signed (RFC 8785).

The one canonicaliser of the house. Signed documents hold no floats: RFC 8785 would have us
print them as ECMAScript does, and no two libraries agree on the corners. Ratios are basis
points, durations whole seconds, milliseconds or microseconds; what remains of the RFC is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

JsonValue: TypeAlias = "bool | int | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

_INT_MAX: Final = 2**53 - 1
_BEYOND: Final = re.compile("[\U00010000-\U0010ffff]")
# `default` is asked for mappings that are no dict; everything else was refused before.
_BY_CHARACTER: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=dict
)
_AS_GIVEN: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value` as UTF-8, without a trailing newline.

    Raises:
        ValueError: an integer is not exact in every JSON reader (beyond 2**53 - 1).
        TypeError: a float, bytes or another type that may not be signed.
        UnicodeEncodeError: a string holds a lone surrogate, which is not Unicode text.
    """
    _check(value)
    # Python's own writer, which is in C, escapes as RFC 8785, 3.2.2.2 has it, and sorts keys by
    # character. The RFC (3.2.3) wants UTF-16 code units: another order beyond U+FFFF only.
    text = _BY_CHARACTER.encode(value)
    if _BEYOND.search(text):
        text = _AS_GIVEN.encode(_by_code_unit(value))
    return text.encode()


def _check(whole: object) -> None:
    pending = [whole]
    for value in pending:  # it grows on the way
        if isinstance(value, list | tuple):
            pending += [one for one in value if type(one) is not str]
        elif isinstance(value, dict | Mapping):  # most are dicts, and those are told faster
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"{type(key).__name__} may not be a key in a signed document")
            pending += [one for one in value.values() if type(one) is not str]
        elif isinstance(value, int):  # a truth value too
            if abs(value) > _INT_MAX:
                raise ValueError(f"integer {value} is not exact in every JSON reader")
        elif value is not None and not isinstance(value, str):
            raise TypeError(f"{type(value).__name__} may not appear in a signed document")


def _by_code_unit(value: Any) -> Any:
    """A copy whose mappings have their keys in UTF-16 code-unit order."""
    match value:
        case list() | tuple():
            return [_by_code_unit(one) for one in value]
        case Mapping():
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return {key: _by_code_unit(value[key]) for key in keys}
        case _:
            return value
