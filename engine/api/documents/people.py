"""What the API says of people: who somebody is, their links, tokens and sessions."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import closed


@closed
class WhoDoc(TypedDict):
    """`scopes`, `environments`: what the token is limited to; empty = to what the roles give."""

    user: str
    method: str
    service: bool
    key: str
    scopes: list[str]
    environments: list[str]


@closed
class LinkDoc(TypedDict):
    """`secret` is shown with the first answer only; null when the same key asks again."""

    user: str
    secret: str | None


@closed
class ReleasedDoc(TypedDict):
    released: str


@closed
class RevokedDoc(TypedDict):
    revoked: str


@closed
class SessionDoc(TypedDict):
    """`id` is no secret. `ends_us`: when it ends without a further click."""

    id: str
    user: str
    method: str
    issuer: str
    opened_us: int
    used_us: int
    ends_us: int
    expires_us: int
    current: bool


@closed
class TokenMadeDoc(TypedDict):
    """`token` is shown with the first answer only; null when the same key asks again."""

    id: str
    user: str
    token: str | None
    scopes: list[str]
    environments: list[str]
    expires_us: int


@closed
class TokenDoc(TypedDict):
    """A token in force, without its secret. `used_us` null: never used."""

    id: str
    user: str
    service: bool
    scopes: list[str]
    environments: list[str]
    created_by: str
    created_us: int
    expires_us: int
    used_us: int | None
