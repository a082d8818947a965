"""How late a window is noticed, with thousands of schedules and a thousand runs under way.

    python benchmarks/schedules.py [--schedules N] [--active N] [--due N] [--over S]

A fresh home is filled with one-shot schedules, most of them far off and `--due` of them spread over
`--over` seconds, and with runs that queue for their environments and are looked at again and again.
The worker then steps as in a server. Lateness is what the ticks themselves say: from the opening of
a window to its tick DUE, recorded durably. Beside it, in the same process before it: a bare
APScheduler with as many jobs, as many of them due over the same seconds, with a callback that does
nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from apscheduler.schedulers.background import BackgroundScheduler

from engine import wiring
from engine.asker import Asker
from engine.catalog import BundleFiles
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.events import Recorded
from engine.core.run_events import RunRequested, RunScheduled, RunStarted
from engine.core.schedule_events import FiringTicked, FiringWord, Timing
from engine.homes import create_home
from engine.scheduling import Wish
from engine.services import Services
from engine.settings import read_settings

PASS: Final = "benchmark"  # noqa: S105 (of a home that is thrown away)
FAR: Final = "2100-01-01"
LEAD_S: Final = 8.0  # from the last preparation to the first window


def main() -> None:
    parser = argparse.ArgumentParser(description="Wake-up lateness.")
    parser.add_argument("--schedules", type=int, default=5_000)
    parser.add_argument("--active", type=int, default=1_000)
    parser.add_argument("--due", type=int, default=400)
    parser.add_argument("--over", type=int, default=40)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    bare = bare_scheduler(given.schedules + given.active, given.due, given.over)
    with tempfile.TemporaryDirectory(prefix="rl-bench-schedules-") as folder:
        ours = engine(Path(folder), given.schedules, given.active, given.due, given.over)
    head = f"{given.schedules} schedules, {given.active} active runs, {given.due} due in "
    print(f"\n{head}{given.over} s; ms after the moment\n")
    print(f"{'':<28}{'p50':>8}{'p95':>8}{'max':>8}")
    for name, late in (("bare APScheduler, callback", bare), ("ours, tick on record", ours)):
        print(f"{name:<28}{part(late, 50):>8.1f}{part(late, 95):>8.1f}{max(late):>8.1f}")
    print(f"\nratio of p95: {part(ours, 95) / max(part(bare, 95), 0.1):.1f}; bar: ours <= 300 ms")


def part(late_ms: list[float], percent: int) -> float:
    return sorted(late_ms)[min(len(late_ms) - 1, len(late_ms) * percent // 100)]


def bare_scheduler(jobs: int, due: int, over_s: int) -> list[float]:
    """Milliseconds between a job's moment and its callback."""
    late: list[float] = []
    scheduler = BackgroundScheduler(timezone=UTC)
    begin = datetime.now(UTC) + timedelta(seconds=LEAD_S)
    far = begin + timedelta(days=365)

    def called(at: datetime) -> None:
        late.append((datetime.now(UTC) - at).total_seconds() * 1000)

    scheduler.start(paused=True)
    for n in range(jobs):
        soon = begin + timedelta(seconds=over_s * n / due)
        at = soon if n < due else far + timedelta(seconds=n)
        scheduler.add_job(called, "date", args=(at,), run_date=at, misfire_grace_time=None)
    scheduler.resume()
    wait_until(lambda: len(late) >= due, LEAD_S + over_s + 30)
    scheduler.shutdown(wait=False)
    return late


def engine(folder: Path, schedules: int, active: int, due: int, over_s: int) -> list[float]:
    home = folder / "home"
    create_home(home, passphrase=PASS)
    services = wiring.build(read_settings(home), passphrase=PASS)
    try:
        artifact = folder / "app.bin"
        artifact.write_text("app")
        files = BundleFiles(name="app", version="1", components=(artifact,))
        bundle = services.catalog.create(files, actor="dev").digest
        queue(services, bundle, active)
        runs = far_off(services, bundle, schedules)
    finally:
        services.stop()
    began = time.monotonic()
    services = wiring.build(read_settings(home), passphrase=PASS)
    try:
        print(f"opened again in {time.monotonic() - began:.1f} s")
        services.worker.start()
        settle(services)
        print(f"every open run was looked at after {time.monotonic() - began:.1f} s")
        return noticed(services, runs[:due], over_s)
    finally:
        services.stop()


