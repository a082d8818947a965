"""A simulated outside for the pure core: random answers, people and power cuts, no I/O.

A walk asks the real `next_effect`, answers as some outside might, lets people ask for things
through the real `decide`, and records what comes of it, exactly as the shell would.
"""

from __future__ import annotations

import random

from engine.core import effects, step_times
from engine.core.back_events import (
    TargetRollbackFailed,
    TargetRollbackVerified,
    TargetTouched,
)
from engine.core.digest import Digest
from engine.core.effect_kinds import (
    AcquireLock,
    ApplyStage,
    CaptureEvidence,
    CaptureRollback,
    Drain,
    EvaluateGate,
    MaterializeInputs,
    Record,
    Revert,
    RevertTargets,
    Seal,
    SeeApprovers,
    Settle,
    VerifyTargets,
    Wait,
    Watch,
)
from engine.core.event_parts import StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    EvidenceCaptured,
    EvidenceMissing,
    EvidenceSealed,
    GateDecided,
    InputsMaterialized,
    RollbackVerified,
    RolloutPlanned,
    StageApplied,
    TargetReverted,
    TargetSet,
    TargetsObserved,
    VerifySnapshot,
)
from engine.core.gate_answers import gate_decided
from engine.core.health_stage import SHUT_ROW
from engine.core.people_events import ApproversSeen, PauseCauseSeen
from engine.core.plan import cohort
from engine.core.run_events import (
    RollbackFailed,
    RunCancelled,
    RunPaused,
    RunSealed,
    RunStarted,
)
from engine.core.spec import ApprovalGroup, StepKind
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepErrored, StepFailed, StepSucceeded
from tests.core.book import (
    APPROVERS,
    GATE,
    NEW,
    OLD,
    OTHER,
    PEOPLE,
    TARGETS,
    Book,
    D,
    command,
    request,
    steps,
)
from tests.core.crowd import Crowd

__all__ = [
    "GATE",
    "NEW",
    "OLD",
    "OTHER",
    "PEOPLE",
    "TARGETS",
    "Book",
    "D",
    "Walk",
    "command",
    "request",
    "steps",
]


def is_open(run: Run, step: str, n: int) -> bool:
    return run.step(step).open and len(run.step(step).attempts) == n


def run_waits_for_people(run: Run) -> bool:
    return run.status is RunStatus.AWAITING_APPROVAL


