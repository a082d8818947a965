"""The only place where rooms are put together: from settings to a running house.

`build` opens everything and starts nothing, which is all that a command on a stopped home needs;
`start` makes it step; `open_house` is both preconditions of a server, read from the environment.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from data import queries
from data.store import Store
from engine import keystore
from engine.adapters.clock_system import SystemClock
from engine.adapters.references import secret_from
from engine.approving.rests_on import RestsOn
from engine.approving.views import Views
from engine.archiving import Archivist
from engine.attestations import Attestations
from engine.blocking import Blocking
from engine.catalog import Catalog
from engine.core.errors import AdapterFailed, UnsafeConfig
from engine.core.house import EngineStarted, EngineStopped
from engine.feeds_desk import FeedDesk
from engine.fleet.control import Fleet
from engine.freezing import Freezing
from engine.gate_now import GateNow
from engine.home import HomeLock
from engine.hooks.room import HookRoom
from engine.identity import Identity
from engine.identity.home import identity_of, renew_local_token
from engine.integrations.desk import HealthDesk
from engine.integrations.prober import Prober
from engine.integrity import Integrity
from engine.live import Live
from engine.logbook import LogBook
from engine.logbook_home import check_origin, head_or_nothing, logbook_of
from engine.outside import Outside
from engine.policy_book import PolicyBook, policies_of, tests_of
from engine.ports import Clock
from engine.recording import append_to
from engine.redact import install, redact_record
from engine.replaying import Replaying
from engine.replaying_pool import ReplayPool
from engine.rescans import Rescans
from engine.retention import Retention
from engine.runner import Runner
from engine.scheduling import Scheduling
from engine.sealing import Sealer
from engine.service import Service
from engine.services import Services
from engine.settings import Settings, read_settings
from engine.starting import Starter
from engine.steps import observe
from engine.trail import asking
from engine.trail.reading import Trail
from engine.vitals import VitalsDesk
from engine.watch import Watcher
from engine.wiring_chores import (
    chores_of,
    hooks_of,
    orchestrator_of,
    rescans_of,
    retention_of,
    waiving_of,
    worker_of,
)
from engine.wiring_integrations import health_of, prober_of
from engine.wiring_outside import feed_files_of, fleet_of, outside_of
from engine.wiring_schedules import scheduling_of
from engine.worker import Worker

# Newest last. A process serves one house; a test may open one while another stays open.
_open: Final[list[Services]] = []
_LOG_LINES_MAX: Final = 1_000_000


def running() -> Services:
    """The house of this process, opened last. Raises `RuntimeError` when none is open."""
    if not _open:
        raise RuntimeError("no house is open in this process")
    return _open[-1]


def open_house(env: Mapping[str, str]) -> Services:
    """The house that the environment names; opened here unless this process has it open.

    Reads RELEASELINE_HOME (default ./var), RELEASELINE_PORT and RELEASELINE_SPEED.

    Raises:
        UnsafeConfig: the home is missing, locked or misconfigured, or a variable is no number.
    """
    home = Path(env.get("RELEASELINE_HOME", "var")).resolve()
    for services in _open:
        if services.home == home:
            return services
    settings = read_settings(home)
    port = env.get("RELEASELINE_PORT", "")
    if port:
        settings = replace(settings, server=replace(settings.server, port=_number(port, "PORT")))
    return build(settings, speed=_number(env.get("RELEASELINE_SPEED", "1"), "SPEED"))


def client_secret(settings: Settings, env: Mapping[str, str]) -> str:
    """Of the OpenID provider. Raises `UnsafeConfig` when it is not where the settings say."""
    assert settings.oidc is not None
    try:
        return secret_from(settings.oidc.client_secret, settings.home, env, what="client secret")()
    except AdapterFailed as failed:
        raise UnsafeConfig(f"sign_in.oidc: {failed}") from None


def build(settings: Settings, *, speed: int = 1, passphrase: str | None = None) -> Services:
    """Open every room of the home. Nothing steps yet; `Services.stop` closes it all again.

    Args:
        speed: divisor of waiting times for new runs (decided per run, said in its story).
        passphrase: of the keystore; None = from the environment, a file, or a prompt.

    Raises:
        UnsafeConfig: another process holds the home, its keys do not open, or a policy is unsound.
    """
    with ExitStack() as undo:
        lock, engine_id = undo.enter_context(HomeLock(settings.home)), secrets.token_hex(4)
        keys, clock = _keys(settings, passphrase), SystemClock()
        store = undo.enter_context(closing(_store(settings, clock)))
        identity, book = identity_of(settings, store, clock), _book(settings, store, clock, undo)
        fleets, feeds, outside = _outside(settings, store, clock, keys, book)
        logbook, rescans = logbook_of(settings, store, keys, clock), rescans_of(outside)
        retention, archivist, integrity = _upkeep(settings, store, clock)
        prober, trail = prober_of(settings, store, clock, os.environ), Trail(store, clock, settings)
        firings, starter = scheduling_of(outside, store, book, identity, prober, rescans, speed)
        sealer, runner = _stepping(outside, keys, store, logbook, starter)
        live, vitals = Live(store, clock), VitalsDesk(store, clock, logbook, integrity, _version())
        chores = chores_of(retention, identity, prober, trail, rescans, vitals, integrity, feeds)
        worker = worker_of(store, runner, chores, firings.runs, engine_id)
        health = health_of(outside, worker, prober, rescans, integrity, store.disk)
        service, views, freezing = _service(outside, book, health, firings, starter, speed)
        replaying = _replaying(settings, store, clock, outside, service)
        hooks = hooks_of(store, outside, keys.input_key, service, worker, rescans, integrity)
        undo.pop_all()
    rooms = (hooks, replaying, rescans, feeds, book, archivist, retention, prober, trail, firings)
    services = Services(
        home=settings.home,
        settings=settings,
        clock=clock,
        store=store,
        identity=identity,
        catalog=outside.catalog,
        attestations=Attestations(store=store, settings=settings, catalog=outside.catalog),
        service=service,
        scheduling=firings,
        views=views,
        freezing=freezing,
        waiving=waiving_of(outside, worker),
        replaying=replaying,
        rescans=rescans,
        hooks=hooks,
        trail=trail,
        vitals=vitals,
        orchestrator=orchestrator_of(outside, worker, feeds, rescans, replaying),
        feeds=feeds,
        feed_files=feed_files_of(outside, feeds, keys.input_key),
        policies=book,
        blocking=Blocking(store, settings.home / "blobs"),
        outside=outside,
        prober=prober,
        health=health,
        sealer=sealer,
        logbook=logbook,
        runner=runner,
        worker=worker,
        archivist=archivist,
        retention=retention,
        integrity=integrity,
        live=live,
        fleets=fleets,
        engine_id=engine_id,
        stop=_closer(lock, store, outside, identity, worker, (*rooms, integrity, live), engine_id),
    )
    return _newest(services)


def _newest(services: Services) -> Services:
    _open.append(services)
    return services


def _upkeep(
    settings: Settings, store: Store, clock: Clock
) -> tuple[Retention, Archivist, Integrity]:
    return (
        retention_of(settings, store, clock),
        Archivist(store.put_away),
        Integrity(store, clock, settings.integrity),
    )


def _store(settings: Settings, clock: Clock) -> Store:
    install()
    return Store.open(settings.home, clock=clock, auth=asking.current, clean=redact_record)


def _keys(settings: Settings, passphrase: str | None) -> keystore.Keys:
    keys = keystore.open_keys(settings.home, passphrase)
    check_origin(settings, keys.origins)
    return keys


def _outside(
    settings: Settings, store: Store, clock: Clock, keys: keystore.Keys, book: PolicyBook
) -> tuple[dict[str, Fleet], FeedDesk, Outside]:
    catalog = Catalog(store)
    fleets = {env.name: fleet_of(settings, env) for env in settings.environments.values()}
    feeds = FeedDesk(store=store, clock=clock, config=settings.feeds, home=settings.home)
    outside = outside_of(settings, store, clock, catalog, fleets, keys.input_key, feeds, book)
    return fleets, feeds, outside


def _stepping(
    outside: Outside, keys: keystore.Keys, store: Store, logbook: LogBook, starter: Starter
) -> tuple[Sealer, Runner]:
    sealer = Sealer(outside, keys, step_logs=partial(_step_logs, store), log=logbook.log)
    return sealer, Runner(outside, sealer=sealer, watcher=Watcher(outside), starter=starter)


def _book(settings: Settings, store: Store, clock: Clock, undo: ExitStack) -> PolicyBook:
    files, tests = policies_of(settings), tests_of(settings)
    book = PolicyBook(store=store, settings=settings, clock=clock, files=files, tests=tests)
    undo.callback(book.stop)
    return book


def _service(
    outside: Outside,
    book: PolicyBook,
    health: HealthDesk,
    scheduling: Scheduling,
    starter: Starter,
    speed: int,
) -> tuple[Service, Views, Freezing]:
    freezing = Freezing(outside.store, outside.settings, outside.clock)
    rests = RestsOn(outside, health.now)
    views = Views(outside.store, rests)
    service = Service(
        store=outside.store,
        settings=outside.settings,
        catalog=outside.catalog,
        policy_digest=outside.desk.policy_digest,
        policy_authors=book.authors,
        speed=speed,
        interrupt=outside.interrupts.raise_for,
        observe=partial(observe, outside),
        now=GateNow(outside.store, outside.clock, rests, start=starter.lacks),
        shown=views.shown,
        numbering=scheduling.runs.numbering,
    )
    return service, views, freezing


def _replaying(
    settings: Settings, store: Store, clock: Clock, outside: Outside, service: Service
) -> Replaying:
    return Replaying(
        store=store,
        clock=clock,
        desk=outside.desk,
        pool=ReplayPool(settings.home / "blobs"),
        actor=service.actor,
        environments=tuple(settings.environments),
    )


def start(services: Services) -> None:
    """Recover what a former engine left open, then step. The fleets' routers are adopted.

    Does nothing when the house is stepping already.
    """
    if services.worker.health().running:
        return
    origin, size, root = head_or_nothing(services.logbook)
    append_to(
        services.store,
        f"engine:{services.engine_id}",
        EngineStarted(
            version=_version(),
            pid=os.getpid(),
            config=services.settings.digest,
            log_origin=origin,
            log_size=size,
            log_root=root,
        ),
        actor="engine",
    )
    for fleet in services.fleets.values():
        fleet.ensure_router()
    services.policies.take_up_files()
    renew_local_token(services.home, services.identity)
    services.runner.recover()
    services.replaying.recover()
    services.store.subscribe(services.archivist.recorded)
    services.archivist.start(services.store.left_open())
    services.rescans.start()
    services.worker.start()
    services.hooks.start()


def _closer(
    lock: HomeLock,
    store: Store,
    outside: Outside,
    identity: Identity,
    worker: Worker,
    keepers: Sequence[
        HookRoom
        | Archivist
        | FeedDesk
        | Integrity
        | Live
        | PolicyBook
        | Prober
        | Replaying
        | Rescans
        | Retention
        | Scheduling
        | Trail
    ],
    engine_id: str,
) -> Callable[[], None]:
    once = threading.Lock()

    def stop() -> None:
        if not once.acquire(blocking=False):
            return
        _open[:] = [one for one in _open if one.engine_id != engine_id]
        if worker.health().running:
            worker.stop()
            append_to(
                store, f"engine:{engine_id}", EngineStopped(reason="asked to"), actor="engine"
            )
        for keeper in keepers:
            keeper.stop()
        identity.stop()
        outside.catalog.stop()
        for place in outside.places.values():
            place.driver.close()
        store.close()
        lock.release()

    return stop


def _step_logs(store: Store, run_id: str, step: str, attempt: int) -> str:
    """The whole log of an attempt as text, for the audit pack."""
    frame = queries.step_logs(
        store.cursor(), run_id=run_id, step=step, attempt=attempt, limit=_LOG_LINES_MAX
    )
    return queries.logs_as_text(frame)


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise UnsafeConfig(f"RELEASELINE_{name}: expected a whole number from 1, found {text!r}")
    return int(text)


def _version() -> str:
    try:
        return version("releaseline")
    except PackageNotFoundError:  # run from the source folder, as ./run does
        return "0.1.0"
