"""What the outside world answers in a played run: targets that change, a gate that decides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.core.digest import Digest
from engine.core.effect_kinds import (
    AcquireLock,
    ApplyStage,
    EvaluateGate,
    MaterializeInputs,
    Record,
    Revert,
    SeeApprovers,
    VerifyTargets,
    Watch,
)
from engine.core.event_parts import InputFact, NamedDigest, StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    RollbackVerified,
    RolloutPlanned,
    StageApplied,
    TargetReverted,
    TargetSet,
    TargetsObserved,
    VerifySnapshot,
)
from engine.core.gate_answers import gate_decided
from engine.core.people_events import ApproversSeen
from engine.core.plan import cohort
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.run_events import RunStarted
from engine.core.step_events import StepFailed, StepSucceeded
from tests.evidence.kit_runtime import capsule_of, snapshot_of

if TYPE_CHECKING:
    from tests.evidence.kit import World

OLD = Digest.of(b"old")
TARGETS = tuple(f"eu-prod-{n:02d}" for n in range(1, 11))
D = Digest.of(b"any")


def answer(world: World, run: Run, effect: object) -> tuple[Event, ...]:
    blobs = world.store.blobs
    match effect:
        case Record(events=events):
            return events
        case AcquireLock():
            return (RunStarted(via="lock_acquired", epoch=1),)
        case SeeApprovers(step=step, attempt=attempt):
            return (ApproversSeen(step=step, attempt=attempt, approvers=("bob", "carol")),)
        case MaterializeInputs(step=step, attempt=attempt):
            resolved = blobs.put(b'{"schema":"releaseline.resolved-inputs/1"}')
            facts = tuple(TargetFact(target=target, digest=OLD, healthy=True) for target in TARGETS)
            stages = (("canary-10", 1_000), ("full-100", 10_000))
            return (
                TargetsObserved(purpose="baseline", targets=facts),
                RolloutPlanned(
                    cohorts=tuple(
                        StageCohort(step=name, targets=cohort(TARGETS, share_bp=share))
                        for name, share in stages
                    ),
                    plan=D,
                    rollback=D,
                    irreversible=(),
                ),
                InputsMaterialized(
                    step=step,
                    attempt=attempt,
                    inputs=(InputFact(name="db", path="env:DB", version="", value_hmac="0" * 64),),
                    components=3,
                    resolved=resolved,
                ),
                StepSucceeded(step=step, attempt=attempt, result="RESOLVED", summary="1 input"),
            )
        case EvaluateGate(step=step, attempt=attempt):
            return _judged(world, step, attempt)
        case ApplyStage(step=step, attempt=attempt):
            targets = run.cohort(step)
            return (
                *(
                    TargetSet(
                        step=step,
                        attempt=attempt,
                        target=target,
                        outcome="changed",
                        from_digest=OLD,
                        to_digest=run.bundle,
                        digest=run.bundle,
                        healthy=True,
                        note="",
                        duration_ms=12,
                    )
                    for target in targets
                ),
                StageApplied(step=step, attempt=attempt, plan=D, changed=len(targets), noop=0),
            )
        case VerifyTargets(step=step, attempt=attempt):
            snapshot = blobs.put(snapshot_of(run.bundle, TARGETS, world.clock.now_us()))
            return (
                VerifySnapshot(
                    step=step,
                    attempt=attempt,
                    on_bundle=10,
                    healthy=10,
                    total=10,
                    observed_components=2,
                    components=3,
                    snapshot=snapshot,
                ),
                StageApplied(step=step, attempt=attempt, plan=D, changed=0, noop=10),
            )
        case Watch(step=step, attempt=attempt):
            return _watched(world, run, step, attempt)
        case Revert():
            return _reverted(run)
    raise AssertionError(effect)


def _judged(world: World, step: str, attempt: int) -> tuple[Event, ...]:
    blobs = world.store.blobs
    verdict = blobs.put(b'{"decision":"any"}')
    capsule = blobs.put(capsule_of(blobs, world.findings))
    passed = world.decision == "PASS"
    evaluated = PolicyEvaluated(
        step=step,
        attempt=attempt,
        verdict_id="verdict-1",
        decision=world.decision,
        warn=2,
        fail=int(not passed),
        error=False,
        verdict=verdict,
        policy=D,
        policy_input=D,
        capsule=capsule,
        notes=("WARN feeds",),
    )
    outputs = (
        NamedDigest(name="verdict.json", digest=verdict),
        NamedDigest(name="capsule.json", digest=capsule),
    )
    if passed:
        return (
            evaluated,
            StepSucceeded(step=step, attempt=attempt, result="PASS", summary="ok", outputs=outputs),
        )
    return (
        evaluated,
        StepFailed(step=step, attempt=attempt, result="FAIL", reason="KEV", outputs=outputs),
    )


def _watched(world: World, run: Run, step: str, attempt: int) -> tuple[Event, ...]:
    action, rule = ("rollback", 4) if world.breach == step else ("promote", 10)
    ticks = tuple(
        GateTick(
            run_id=run.run_id,
            step=step,
            attempt=attempt,
            n=n,
            t_ms=n * 5_000,
            ts_us=world.clock.now_us(),
            tick=json.dumps({"t_ms": n * 5_000, "status": "ok"}),
            action="hold" if n < 3 else action,
            rule=9 if n < 3 else rule,
            reason="warming up" if n < 3 else "decided",
        )
        for n in range(1, 4)
    )
    if not any(
        tick.attempt == attempt for tick in world.store.gate_ticks(run.run_id, step, attempt)
    ):
        world.store.record(ticks)  # a power cut may have come right behind it
    decided = GateDecided(
        step=step,
        attempt=attempt,
        action=action,
        rule=rule,
        reason="the gate decided",
        t_ms=15_000,
        ticks=3,
        evidence=world.store.blobs.put(b'{"counts":"any"}'),
    )
    return tuple(gate_decided(run, decided))


def _reverted(run: Run) -> tuple[Event, ...]:
    changed = run.changed_targets
    return (
        *(
            TargetReverted(
                target=target,
                outcome="changed",
                to_digest=OLD,
                digest=OLD,
                healthy=True,
                note="",
                duration_ms=9,
            )
            for target in changed
        ),
        RollbackVerified(targets=changed, plan=D),
    )
