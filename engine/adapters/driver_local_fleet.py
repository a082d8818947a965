"""Driver of the local fleet: real processes on this machine, behind the fleet's own router.

The order within a stage: the first target that really changes goes alone, the others follow a few
at a time. A bundle that cannot even start so costs one target, and there is always somebody left
to serve.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Event as ThreadEvent
from typing import Final

from engine.core.bundle import Bundle
from engine.core.errors import AdapterFailed, Fenced, ReleaselineError
from engine.core.plan import Observation, StagePlan, TargetChange, TargetObservation
from engine.fleet.control import Fleet
from engine.fleet.logfile import tail
from engine.fleet.marker import SERVICE, Process
from engine.fleet.shelf import Shelf
from engine.fleet.turn import LOOK_S, Deadline, Seen, Turn, look
from engine.ports import (
    BlobStore,
    Capability,
    Clock,
    DriverEvent,
    LogLine,
    PreflightFinding,
    StageResult,
    TargetOutcome,
    TargetResult,
)

AT_ONCE_MAX: Final = 3
TARGET_S: Final = 60.0
_SPARE_DISK: Final = 64 * 1024 * 1024
_CAPABILITIES: Final = frozenset(
    {Capability.INSTANCE_CANARY, Capability.TRAFFIC_WEIGHT, Capability.DRAIN, Capability.LOGS,
     Capability.FENCING}
)  # fmt: skip
_BAD: Final = frozenset({TargetOutcome.FAILED, TargetOutcome.UNKNOWN})


class LocalFleetDriver:
    """`DeployDriver` over a `Fleet`."""

    def __init__(self, fleet: Fleet, *, blobs: BlobStore, clock: Clock) -> None:
        self._fleet = fleet
        self._blobs = blobs
        self._clock = clock
        self._threads = ThreadPoolExecutor(8, thread_name_prefix=f"fleet-{fleet.environment}")

    @property
    def kind(self) -> str:
        return "local-fleet"

    def capabilities(self) -> frozenset[Capability]:
        return _CAPABILITIES

    def close(self) -> None:
        """Lets the processes run: they are the environment, not ours."""
        self._threads.shutdown(wait=True)

    # --- looking --------------------------------------------------------------------------

    def observe(self, *, deadline_s: float) -> Observation:
        deadline = Deadline(deadline_s)
        by_home: dict[object, list[Process]] = {}
        for process in self._fleet.processes():
            if process.role == SERVICE:
                by_home.setdefault(process.home, []).append(process)
        drained = self._drained(max(0.01, deadline.left_s(LOOK_S)))

        def one(target: str) -> TargetObservation:
            running = tuple(by_home.get(self._fleet.home(target), ()))
            # All are asked at once as far as there are threads; each gets what time is left.
            seen = look(self._fleet, running, deadline_s=max(0.01, deadline.left_s(LOOK_S)))
            return self._observed(target, seen, drained)

        targets = tuple(self._threads.map(one, self._fleet.targets))
        return Observation(observed_at_us=self._clock.now_us(), source=self.kind, targets=targets)

    def _drained(self, deadline_s: float) -> Mapping[str, bool] | None:
        """Which targets the router gives no traffic; None when it does not answer."""
        try:
            counters = self._fleet.router("/counters", deadline_s=deadline_s)
        except AdapterFailed:
            return None
        return {target: bool(one["drained"]) for target, one in counters["targets"].items()}

    def _observed(
        self, target: str, seen: Seen, drained: Mapping[str, bool] | None
    ) -> TargetObservation:
        shelf = Shelf(self._fleet.home(target))
        note = seen.trouble
        try:
            epoch = shelf.epoch()
        except AdapterFailed as failed:
            epoch, note = seen.epoch, str(failed)
        return TargetObservation(
            target=target,
            digest=seen.digest,
            healthy=seen.ready,
            epoch=epoch,
            since_us=seen.since_us,
            present=shelf.present(),
            serving=None if drained is None else not drained[target],
            note=note,
        )

    def preflight(self, bundle: Bundle, *, deadline_s: float) -> tuple[PreflightFinding, ...]:
        deadline = Deadline(deadline_s)
        findings = [self._artifacts(bundle), self._router_answers(deadline)]
        need = sum(c.size for c in bundle.components) * len(self._fleet.targets) + _SPARE_DISK
        folder = next(p for p in (self._fleet.root, *self._fleet.root.parents) if p.is_dir())
        free = shutil.disk_usage(folder).free
        findings.append(
            _found("disk", free >= need, f"{free} bytes free, {need} needed in {folder}")
        )
        writable = os.access(folder, os.W_OK | os.X_OK)
        findings.append(_found("rights", writable, f"{folder} is writable: {writable}"))
        for target in self.observe(deadline_s=max(0.01, deadline.left_s())).targets:
            word = "runs nothing yet" if target.digest is None else f"runs {target.digest.short}"
            several = target.note.startswith("several")
            findings.append(
                PreflightFinding(
                    target=target.target,
                    check="reach",
                    ok=not several,
                    message=target.note or word,
                )
            )
        return tuple(findings)

    def _artifacts(self, bundle: Bundle) -> PreflightFinding:
        bad = []
        for component in bundle.components:
            try:
                self._blobs.get(component.digest)
            except ReleaselineError as error:
                bad.append(f"{component.name}: {error}")
        ok = f"{len(bundle.components)} artifacts present and re-hashed"
        return _found("artifacts", not bad, "; ".join(bad) or ok)

    def _router_answers(self, deadline: Deadline) -> PreflightFinding:
        try:
            self._fleet.router("/healthz", deadline_s=max(0.01, deadline.left_s(LOOK_S)))
        except AdapterFailed as failed:
            return _found("router", False, str(failed))
        return _found("router", True, "the router answers")

    def logs(self, target: str, *, since_us: int, limit: int) -> Iterator[LogLine]:
        path = self._fleet.home(target) / "service.log"
        for at_us, stream, text in tail(path, since_us=since_us, limit=limit):
            yield LogLine(ts_us=at_us, stream=stream, text=text)

    # --- changing -------------------------------------------------------------------------

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
        unknown = [c.target for c in plan.changes if c.target not in self._fleet.targets]
        if unknown or plan.environment != self._fleet.environment:
            named = f"targets {', '.join(unknown)}" if unknown else f"plan of {plan.environment}"
            raise AdapterFailed(f"{named} not in {self._fleet.environment}", transient=False)
        whole = Deadline(deadline_s)
        deadline = Deadline(deadline_s - min(LOOK_S, deadline_s / 5))  # time for the last look
        self._fleet.ensure_router(deadline_s=deadline.left_s())
        counters = self._fleet.router("/counters", deadline_s=max(0.1, deadline.left_s(LOOK_S)))
        drained = {target: bool(one["drained"]) for target, one in counters["targets"].items()}
        log = _Log(self._clock, emit, op_id=op_id, epoch=epoch)
        for change in plan.changes:
            log.say(change.target, "plan", f"to {change.to_digest}")

        def turn(change: TargetChange) -> TargetResult:
            def say(phase: str, message: str) -> None:
                log.say(change.target, phase, message)

            if cancel.is_set():  # it came while this turn was waiting for its thread
                return _skipped(change.target, "cancelled")
            one = Turn(self._fleet, self._blobs, change, epoch=epoch, say=say)
            return one.take(drained[change.target], Deadline(deadline.left_s(TARGET_S)))

        results = self._take_turns(plan, turn, deadline, cancel, log)
        observation = self.observe(deadline_s=max(0.1, whole.left_s(LOOK_S)))
        log.raise_if_broken()
        return StageResult(
            results=tuple(_as_seen(result, observation) for result in results),
            observation=observation,
        )

    def _take_turns(
        self,
        plan: StagePlan,
        turn: Callable[[TargetChange], TargetResult],
        deadline: Deadline,
        cancel: ThreadEvent,
        log: _Log,
    ) -> tuple[TargetResult, ...]:
        """Start turns in the plan's order, one until one has changed something, then several."""
        at_once = max(1, min(AT_ONCE_MAX, len(self._fleet.targets) // 3))
        results: dict[str, TargetResult] = {}
        under_way: set[Future[TargetResult]] = set()
        waiting = list(plan.changes)
        stopped = ""
        while waiting or under_way:
            failed = sum(r.outcome in _BAD for r in results.values())
            fenced = any(r.outcome is TargetOutcome.FENCED for r in results.values())
            proven = any(r.outcome is TargetOutcome.CHANGED for r in results.values())
            if failed > plan.max_failures:
                stopped = f"{failed} failed, {plan.max_failures} allowed"
            elif fenced:
                stopped = "a newer engine owns this environment"
            elif cancel.is_set():
                stopped = "cancelled"
            elif log.broken:
                stopped = "its log cannot be written"
            elif not deadline.left_s():
                stopped = "no time was left"
            if stopped:
                for change in waiting:
                    results[change.target] = _skipped(change.target, stopped)
                waiting.clear()
            while waiting and len(under_way) < (at_once if proven else 1):
                under_way.add(self._threads.submit(turn, waiting.pop(0)))
            if under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                results |= {r.target: r for r in (f.result() for f in done)}
        return tuple(results[change.target] for change in plan.changes)

    def set_traffic(
        self, weights: Mapping[str, int], *, op_id: str, epoch: int, deadline_s: float
    ) -> Mapping[str, int]:
        """Raises `Fenced` for an old epoch, `NotFound` for an unknown target; then nothing is set.

        `op_id` is of no use here: setting a weight twice is setting it once.
        """
        deadline = Deadline(deadline_s)
        for target in weights:
            seen = Shelf(self._fleet.home(target)).epoch()
            if epoch < seen:
                raise Fenced(f"{target}: epoch {epoch} is older than {seen}")
        answer = self._fleet.router(
            "/weights", dict(weights), deadline_s=max(0.01, deadline.left_s())
        )
        return {str(target): int(weight) for target, weight in answer.items()}


class _Log:
    """Hands events on one at a time, in one order, from several threads.

    When the receiver fails, turns under way go on to their end, and the failure comes after.
    """

    def __init__(
        self, clock: Clock, emit: Callable[[DriverEvent], None], *, op_id: str, epoch: int
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._form = DriverEvent(target="", phase="", ts_us=0, op_id=op_id, epoch=epoch)
        self._lock = threading.Lock()
        self._failure: Exception | None = None

    @property
    def broken(self) -> bool:
        return self._failure is not None

    def say(self, target: str, phase: str, message: str) -> None:
        with self._lock:
            now_us = self._clock.now_us()
            event = replace(self._form, target=target, phase=phase, ts_us=now_us, message=message)
            try:
                self._emit(event)
            except Exception as error:
                self._failure = self._failure or error

    def raise_if_broken(self) -> None:
        if self._failure is not None:
            raise self._failure


def _found(check: str, ok: bool, message: str) -> PreflightFinding:
    return PreflightFinding(target="", check=check, ok=ok, message=message)


def _skipped(target: str, why: str) -> TargetResult:
    return TargetResult(
        target=target, outcome=TargetOutcome.SKIPPED, digest=None, healthy=None, note=why
    )


def _as_seen(result: TargetResult, observation: Observation) -> TargetResult:
    """A skipped target's result says what it runs, as the last look found it."""
    if result.outcome is not TargetOutcome.SKIPPED:
        return result
    seen = observation.by_target()[result.target]
    return replace(result, digest=seen.digest, healthy=seen.healthy)
