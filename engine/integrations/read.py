"""What pages and API tell about the integrations: each as it is known now, and what rests on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.core.data_health import Look
from engine.integrations.desk import HealthDesk
from engine.integrations.prober import Prober


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationRow:
    """Fields as in `engine.core.data_health.Integration`.

    Attributes:
        address: what is asked, without secrets.
        looking: it is being looked at right now.
        depends: what rests on it, in words.
    """

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
    depends: tuple[str, ...]
    course: tuple[Look, ...]


class _House(Protocol):
    @property
    def prober(self) -> Prober: ...

    @property
    def health(self) -> HealthDesk: ...


def look(house: _House) -> tuple[IntegrationRow, ...]:
    """Every integration, in the order of the settings."""
    addresses, looking = house.prober.addresses(), house.prober.looking()
    return tuple(
        IntegrationRow(
            name=one.name,
            kind=one.kind,
            address=addresses[one.name],
            level=one.level.value,
            reason=one.reason,
            since_us=one.since_us,
            last_us=one.last_us,
            last_good_us=one.last_good_us,
            latency_ms=one.latency_ms,
            looking=one.name in looking,
            depends=tuple(by.text for by in house.health.depends(one.name)),
            course=one.course,
        )
        for one in house.prober.integrations()
    )
