"""`doctor`: what is not in order, found before it hurts."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from engine.adapters.clock_system import SystemClock
from engine.cli.call import Call, Leaf, pass_call
from engine.cli.exits import BAD_CONFIG, DONE
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed, NotFound, ReleaselineError, UnsafeConfig
from engine.core.metrics import ReadingStatus
from engine.home import holder, read_server_file
from engine.homes import has_keys
from engine.integrations.depends import PROMETHEUS
from engine.policy.compile import compile_policy
from engine.policy.lint import lint
from engine.policy.model import load_policy
from engine.settings import Settings, read_settings
from engine.wiring_integrations import probes_of, prometheus_of, secret_sources

_DISK_FREE_MIN: Final = 1024**3
_PYTHON_MIN: Final = (3, 11)
_INPUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`level`: ok, warn (it works, but) or bad (it will not work)."""

    name: str
    level: str
    told: str


@click.command(cls=Leaf)
@pass_call
def doctor(call: Call) -> int:
    """Say what is not in order on this machine and in the home. Changes nothing."""
    checks = list(_checks(call.home))
    bad = any(check.level == "bad" for check in checks)
    call.give(
        {
            "ok": not bad,
            "checks": [{"check": c.name, "level": c.level, "told": c.told} for c in checks],
        }
    )
    call.table(("CHECK", "", "FOUND"), [[c.name, c.level, c.told] for c in checks])
    return BAD_CONFIG if bad else DONE


def _checks(home: Path) -> Iterator[Check]:
    yield _python()
    yield _disk(home)
    try:
        settings = read_settings(home)
    except UnsafeConfig as error:
        for line in str(error).splitlines():
            yield Check(name="settings", level="bad", told=line)
        return
    yield Check(
        name="settings",
        level="ok",
        told=f"{len(settings.environments)} environments, digest {settings.digest.short}",
    )
    yield from _policies(settings)
    yield _keys(home)
    yield from inputs(settings)
    yield from integrations(settings)
    yield from metrics(settings)
    yield _people(settings)
    yield _server(home, settings)


def _python() -> Check:
    found = platform.python_version()
    good = sys.version_info >= _PYTHON_MIN
    return Check(name="python", level="ok" if good else "bad", told=found)


def _disk(home: Path) -> Check:
    place = home if home.exists() else Path()
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Check(name="disk", level="bad", told=f"{place} can't be written")
    level = "ok" if free >= _DISK_FREE_MIN else "warn"
    return Check(name="disk", level=level, told=f"{free // 1024**2} MiB free at {place.resolve()}")


def _policies(settings: Settings) -> Iterator[Check]:
    for name, files in settings.policies.items():
        try:
            policy = load_policy(
                files.policy.read_bytes(),
                files.config.read_bytes(),
                policy_where=str(files.policy),
                config_where=str(files.config),
            )
            problems = lint(policy)
            if not problems:
                compile_policy(policy, where=str(files.policy))
        except (ReleaselineError, OSError) as error:
            yield Check(name=f"policy {name}", level="bad", told=str(error))
            continue
        for problem in problems:
            yield Check(name=f"policy {name}", level="bad", told=f"{files.policy}: {problem}")
        if not problems:
            told = f"{len(policy.rules)} rules, digest {policy.digest.short}"
            yield Check(name=f"policy {name}", level="ok", told=told)


def _keys(home: Path) -> Check:
    if not has_keys(home):
        return Check(name="keys", level="bad", told=f"there are none; releaseline init {home}")
    mode = (home / "keys").stat().st_mode & 0o777
    if mode & 0o077:
        told = f"{home / 'keys'} may be entered by others (mode {mode:04o}); chmod 700"
        return Check(name="keys", level="warn", told=told)
    return Check(name="keys", level="ok", told="encrypted, readable by their owner alone")


def inputs(settings: Settings) -> Iterator[Check]:
    """Read every input once, as a run would; no value is kept or told."""
    sources = secret_sources(settings, secrets.token_bytes(32), os.environ)
    for name, environment in settings.environments.items():
        missing, unknown = [], []
        for one in environment.inputs:
            try:
                sources[one.scheme].resolve(one.name, one.path, deadline_s=_INPUT_S)
            except NotFound:
                missing.append(f"{one.name} ({one.scheme}:{one.path})")
            except AdapterFailed as failed:
                unknown.append(str(failed))
        told = [f"not found from here: {', '.join(missing)}"] if missing else []
        for text in (*told, *unknown):
            yield Check(name=f"inputs {name}", level="warn", told=text)


def integrations(settings: Settings) -> Iterator[Check]:
    """Look at each server of `integrations` once. Not `bad`: the server starts without them."""
    for one in probes_of(settings, os.environ, SystemClock()):
        if one.probe.kind == PROMETHEUS:  # asked by `metrics`, which says more
            continue
        where = f"{one.probe.address}: "
        try:
            found = one.probe.probe(deadline_s=one.deadline_s)
        except AdapterFailed as failed:
            told = f"{where}{failed}"
            yield Check(name=f"{one.probe.kind} {one.probe.name}", level="warn", told=told)
            continue
        yield Check(
            name=f"{one.probe.kind} {one.probe.name}",
            level="ok" if found.level is Level.OK else "warn",
            told=f"{where}{found.reason}, {found.latency_ms} ms",
        )


def metrics(settings: Settings) -> Iterator[Check]:
    """Ask each Prometheus once. The embedded router answers only while the server runs."""
    for name, environment in settings.environments.items():
        source = environment.workflow.metrics
        if source.type != "prometheus":
            continue
        clock = SystemClock()
        reading = prometheus_of(settings, environment, clock, os.environ).read(
            deadline_s=source.timeout_ms / 1000
        )
        where = f"{source.url}: "
        if reading.status is ReadingStatus.OK:
            age_s = max(0, clock.now_us() - reading.at_us) / 1e6
            told = f"counts {len(reading.targets)} of {len(environment.targets)} targets"
            note = f"; {reading.note}" if reading.note else ""
            yield Check(
                name=f"metrics {name}",
                level="warn" if note else "ok",
                told=f"{where}{told}, {age_s:.1f} s old{note}",
            )
            continue
        # Not `bad`: the server starts without it, and every stage waits until it answers.
        yield Check(name=f"metrics {name}", level="warn", told=f"{where}{reading.note}")


def _people(settings: Settings) -> Check:
    admins = [
        user
        for user, grants in settings.grants.items()
        if any(grant.role == "admin" for grant in grants)
    ]
    if not admins:
        told = "nobody is admin; links and tokens come from a shell on this machine only"
        return Check(name="people", level="warn", told=told)
    return Check(name="people", level="ok", told=f"{len(settings.people)}, admin {admins[0]}")


def _server(home: Path, settings: Settings) -> Check:
    server = read_server_file(home)
    if server is not None:
        return Check(name="server", level="ok", told=f"{server.url}, process {server.pid}")
    pid = holder(home)
    if pid is not None:
        return Check(name="server", level="warn", told=f"process {pid} has the home open")
    host, port = settings.server.host, settings.server.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            told = f"not running, and {host}:{port} can't be bound: {error.strerror}"
            return Check(name="server", level="bad", told=told)
    return Check(name="server", level="ok", told=f"not running; {host}:{port} is free")
