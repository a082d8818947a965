"""Integrations, as answers. Times are UTC, epoch microseconds; null: never."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import PageOf, closed


@closed
class LookDoc(TypedDict):
    """One look. `latency_ms` null: it got no answer."""

    at_us: int
    level: str
    latency_ms: int | None


@closed
class IntegrationDoc(TypedDict):
    """An integration as it is known now. `level` is OK, WARN, FAIL or UNKNOWN, since `since_us`;
    `depends`: what rests on it."""

    name: str
    kind: str
    address: str
    level: str
    reason: str
    since_us: int | None
    last_us: int | None
    last_good_us: int | None
    latency_ms: int | None
    looking: bool
    depends: list[str]
    course: list[LookDoc]


@closed
class IntegrationsDoc(PageOf[IntegrationDoc]):
    """`every_s`: between two looks at each."""

    every_s: int
