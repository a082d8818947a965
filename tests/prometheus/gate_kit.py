"""A run in its canary stage, watched through a real Prometheus over a real fleet."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core import ticks
from engine.core.health import DEFAULT_CRITERIA
from engine.core.rows import GateTick
from engine.core.run_events import RunRequested, RunResumed
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepStarted
from engine.fleet.control import Fleet
from engine.outside import Place
from engine.ports import MetricSource
from engine.watch import Watcher
from tests.fleet.kit import ENVIRONMENT, Rig
from tests.shell.watch_kit import CANARY, TARGETS, SimulatedClock, Stand, applied, begun

POLL_MS = 500
CRITERIA = replace(
    DEFAULT_CRITERIA,
    hold_ms=3_000,
    window_ms=3_000,
    requests_min=30,
    slow_requests_min=30,
    rollback_share_for_ms=1_000,
    no_data_ms=3_000,
    max_hold_ms=120_000,
    staggered_start_ms=3_000,
)


class Fleet4(Rig):
    """A fleet of the targets that the run of `watch_kit` is about."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.driver.close()
        self.targets = TARGETS
        self.fleet = Fleet(folder / "fleet", environment=ENVIRONMENT, targets=TARGETS)
        self.driver = type(self.driver)(self.fleet, blobs=self.blobs, clock=SystemClock())


class Watched(Stand):
    """The stand of the watch's own tests, in real time and with a source that is real."""

    def __init__(self, store: Store, source: MetricSource) -> None:
        super().__init__(store, cast("SimulatedClock", SystemClock()))
        nothing = cast("Any", None)
        place = Place(driver=nothing, metrics=source, runtime=None)
        self.out = replace(self.out, places={"prod": place})
        self.watcher = Watcher(self.out)

    def start(self, criteria: Any = CRITERIA) -> Watched:
        requested, *rest = begun(criteria, "rollback")
        assert isinstance(requested, RunRequested)
        steps = tuple(
            replace(one, poll_ms=POLL_MS) if one.poll_ms else one for one in requested.steps
        )
        events = (replace(requested, steps=steps), *rest)
        self.store.append("run-1", events, after=0, actor="ci")
        self.append(StepStarted(step="canary", attempt=1, op_id="o"))
        self.append(*applied("canary", 1, CANARY))
        return self

    def until(self, what: Any, *, within_s: float = 15.0) -> None:
        """Poll as the runner would, until `what(self)` is so."""
        until = time.monotonic() + within_s
        while not what(self):
            assert time.monotonic() < until, [(d.action, d.reason) for d in self.decided()]
            judge = self.run.status is RunStatus.RUNNING
            time.sleep(max(self.poll(judge=judge), 0.001))

    def good(self, count: int = 3) -> None:
        """Poll until so many good ticks came one after another."""
        self.until(lambda _: [tick["status"] for tick in self.ticks()[-count:]] == ["ok"] * count)

    def ticks(self) -> list[dict[str, Any]]:
        return [ticks.decode(row.tick) for row in self.rows() if not ticks.is_mark(row)]

    def paused(self) -> GateTick:
        """Poll until the gate pauses; returns its tick. Nothing else may come of no data."""
        before = len(self.decided())
        self.until(lambda _: self.run.status is not RunStatus.RUNNING)
        assert self.run.status is RunStatus.PAUSED
        # How often it says that it holds depends on which reasons a busy machine gives it for that.
        *holds, last = [d.action for d in self.decided()[before:]]
        assert set(holds) <= {"hold"} and last == "pause", holds
        return self.rows()[-1]

    def go_on(self) -> None:
        self.append(RunResumed(via="resume", reason="mended"), actor="ana")
