"""A run in its canary stage over a real store, with simulated traffic and a simulated clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from data.store import Store
from engine.core.digest import Digest
from engine.core.effects import engine_lost
from engine.core.event_parts import StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    GateDecided,
    RolloutPlanned,
    StageApplied,
    TargetSet,
    TargetsObserved,
)
from engine.core.health import DEFAULT_CRITERIA, Criteria
from engine.core.jcs import canonical
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.run_events import RunStarted
from engine.core.spec import StepKind, StepSpec
from engine.core.statemachine import StepStatus
from engine.core.step_events import StepStarted, StepSucceeded
from engine.outside import Outside, Place
from engine.recording import record
from engine.watch import Watcher
from tests.core.simulated import NEW, OLD, request

TARGETS = tuple(f"t-{n:02d}" for n in range(1, 5))
CANARY = ("t-01",)
POLL_S = 1.0
CRITERIA = DEFAULT_CRITERIA.for_speed(15)
D = Digest.of(b"any")


@dataclass
class SimulatedClock:
    now_s: float = 1_800_000_000.0

    def now_us(self) -> int:
        return round(self.now_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class SimulatedTraffic:
    """Counters that grow with time. `bad` errors a second on a target; the knobs break the source.

    Attributes:
        takes_s: how long a read takes.
        asked: deadlines of the reads.
    """

    clock: SimulatedClock
    rate: int = 500
    bad: dict[str, int] = field(default_factory=dict)
    status: ReadingStatus = ReadingStatus.OK
    missing: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    takes_s: float = 0.0
    kind: str = "simulated"
    asked: list[float] = field(default_factory=list)
    history_asked: list[int] = field(default_factory=list)
    known_s: int = 2_000
    _errors: dict[str, float] = field(default_factory=dict)
    _read_s: float | None = None

    def read(self, *, deadline_s: float) -> Reading:
        self.asked.append(deadline_s)
        at_s = self.clock.now_s
        since = 0.0 if self._read_s is None else at_s - self._read_s
        self._read_s = at_s
        for name, rate in self.bad.items():
            self._errors[name] = self._errors.get(name, 0.0) + rate * since
        self.clock.sleep(self.takes_s)
        if self.status is not ReadingStatus.OK:
            return Reading(at_us=round(at_s * 1e6), status=self.status, note="refused")
        requests = round((at_s - 1_799_990_000) * self.rate)
        buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        buckets[7] = requests
        targets = {
            name: TargetCounters(
                requests=requests,
                errors=round(self._errors.get(name, 0.0)),
                slow=0,
                buckets=tuple(buckets),
                healthy=name not in self.down,
            )
            for name in TARGETS
            if name not in self.missing
        }
        return Reading(
            at_us=round(at_s * 1e6), status=self.status, targets=targets, query="every counter"
        )

    def history(
        self, *, seconds: int, poll_s: float, deadline_s: float
    ) -> Sequence[Sequence[tuple[int, int]]]:
        self.history_asked.append(seconds)
        count = round(min(seconds, self.known_s) / poll_s)
        return [[(500 + n, 1) for n in range(4)]] * count  # the requests tell targets apart


def specs(criteria: Criteria) -> tuple[StepSpec, ...]:
    gate = canonical(criteria.document()).decode()
    watched: dict[str, Any] = {"poll_ms": 1_000, "gate": gate}
    return (
        StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs"),
        StepSpec(
            id="canary",
            kind=StepKind.DEPLOY,
            name="Canary",
            share_bp=2_500,
            min_targets=1,
            **watched,
        ),
        StepSpec(
            id="full", kind=StepKind.DEPLOY, name="Full", share_bp=10_000, min_targets=1, **watched
        ),
        StepSpec(id="verify", kind=StepKind.VERIFY, name="Verify", **watched),
        StepSpec(id="seal", kind=StepKind.SEAL, name="Seal"),
    )


def begun(criteria: Criteria, on_breach: str) -> tuple[Event, ...]:
    return (
        replace(request(specs=specs(criteria), on_breach=on_breach), targets=TARGETS, speed=15),
        RunStarted(via="lock_acquired", epoch=1),
        StepStarted(step="inputs", attempt=1, op_id="o"),
        TargetsObserved(
            purpose="baseline",
            targets=tuple(TargetFact(target=t, digest=OLD, healthy=True) for t in TARGETS),
        ),
        RolloutPlanned(
            cohorts=(
                StageCohort(step="canary", targets=CANARY),
                StageCohort(step="full", targets=TARGETS),
            ),
            plan=D,
            rollback=D,
            irreversible=(),
        ),
        StepSucceeded(step="inputs", attempt=1, result="RESOLVED", summary="ok"),
    )


def applied(step: str, attempt: int, targets: Sequence[str]) -> tuple[Event, ...]:
    sets = tuple(
        TargetSet(
            step=step, attempt=attempt, target=t, outcome="changed", from_digest=OLD, to_digest=NEW,
            digest=NEW, healthy=True, note="", duration_ms=1,
        )
        for t in targets
    )  # fmt: skip
    done = StageApplied(step=step, attempt=attempt, plan=D, changed=len(targets), noop=0)
    return (*sets, done)


class Stand:
    """A store with a run in its canary stage, and a watcher over it."""

    def __init__(self, store: Store, clock: SimulatedClock) -> None:
        self.store, self.clock = store, clock
        self.traffic = SimulatedTraffic(clock)
        metrics = SimpleNamespace(timeout_ms=4_000, max_sample_age_ms=10_000)
        workflow = SimpleNamespace(metrics=metrics)
        settings = SimpleNamespace(environment=lambda name: SimpleNamespace(workflow=workflow))
        nothing = cast("Any", None)
        self.out = Outside(
            store=store,
            clock=clock,
            settings=cast("Any", settings),
            catalog=nothing,
            desk=nothing,
            places={"prod": Place(driver=nothing, metrics=self.traffic, runtime=None)},
            secrets={},
        )
        self.watcher = Watcher(self.out)
        self.step, self.attempt = "canary", 1

    def begin(self, criteria: Criteria = CRITERIA, on_breach: str = "rollback") -> Stand:
        self.store.append("run-1", begun(criteria, on_breach), after=0, actor="ci")
        self.deploy("canary", CANARY, took_s=10.0)
        return self

    def deploy(self, step: str, targets: Sequence[str], *, took_s: float = 0.0) -> None:
        attempt = len(self.run.step(step).attempts) + 1
        self.append(StepStarted(step=step, attempt=attempt, op_id="o"))
        self.clock.sleep(took_s)
        self.append(*applied(step, attempt, targets))
        self.step, self.attempt = step, attempt

    def append(self, *events: Event, actor: str = "engine") -> None:
        self.store.append("run-1", events, after=self.store.version("run-1"), actor=actor)

    @property
    def run(self) -> Run:
        return self.store.run("run-1")

    def poll(self, *, judge: bool = True) -> float:
        wait_s = self.watcher.poll(self.run, self.step, self.attempt, judge=judge)
        assert wait_s is not None
        return wait_s

    def watch(self, seconds: float, *, judge: bool = True) -> None:
        """Poll for so long, or until the attempt is over or the run no longer runs."""
        end_s = self.clock.now_s + seconds
        while self.clock.now_s <= end_s + 1e-9:
            if judge and (not self.run.step(self.step).open or self.run.status != "RUNNING"):
                return
            self.clock.sleep(max(self.poll(judge=judge), 0.001))

    def restart(self, down_s: float = 0.0) -> None:
        """The engine dies and comes back: nothing is left but what was stored."""
        self.clock.sleep(down_s)
        record(self.store, "run-1", engine_lost)
        step = self.run.step(self.step)
        if step.status is StepStatus.ERRORED:
            self.append(StepStarted(step=self.step, attempt=len(step.attempts) + 1, op_id="o"))
            self.attempt = len(step.attempts) + 1
            self.append(*applied(self.step, self.attempt, ()))
        self.watcher = Watcher(self.out)

    def rows(self, step: str = "", first: int = 1) -> tuple[GateTick, ...]:
        return self.store.gate_ticks("run-1", step or self.step, first)

    def decided(self) -> list[GateDecided]:
        return [r.event for r in self.store.load("run-1") if isinstance(r.event, GateDecided)]

    def evidence(self, decided: GateDecided) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.store.blobs.get(decided.evidence)))
