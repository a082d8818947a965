"""The kinds of values that several sections of the settings are made of."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION: Final = re.compile(r"([0-9]{1,6})(ms|s|m|h)", re.ASCII)


def duration_ms(text: str) -> int:
    """`5m` in milliseconds. Raises `ValueError` for any other text."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS_MS[match[2]]


def _duration(text: str) -> str:
    try:
        duration_ms(text)
    except ValueError:
        raise PydanticCustomError("duration", "a duration like 30s, 5m or 24h") from None
    return text


Name = Annotated[
    str,
    Field(pattern=_NAME, description="lower-case letters, digits, dot, dash, underscore"),
]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Duration = Annotated[
    str,
    AfterValidator(_duration),
    Field(json_schema_extra={"pattern": r"^[0-9]{1,6}(ms|s|m|h)$"}, description="like 30s, 5m"),
]


class RateLimitSection(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 400