class Walk(Crowd):
    """Random, but the same for the same seed. `denied` counts the refusals people got."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.denied, self.timed = 0, seed % 4 == 0
        self.luck = rng.choice([0.55, 0.8, 0.97])  # how often the outside answers well
        self.busy = rng.choice([0.02, 0.06, 0.3])  # how often people ask for something
        self.strict = rng.random() < 0.5  # people end runs only now and then
        self.fleet: dict[str, Digest | None] = dict.fromkeys(TARGETS, OLD)
        if rng.random() < 0.1:
            self.fleet[rng.choice(TARGETS)] = None
        self.stuck = rng.random() < 0.1
        groups = (ApprovalGroup(name="sec", members=("carol",), required=True),)
        super().__init__(
            request(
                specs=steps(
                    idempotent=rng.random() < 0.8,
                    on_failure=rng.choice(["pause", "pause", "fail", "rollback"]),
                    gate=GATE if rng.random() < 0.9 else "",
                ),
                min_approvals=rng.choice([0, 1, 1, 2]),
                groups=groups if rng.random() < 0.2 else (),
                on_breach=rng.choice(["rollback", "rollback", "pause"]),
                initial="SCHEDULED" if rng.random() < 0.05 else "QUEUED",
            ),
            requested_by=rng.choice(["ci", "ana", "bob"]),
        )

    def play(self, moves: int = 1_200) -> Walk:
        for _ in range(moves):
            if self.current.terminal:
                break
            self._move()
        self.afterwards()
        return self

    def _move(self) -> None:
        look = effects.next_effect(self.current, self.now_us)
        if isinstance(look, SeeApprovers):  # takes no time, so nobody comes in between
            self.append(self.answer(look))
        if self.rng.random() < self.busy:
            self.people()
            return
        if self.rng.random() < 0.02:
            self.append(effects.engine_lost(self.current))
            return
        effect = effects.next_effect(self.current, self.now_us)
        match effect:
            case Wait(until_us=until):
                patient = run_waits_for_people(self.current)
                if until is not None and self.rng.random() < (0.01 if patient else 0.5):
                    self.now_us = max(self.now_us, until)
                self.people()
            case Watch(judge=False, step=step, attempt=n):
                seen = PauseCauseSeen(step=step, attempt=n, cleared=self.good(), reason="rates")
                self.append((seen,) if self.rng.random() < 0.2 else ())
                self.people()
            case ApplyStage(step=step, attempt=n):
                self._set_targets(step, n)
            case _:
                events = self.answer(effect)
                self.now_us += self.rng.choice([1_000, 1_000_000, 5_000_000])
                # A command may have come in while the outside was busy.
                often = isinstance(effect, Watch | AcquireLock)
                if self.rng.random() < (0.25 if often else 0.05):
                    before = self.current.version
                    self.people()
                    if self.current.version != before:
                        return
                self.append(events)

    def answer(self, effect: object) -> tuple[Event, ...]:
        run = self.current
        match effect:
            case Record(events=events):
                return events
            case AcquireLock():
                return (RunStarted(via="lock_acquired", epoch=3),)
            case MaterializeInputs(step=step, attempt=n):
                return self._inputs(run, step, n)
            case SeeApprovers(step=step, attempt=n):
                return (ApproversSeen(step=step, attempt=n, approvers=APPROVERS),)
            case EvaluateGate(step=step, attempt=n):
                if not self.good() and self.rng.random() < 0.5:
                    return (self._error(step, n),)
                good = self.good()
                verdict = self.verdict(run, step, n, good=good)
                if good:
                    done = StepSucceeded(step=step, attempt=n, result="PASS", summary="PASS")
                    return (verdict, done)
                return (verdict, StepFailed(step=step, attempt=n, result="FAIL", reason="no"))
            case VerifyTargets(step=step, attempt=n):
                return self._verify(step, n)
            case Watch(step=step, attempt=n):
                return self._gate(run, step, n)
            case Drain(last=last):
                return self._drain(run, last=last)
            case Revert():
                return self._revert(run)
            case Settle():
                return (TargetsObserved(purpose="pause", targets=self.facts()),)
            case RevertTargets(number=number):
                return self._revert_named(run, number)
            case CaptureEvidence(step=step, attempt=n):
                return self._evidence(run, step, n, name=f"{len(self.log)}.dsse")
            case CaptureRollback(step=step, attempt=n, number=number):
                stem = run.ways_back[number - 1].stem
                return self._evidence(run, step, n, name=f"{stem}.dsse", way=number)
            case Seal(step=step, attempt=n):
                return self._seal(run, step, n)
            case _:
                raise AssertionError(effect)

    def facts(self) -> tuple[TargetFact, ...]:
        return tuple(
            TargetFact(target=t, digest=d, healthy=None if d is None else True)
            for t, d in sorted(self.fleet.items())
        )

    def _error(self, step: str, n: int) -> StepErrored:
        return StepErrored(
            step=step, attempt=n, cause="adapter", reason="away", transient=self.rng.random() < 0.7
        )

    def _inputs(self, run: Run, step: str, n: int) -> tuple[Event, ...]:
        if not self.good():
            if self.rng.random() < 0.5:
                return (self._error(step, n),)
            return (StepFailed(step=step, attempt=n, result="MISSING", reason="1 missing"),)
        first: tuple[Event, ...] = ()
        if run.plan is None:
            cohorts = tuple(
                StageCohort(step=s.id, targets=cohort(TARGETS, share_bp=s.spec.share_bp, minimum=1))
                for s in run.steps
                if s.spec.kind is StepKind.DEPLOY
            )
            stuck = self.facts()[:1] if self.stuck else ()
            first = (
                TargetsObserved(purpose="baseline", targets=self.facts()),
                RolloutPlanned(cohorts=cohorts, plan=D, rollback=D, irreversible=stuck),
            )
        return (
            *first,
            InputsMaterialized(step=step, attempt=n, inputs=(), components=1, resolved=D),
            StepSucceeded(step=step, attempt=n, result="RESOLVED", summary="0 missing"),
        )

    def _set_targets(self, step: str, n: int) -> None:
        """One target after the other, as a driver does: each is told of before it is switched, and
        a command or a power cut in between stops what has not begun."""
        if not self.good() and self.rng.random() < 0.3:
            self.append((self._error(step, n),))
            return
        targets, sets = self.current.cohort(step), list[Event]()
        how = "good" if self.good() else self.rng.choice(["failed", "unknown"])
        for target in targets:
            before, outcome = self.fleet[target], "skipped"
            if not self._sets(step, n):
                pass
            elif before == NEW:
                outcome = "noop"
            else:
                outcome = how if target == targets[-1] and how != "good" else "changed"
                self.append((TargetTouched(step=step, attempt=n, target=target),))
                self.now_us += 1_000_000
                if self.rng.random() < 0.25:
                    self.people()
                self.fleet[target] = before if outcome == "failed" else NEW
                if self.rng.random() < 0.02:
                    self.append(effects.engine_lost(self.current))
                    return
            seen = None if outcome == "unknown" else self.fleet[target]
            sets.append(
                TargetSet(
                    step=step, attempt=n, target=target, outcome=outcome, from_digest=before,
                    to_digest=NEW, digest=seen, healthy=outcome in {"changed", "noop"}, note="",
                    duration_ms=1,
                )
            )  # fmt: skip
        outcomes = {e.outcome for e in sets if isinstance(e, TargetSet)}
        if is_open(self.current, step, n) and "skipped" not in outcomes:
            if "failed" in outcomes:
                sets.append(StepFailed(step=step, attempt=n, result="NOT_SET", reason="one failed"))
            elif "unknown" in outcomes:
                sets.append(self._error(step, n))
            else:
                sets.append(StageApplied(step=step, attempt=n, plan=D, changed=1, noop=0))
        self.append(sets)

    def _sets(self, step: str, n: int) -> bool:
        return self.current.status is RunStatus.RUNNING and is_open(self.current, step, n)

    def _verify(self, step: str, n: int) -> tuple[Event, ...]:
        if not self.good() and self.rng.random() < 0.3:
            return (self._error(step, n),)
        seen = TargetsObserved(purpose="verify", targets=self.facts())
        snapshot = VerifySnapshot(
            step=step, attempt=n, on_bundle=4, healthy=4, total=4, observed_components=1,
            components=1, snapshot=D,
        )  # fmt: skip
        if self.good():
            return (seen, snapshot, StageApplied(step=step, attempt=n, plan=D, changed=0, noop=4))
        return (seen, snapshot, StepFailed(step=step, attempt=n, result="WRONG", reason="1 wrong"))

    def _gate(self, run: Run, step: str, n: int) -> tuple[Event, ...]:
        action = self.rng.choice(["continue", "hold"])
        if self.rng.random() < 0.5:
            action = "promote" if self.good() else self.rng.choice(["rollback", "pause"])
        rule = 10
        opening = step_times.opening(run, step, self.now_us)
        if action == "promote" and opening is not None and opening.shut:
            action, rule = "continue", SHUT_ROW
        decided = GateDecided(
            step=step, attempt=n, action=action, rule=rule, reason="rates", t_ms=5_000, ticks=1,
            evidence=D,
        )  # fmt: skip
        return gate_decided(run, decided)

    def _drain(self, run: Run, *, last: bool) -> tuple[Event, ...]:
        if self.rng.random() < 0.5:  # the targets cannot be looked at
            self.now_us += 40_000_000
            if not last:
                return ()
            cancelled = RunCancelled(via="cancel_timeout", reason="by force", forced=True)
            return (cancelled, *effects.closing(run, "by force"))
        if run.plan is not None:
            changed = [t for t in run.targets if self.fleet[t.target] not in {t.baseline, None}]
            if not changed and self.rng.random() < 0.2:  # an apply that was not yet answered for
                self.fleet[TARGETS[0]] = NEW
                changed = [t for t in run.targets if self.fleet[t.target] not in {t.baseline, None}]
            if changed:
                known = tuple(f for f in self.facts() if f.digest is not None)
                return (
                    TargetsObserved(purpose="drain", targets=known),
                    RunPaused(via="target_changed", pause_reason="cancel_after_change", reason="x"),
                )
        done = RunCancelled(via="drained", reason="nothing changed")
        return (done, *effects.closing(run, "nothing changed"))

    def _revert(self, run: Run) -> tuple[Event, ...]:
        events: list[Event] = []
        stays = self.rng.choice([None, None, *TARGETS[:2]])
        for target in run.targets:
            if not target.changed or target.baseline is None or target.target == stays:
                continue
            self.fleet[target.target] = target.baseline
            events.append(
                TargetReverted(
                    target=target.target, outcome="changed", to_digest=target.baseline,
                    digest=target.baseline, healthy=True, note="", duration_ms=1,
                )
            )  # fmt: skip
        events.append(TargetsObserved(purpose="rollback", targets=self.facts()))
        if stays is not None:
            failed = RollbackFailed(via="revert_error", reason="not back", targets=(stays,))
            return (*events, failed)
        return (*events, RollbackVerified(targets=TARGETS, plan=D))

    def _revert_named(self, run: Run, number: int) -> tuple[Event, ...]:
        way, events = run.ways_back[number - 1], list[Event]()
        stays = self.rng.choice([None, None, way.targets[0]])
        for target in run.targets:
            if target.target in way.targets and target.target != stays and target.baseline:
                self.fleet[target.target] = target.baseline
                events.append(
                    TargetReverted(
                        target=target.target, outcome="changed", to_digest=target.baseline,
                        digest=target.baseline, healthy=True, note="", duration_ms=1,
                    )
                )  # fmt: skip
        events.append(TargetsObserved(purpose="rollback", targets=self.facts()))
        if stays is not None:
            failed = TargetRollbackFailed(number=number, targets=(stays,), reason="no", epoch=3)
            return (*events, failed)
        verified = TargetRollbackVerified(
            number=number, targets=way.targets, plan=D, op_id=f"back/{number}", epoch=3
        )
        return (*events, verified)

    def _evidence(
        self, run: Run, step: str, n: int, *, name: str, way: int = 0
    ) -> tuple[Event, ...]:
        if self.rng.random() < 0.05:
            return (EvidenceMissing(step=step, attempt=n, reason="no key", way_back=way),)
        captured = EvidenceCaptured(
            step=step, attempt=n, seq=run.evidence_count + 1, name=f"steps/{step}/{name}",
            envelope=D, payload=D, log_index=run.evidence_count, files=(),
        )  # fmt: skip
        return (captured,)

    def _seal(self, run: Run, step: str, n: int) -> tuple[Event, ...]:
        lost = any(way.lost for way in run.ways_back)
        if lost or any(a.evidence_missing for s in run.steps for a in s.attempts):
            return (StepFailed(step=step, attempt=n, result="INCOMPLETE", reason="missing"),)
        if not self.good():
            failed = StepFailed(step=step, attempt=n, result="INVALID", reason="does not verify")
            return (failed if self.rng.random() < 0.2 else self._error(step, n),)
        return (
            EvidenceSealed(count=run.evidence_count, chain=D, log_index=9, files=()),
            StepSucceeded(step=step, attempt=n, result="SEALED", summary="sealed"),
            RunSealed(via="sealed", seal_status="SEALED"),
        )
