"""What the alarm clock calls, and the worker that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from data.store import Store
from engine.core.house import EngineWatchdog
from engine.core.retirement import DAY_US
from engine.feeds_desk import FeedDesk
from engine.feeds_due import LOOK_EVERY_S as FEEDS_EVERY_S
from engine.feeds_due import FeedsDue
from engine.hooks.room import HookRoom, hook_room
from engine.identity import Identity
from engine.identity.used import SAVE_EVERY_S
from engine.integrations.prober import Prober
from engine.integrity import LOOK_EVERY_S as INTEGRITY_EVERY_S
from engine.integrity import Integrity
from engine.orchestrator import Orchestrator
from engine.outside import Outside
from engine.ports import Clock
from engine.recording import append_to
from engine.replaying import Replaying
from engine.rescans import LOOK_EVERY_S as RESCANS_EVERY_S
from engine.rescans import Rescans
from engine.retention import LOOK_EVERY_S, Retention
from engine.runner import Runner
from engine.scheduling_runs import ScheduleRuns
from engine.service import Service
from engine.settings import Settings
from engine.trail.reading import Trail
from engine.troubles import Troubles
from engine.vitals import MEASURE_EVERY_S, VitalsDesk
from engine.waiving import Waiving
from engine.worker import Chore, Worker


def rescans_of(outside: Outside) -> Rescans:
    return Rescans(
        store=outside.store,
        clock=outside.clock,
        settings=outside.settings,
        catalog=outside.catalog,
        feeds=outside.desk.feeds,
        blobs=outside.settings.home / "blobs",
    )


def hooks_of(
    store: Store,
    outside: Outside,
    input_key: bytes,
    service: Service,
    worker: Worker,
    rescans: Rescans,
    integrity: Integrity,
) -> HookRoom:
    settings, clock = outside.settings, outside.clock
    troubles = Troubles(
        store=store,
        clock=clock,
        settings=settings,
        worker=worker,
        rescans=rescans,
        integrity=integrity,
    )
    waiving = waiving_of(outside, worker)
    return hook_room(settings, store, clock, input_key, service, outside.catalog, troubles, waiving)


def waiving_of(outside: Outside, worker: Worker) -> Waiving:
    return Waiving(
        store=outside.store,
        settings=outside.settings,
        clock=outside.clock,
        catalog=outside.catalog,
        desk=outside.desk,
        wake=worker.wake,
    )


def orchestrator_of(
    outside: Outside, worker: Worker, feeds: FeedDesk, rescans: Rescans, replaying: Replaying
) -> Orchestrator:
    return Orchestrator(
        store=outside.store,
        clock=outside.clock,
        settings=outside.settings,
        worker=worker,
        feeds=feeds,
        rescans=rescans,
        replay=replaying.newest,
    )


def retention_of(settings: Settings, store: Store, clock: Clock) -> Retention:
    keep_us = settings.retention.samples_days * DAY_US
    return Retention(store=store, clock=clock, retire=store.retire, keep_us=keep_us)


def worker_of(
    store: Store,
    runner: Runner,
    chores: Sequence[Chore],
    schedules: ScheduleRuns,
    engine_id: str,
) -> Worker:
    def wake_overdue() -> None:
        for run_id in schedules.overdue():
            worker.wake(run_id)

    worker = Worker(
        store=store,
        advance=runner.advance,
        on_watchdog=_watchdog(store, engine_id),
        chores=(
            *chores,
            Chore(name="firings", every_s=1, do=schedules.when_due),
            Chore(name="lost alarms", every_s=30, do=wake_overdue),
        ),
    )
    return worker


def chores_of(
    retention: Retention,
    identity: Identity,
    prober: Prober,
    trail: Trail,
    rescans: Rescans,
    vitals: VitalsDesk,
    integrity: Integrity,
    feeds: FeedDesk,
) -> tuple[Chore, ...]:
    return (
        Chore(name="retention", every_s=LOOK_EVERY_S, do=retention.when_due),
        Chore(name="last used", every_s=SAVE_EVERY_S, do=identity.save_used),
        Chore(name="integrations", every_s=prober.every_s, do=prober.begin_round),
        Chore(name="audit trail", every_s=60, do=trail.when_due),
        Chore(name="feed syncs", every_s=FEEDS_EVERY_S, do=FeedsDue(feeds).when_due),
        Chore(name="rescans", every_s=RESCANS_EVERY_S, do=rescans.when_due),
        Chore(name="integrity", every_s=INTEGRITY_EVERY_S, do=integrity.when_due),
        Chore(name="vitals", every_s=MEASURE_EVERY_S, do=vitals.measure),
    )


def _watchdog(store: Store, engine_id: str) -> Callable[[int, str], None]:
    def record(silent_ms: int, action: str) -> None:
        event = EngineWatchdog(silent_ms=silent_ms, action=action)
        append_to(store, f"engine:{engine_id}", event, actor="engine")

    return record