def settle(services: Services) -> None:
    """A start looks at every open run once; what is measured is what comes after."""
    calm = 0
    while calm < 8:
        time.sleep(0.25)
        health = services.worker.health()
        calm = calm + 1 if health.queued < 4 else 0


def queue(services: Services, bundle: Digest, active: int) -> None:
    """Runs that wait for their environments, each of which one run holds that nobody goes on with:
    they are looked at every second, and none of them ever begins."""
    places = sorted(services.settings.environments)
    for n in range(active):
        run = services.service.promote(bundle, places[n % len(places)], Asker(user="ana.li"))
        if n < len(places):
            started = RunStarted(via="lock_acquired", epoch=1)
            services.store.append(run.run_id, (started,), after=run.version, actor="engine")
            services.service.ask(
                run.run_id,
                Command(action=Action.PAUSE, reason="it holds the environment"),
                Asker(user="ana.li"),
            )


def far_off(services: Services, bundle: Digest, schedules: int) -> list[str]:
    """The runs that the schedules made: one by the door, the others with the facts that it records,
    many at a time, because a door waits for the disk each time."""
    places, store = sorted(services.settings.environments), services.store
    timing = Timing(zone="Europe/Sofia", first=FAR, time="02:00", window_s=7_200)
    wish = Wish(bundle=bundle, environment=places[0], timing=timing, preconditions=())
    first = services.scheduling.create(wish, Asker(user="ana.li"))
    request, window = (one.event for one in store.load(first.run))
    assert isinstance(request, RunRequested)
    last = store.last_run_number()

    def make(n: int) -> str:
        place, name, number = places[n % len(places)], f"schedule-{n}", last + n - 1
        made = replace(first.made, number=n, environment=place)
        store.append(name, (made,), after=0, actor="ana.li")
        asked = replace(request, number=number, environment=place, schedule=name)
        command_id = f"{name}/{FAR}"
        events = (asked, window)
        store.append(f"run-{number}", events, after=0, actor="ana.li", command_id=command_id)
        return f"run-{number}"

    with ThreadPoolExecutor(32) as pool:
        return [first.run, *pool.map(make, range(2, schedules + 1))]


def noticed(services: Services, runs: list[str], over_s: int) -> list[float]:
    """Give these runs windows from soon on, step, and read how late each tick DUE was recorded."""
    found: dict[str, int] = {}
    all_there = threading.Event()
    first_us = services.clock.now_us() + int(len(runs) * 20_000 + LEAD_S * 1e6)
    opens: dict[str, int] = {}

    def follow(batch: tuple[Recorded, ...]) -> None:
        for one in batch:
            event = one.event
            if isinstance(event, FiringTicked) and event.word is FiringWord.DUE:
                found[one.stream] = one.ts_us
        if len(found) >= len(runs):
            all_there.set()

    services.store.subscribe(follow)
    for n, run_id in enumerate(runs):
        opens[run_id] = first_us + over_s * 1_000_000 * n // len(runs)
        moved = RunScheduled(
            via="reschedule",
            start_us=opens[run_id],
            window_end_us=opens[run_id] + 7_200_000_000,
            time_zone="UTC",
        )
        version = services.store.run(run_id).version
        services.store.append(run_id, (moved,), after=version, actor="ana.li")
    all_there.wait(LEAD_S + over_s + len(runs) * 0.02 + 60)
    if len(found) < len(runs):
        raise SystemExit(f"only {len(found)} of {len(runs)} windows were noticed")
    return [(found[run_id] - opens[run_id]) / 1000 for run_id in runs]


def wait_until(there: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit("the jobs did not come in time")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
