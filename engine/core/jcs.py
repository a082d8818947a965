"""Canonical JSON bytes for everything that is hashed or signed (RFC 8785).

The one canonicaliser of the house. Signed documents hold no floats: RFC 8785 would have us
print them as ECMAScript does, and no two libraries agree on the corners. Ratios are basis
points, durations whole seconds, milliseconds or microseconds; what remains of the RFC is short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

JsonValue: TypeAlias = "bool | int | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

_INT_MAX: Final = 2**53 - 1


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of `value` as UTF-8, without a trailing newline.

    Raises:
        ValueError: an integer is not exact in every JSON reader (beyond 2**53 - 1).
        TypeError: a float, bytes or another type that may not be signed.
        UnicodeEncodeError: a string holds a lone surrogate, which is not Unicode text.
    """
    return _write(value).encode()


def _write(value: JsonValue) -> str:
    match value:
        case None | True | False:
            return json.dumps(value)
        case int():
            if abs(value) > _INT_MAX:
                raise ValueError(f"integer {value} is not exact in every JSON reader")
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return "[" + ",".join(_write(item) for item in value) + "]"
        case Mapping():
            wrong = [type(key).__name__ for key in value if not isinstance(key, str)]
            if wrong:
                raise TypeError(f"{wrong[0]} may not be a key in a signed document")
            # RFC 8785, 3.2.3: keys go in UTF-16 code-unit order, which is not Python's order
            # for characters beyond U+FFFF.
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            pairs = (f"{json.dumps(key, ensure_ascii=False)}:{_write(value[key])}" for key in keys)
            return "{" + ",".join(pairs) + "}"
        case _:
            raise TypeError(f"{type(value).__name__} may not appear in a signed document")
