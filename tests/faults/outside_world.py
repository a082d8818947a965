"""The outside world, simulated: targets, metrics, secrets, feeds, time; a fuse cuts the power."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event as ThreadEvent
from typing import Any

from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.core.plan import Observation, StagePlan, TargetObservation
from engine.ports import (
    Capability,
    DriverEvent,
    FeedSnapshot,
    LogLine,
    PreflightFinding,
    ResolvedInput,
    StageResult,
    TargetOutcome,
    TargetResult,
)

TARGETS = ("t-1", "t-2")
OLD = Digest.of(b"what ran before")


class PowerCut(BaseException):
    """Not an Exception: nothing in the engine may catch it."""


@dataclass
class Fuse:
    """Cuts the power around the n-th guarded call; 0 = never. Counts the calls all the same."""

    at: int = 0
    before: bool = True
    calls: int = 0
    blown: bool = False
    names: list[str] = field(default_factory=list)

    def around(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.blown:
                raise PowerCut(name)  # no thread of a dead process does anything more
            self.calls += 1
            self.names.append(name)
            hit = self.calls == self.at
            if hit and self.before:
                self.blown = True
                raise PowerCut(name)
            try:
                return method(*args, **kwargs)
            finally:  # a call that finds nothing has an end at which the power can go, too
                if hit:
                    self.blown = True
                    raise PowerCut(name)

        return call


class Fused:
    """Something whose calls go through a fuse."""

    def __init__(self, inner: Any, fuse: Fuse, label: str) -> None:
        self._inner, self._fuse, self._label = inner, fuse, label

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name == "blobs":
            return Fused(value, self._fuse, "blobs")
        if not callable(value) or name in {"subscribe", "path", "kind", "close"}:
            return value
        return self._fuse.around(f"{self._label}.{name}", value)


class SimClock:
    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def now_us(self) -> int:
        self.us += 1
        return self.us

    def monotonic_s(self) -> float:
        return self.us / 1_000_000

    def sleep(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000) + 1_000


class SimFleet:
    """The targets: they outlive the engine. `switches` are the deeds that may happen once only."""

    def __init__(self, targets: Sequence[str] = TARGETS) -> None:
        self.running: dict[str, Digest] = dict.fromkeys(targets, OLD)
        self.switches: list[tuple[str, Digest]] = []
        self.epochs: dict[str, int] = dict.fromkeys(targets, 0)
        self.bad: set[Digest] = set()
        self.polls = 0
        self.silent = False


class SimDriver:
    """Keeps the driver's contract: idempotent by observation, cut between any two targets."""

    kind = "simulated"

    def __init__(self, fleet: SimFleet, clock: SimClock, fuse: Fuse) -> None:
        self._fleet, self._clock = fleet, clock
        self._switch = fuse.around("target.switch", self._switch_one)

    def _switch_one(self, target: str, digest: Digest, epoch: int) -> None:
        self._fleet.switches.append((target, digest))
        self._fleet.running[target] = digest
        self._fleet.epochs[target] = epoch

    def capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.FENCING})

    def preflight(self, bundle: Bundle, *, deadline_s: float) -> Sequence[PreflightFinding]:
        return ()

    def observe(self, *, deadline_s: float) -> Observation:
        return Observation(
            observed_at_us=self._clock.now_us(),
            source=self.kind,
            targets=tuple(
                TargetObservation(
                    target=t,
                    digest=d,
                    healthy=True,
                    epoch=self._fleet.epochs[t],
                    present=(OLD, d),
                )
                for t, d in sorted(self._fleet.running.items())
            ),
        )

    def apply(
        self,
        plan: StagePlan,
        *,
        op_id: str,
        epoch: int,
        deadline_s: float,
        cancel: ThreadEvent,
        emit: Callable[[DriverEvent], None],
    ) -> StageResult:
        results = []
        for change in plan.changes:
            outcome = TargetOutcome.NOOP
            if cancel.is_set():
                outcome = TargetOutcome.SKIPPED
            elif epoch < self._fleet.epochs[change.target]:
                outcome = TargetOutcome.FENCED
            elif self._fleet.running[change.target] != change.to_digest:
                now_us, target = self._clock.now_us(), change.target
                emit(
                    DriverEvent(
                        target=target, phase="switch", ts_us=now_us, op_id=op_id, epoch=epoch
                    )
                )
                self._switch(change.target, change.to_digest, epoch)
                outcome = TargetOutcome.CHANGED
            results.append(
                TargetResult(
                    target=change.target,
                    outcome=outcome,
                    digest=self._fleet.running[change.target],
                    healthy=True,
                )
            )
        return StageResult(results=tuple(results), observation=self.observe(deadline_s=1))

    def set_traffic(
        self, weights: Mapping[str, int], *, op_id: str, epoch: int, deadline_s: float
    ) -> Mapping[str, int]:
        return weights

    def logs(self, target: str, *, since_us: int, limit: int) -> Any:
        return iter(tuple[LogLine, ...]())

    def close(self) -> None:
        pass


class SimMetrics:
    kind = "simulated"

    def __init__(self, fleet: SimFleet, clock: SimClock) -> None:
        self._fleet, self._clock = fleet, clock
        self._counts: dict[str, list[int]] = {t: [0, 0] for t in fleet.running}
        self._last_s: dict[str, float] = {}

    def read(self, *, deadline_s: float) -> Reading:
        self._fleet.polls += 1
        if self._fleet.silent:
            return Reading(at_us=self._clock.now_us(), status=ReadingStatus.NODATA, note="silent")
        targets = {}
        for target, counts in self._counts.items():
            counts[0] += 200
            if self._fleet.running[target] in self._fleet.bad:
                counts[1] += 40
            buckets = [0] * (len(LATENCY_BOUNDS_MS) + 1)
            buckets[5] = counts[0]
            targets[target] = TargetCounters(
                requests=counts[0],
                errors=counts[1],
                slow=0,
                buckets=tuple(buckets),
                healthy=True,
            )
        return Reading(at_us=self._clock.now_us(), status=ReadingStatus.OK, targets=targets)

    def history(
        self, *, seconds: int, poll_s: float, deadline_s: float
    ) -> Sequence[Sequence[tuple[int, int]]]:
        return [[(200, 0)] * len(self._counts) for _ in range(12)]


class SimSecrets:
    scheme = "env"

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        return ResolvedInput(name=name, path=f"env:{path}", version="1", value_hmac="ab" * 32)


class NoFeeds:
    def snapshots(self) -> Sequence[FeedSnapshot]:
        return ()
