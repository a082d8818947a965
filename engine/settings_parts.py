"""The kinds of values that several sections of the settings are made of."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"

Name = Annotated[
    str,
    Field(pattern=_NAME, description="lower-case letters, digits, dot, dash, underscore"),
]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class RateLimitSection(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 400
