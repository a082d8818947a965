"""The rooms of a running house, in one value. `engine.wiring` builds it; doors receive it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.approving.views import Views
from engine.archiving import Archivist
from engine.attestations import Attestations
from engine.blocking import Blocking
from engine.catalog import Catalog
from engine.feeds_desk import FeedDesk
from engine.feeds_files import FeedFiles
from engine.fleet.control import Fleet
from engine.freezing import Freezing
from engine.hooks.room import HookRoom
from engine.identity import Identity
from engine.integrations.desk import HealthDesk
from engine.integrations.prober import Prober
from engine.integrity import Integrity
from engine.logbook import LogBook
from engine.orchestrator import Orchestrator
from engine.outside import Outside
from engine.policy_book import PolicyBook
from engine.ports import Clock
from engine.replaying import Replaying
from engine.rescans import Rescans
from engine.retention import Retention
from engine.runner import Runner
from engine.scheduling import Scheduling
from engine.sealing import Sealer
from engine.service import Service
from engine.settings import Settings
from engine.trail.reading import Trail
from engine.vitals import VitalsDesk
from engine.waiving import Waiving
from engine.worker import Worker

if TYPE_CHECKING:  # `data` implements ports; only the wiring and the doors see it by name
    from data.store import Store
    from engine.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Attributes:
    fleets: the embedded local fleet of each environment that has one, by its name.
    stop: closes everything; the fleets go on serving.
    """

    home: Path
    settings: Settings
    clock: Clock
    store: Store
    identity: Identity
    catalog: Catalog
    attestations: Attestations
    service: Service
    scheduling: Scheduling
    views: Views
    freezing: Freezing
    waiving: Waiving
    feeds: FeedDesk
    feed_files: FeedFiles
    policies: PolicyBook
    blocking: Blocking
    outside: Outside
    prober: Prober
    health: HealthDesk
    sealer: Sealer
    logbook: LogBook
    runner: Runner
    worker: Worker
    archivist: Archivist
    retention: Retention
    integrity: Integrity
    replaying: Replaying
    rescans: Rescans
    hooks: HookRoom
    trail: Trail
    vitals: VitalsDesk
    orchestrator: Orchestrator
    live: Live
    fleets: Mapping[str, Fleet]
    engine_id: str
    stop: Callable[[], None]
