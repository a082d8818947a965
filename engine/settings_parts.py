"""The kinds of values that several sections of the settings are made of."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

_NAME: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"

Name = Annotated[
    str,
    Field(pattern=_NAME, description="lower-case letters, digits, dot, dash, underscore"),
]
Text = Annotated[str, Field(min_length=1, max_length=500)]
