"""Everything outside that a run's effects may touch, in one value built by the wiring."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.catalog import Catalog
from engine.ports import (
    Clock,
    DeployDriver,
    EventStore,
    MetricSource,
    SecretSource,
)
from engine.ports_observed import BurnSource, RuntimeSource
from engine.settings import Settings
from engine.verdicts import PolicyDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The adapters of one environment. `burn` None: nobody counts what its users got."""

    driver: DeployDriver
    metrics: MetricSource
    runtime: RuntimeSource | None
    burn: BurnSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Attributes:
    places: by environment name.
    secrets: by scheme (env, file, ...).
    """

    store: EventStore
    clock: Clock
    settings: Settings
    catalog: Catalog
    desk: PolicyDesk
    places: Mapping[str, Place]
    secrets: Mapping[str, SecretSource]
    interrupts: Interrupts = field(default_factory=lambda: Interrupts())


class Interrupts:
    """One flag per run: a command arrived, so an effect under way should stop between targets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flags: dict[str, threading.Event] = {}

    def flag(self, run_id: str) -> threading.Event:
        """The flag of the effect that begins now, lowered."""
        with self._lock:
            flag = self._flags[run_id] = threading.Event()
            return flag

    def raise_for(self, run_id: str) -> None:
        with self._lock:
            flag = self._flags.get(run_id)
        if flag is not None:
            flag.set()
