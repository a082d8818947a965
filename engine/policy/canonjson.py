"""JSON that we wrote ourselves, read at the speed of the standard library.

Whoever reads thousands of frozen parts can't afford a look at every value. Bytes that are exactly
what our own writer makes of the value they give hold no doubled key and no second way to write the
same; what is left to look for is looked for in the text as a whole. Everything else goes the way of
`read_strict`, with its errors.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from engine.policy.strictjson import plain_texts, read_strict

_INT_DIGITS_MAX: Final = 15
_WRITER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def read_canonical(content: bytes, *, where: str) -> tuple[Any, bool]:
    """The value of `content`, and whether its bytes are our own canonical ones.

    Depth and key names are not looked at when they are: the shape of the document says both.

    Raises:
        Malformed: as `read_strict`, for what is not canonical.
    """
    try:
        value = json.loads(
            content.decode(), parse_float=_refuse, parse_constant=_refuse, parse_int=_integer
        )
        if plain_texts(content) and _WRITER.encode(value).encode() == content:
            return value, True
    except (ValueError, RecursionError):
        pass  # said in full below
    return read_strict(content, where=where), False


def _integer(text: str) -> int:
    if len(text) > _INT_DIGITS_MAX:
        raise ValueError(text)
    return int(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)
