"""The way back and the way out: revert targets, verify a deploy, drain a cancelled run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Event as ThreadEvent

from engine.core.back_events import TargetRollbackFailed, TargetRollbackVerified
from engine.core.closing import closing
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed
from engine.core.event_parts import NamedDigest
from engine.core.events import Event
from engine.core.fact_events import (
    RollbackVerified,
    StageApplied,
    TargetReverted,
    TargetsObserved,
    VerifySnapshot,
)
from engine.core.jcs import canonical
from engine.core.plan import Observation, RollbackPlan, TargetObservation
from engine.core.rollback_preview import plan_back
from engine.core.run import Run
from engine.core.run_events import RollbackFailed, RunCancelled, RunPaused
from engine.core.spec import StepKind
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepFailed
from engine.core.way_back import WayBack
from engine.outside import Outside
from engine.ports import StageResult
from engine.ports_observed import RuntimeFacts
from engine.recording import record
from engine.steplog import StepLogger
from engine.steps import (
    OBSERVE_DEADLINE_S,
    STAGE_DEADLINE_S,
    errored,
    facts_of,
    is_open,
    logger,
    observe,
)


def revert(out: Outside, run: Run) -> None:
    """Observe, plan from what is seen, go back, and look again before saying so."""
    log = _logger(out, run)
    log.warn(f"rollback begins: {run.rollback_reason}")
    try:
        done = _carry_out(out, run, log, only=(), cancel=out.interrupts.flag(f"{run.run_id}/back"))
    except AdapterFailed as failed:
        reason = f"no target could be reached: {failed}"
        log.error(reason)
        record(out.store, run.run_id, lambda now: _failed(now, reason, now.changed_targets))
        return
    record(out.store, run.run_id, lambda now: _reverted(now, done))


def revert_targets(out: Outside, run: Run, number: int) -> None:
    """Bring the named targets of a way back to their recorded bundles; the run stays paused."""
    # Lowered before the newest state is read, as for a stage: a full rollback takes over.
    cancel = out.interrupts.flag(run.run_id)
    run = out.store.run(run.run_id)
    way = run.way_back
    if run.status is not RunStatus.PAUSED or way is None or way.number != number:
        return
    log = _logger(out, run)
    log.warn(f"{', '.join(way.targets)} sent back by {way.by}: {way.reason}")
    try:
        done = _carry_out(out, run, log, only=way.targets, cancel=cancel)
    except AdapterFailed as failed:
        reason = f"no target could be reached: {failed}"
        log.error(reason)
        record(out.store, run.run_id, lambda now: _named_failed(now, way, way.targets, reason))
        return
    record(out.store, run.run_id, lambda now: _named_reverted(now, way, done))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What was tried and what came of it; `op_id` names it to the driver."""

    plan: RollbackPlan
    op_id: str
    result: StageResult


def _logger(out: Outside, run: Run) -> StepLogger:
    deployed = [s for s in run.steps if s.spec.kind is StepKind.DEPLOY and s.attempts]
    step = deployed[-1] if deployed else run.steps[0]
    return logger(out, run, step.id, len(step.attempts))


def _carry_out(
    out: Outside, run: Run, log: StepLogger, *, only: Sequence[str], cancel: ThreadEvent
) -> _Done:
    plan = plan_back(run, observe(out, run.environment), only)
    log.info(
        f"{len(plan.plan.changes)} targets go back, {len(plan.unchanged)} unchanged, "
        f"plan {plan.digest.short}"
    )
    # A way back that is gone on with after a lost engine is the same deed.
    number = "" if run.way_back is None else f"{run.way_back.number}/"
    op_id = f"{run.run_id}/rollback/{number}{plan.digest.short}"
    result = out.places[run.environment].driver.apply(
        plan.plan,
        op_id=op_id,
        epoch=run.epoch,
        deadline_s=STAGE_DEADLINE_S,
        cancel=cancel,
        emit=log.driver,
    )
    return _Done(plan=plan, op_id=op_id, result=result)


def _seen_back(run: Run, done: _Done) -> tuple[Event, ...]:
    """What each target answered, then what all of them are seen to be: the last word."""
    results = zip(done.result.results, done.plan.plan.changes, strict=True)
    return (
        *(
            TargetReverted(
                target=one.target,
                outcome=one.outcome.value,
                to_digest=change.to_digest,
                digest=one.digest,
                healthy=one.healthy,
                note=one.note,
                duration_ms=one.duration_ms,
                op_id=done.op_id,
                epoch=run.epoch,
            )
            for one, change in results
        ),
        TargetsObserved(
            purpose="rollback", targets=facts_of(done.result.observation, run.request.targets)
        ),
    )


def _not_back(run: Run, done: _Done, targets: Collection[str]) -> dict[str, str]:
    """Those of `targets` that are not seen on their recorded bundle and healthy; each with why."""
    seen = done.result.observation.by_target()
    stuck = dict(done.plan.irreversible)
    notes = {one.target: one.note for one in done.result.results}
    return {
        t.target: stuck.get(t.target) or notes.get(t.target) or _unseen(seen.get(t.target))
        for t in run.targets
        if t.target in targets
        and (
            t.target not in seen
            or t.baseline is None
            or seen[t.target].digest != t.baseline
            or seen[t.target].healthy is not True
            or seen[t.target].serving is False
        )
    }


def _unseen(one: TargetObservation | None) -> str:
    return "it gets no traffic" if one is not None and one.serving is False else ""


def _told(wrong: Mapping[str, str]) -> str:
    named = ", ".join(f"{target} ({why})" if why else target for target, why in wrong.items())
    return f"not back on their recorded bundle and healthy: {named}"


def _reverted(run: Run, done: _Done) -> Sequence[Event]:
    if run.status is not RunStatus.ROLLING_BACK:
        return ()
    seen = _seen_back(run, done)
    # What this run never touched is not its to answer for, sick or not.
    changes = tuple(c.target for c in done.plan.plan.changes)
    wrong = _not_back(run, done, {*run.touched_targets, *changes})
    if wrong:
        return (*seen, *_failed(run, _told(wrong), tuple(wrong), done.plan.digest))
    return (*seen, RollbackVerified(targets=changes, plan=done.plan.digest))


def _failed(
    run: Run, reason: str, targets: Sequence[str], plan: Digest | None = None
) -> Sequence[Event]:
    if run.status is not RunStatus.ROLLING_BACK:
        return ()
    return (RollbackFailed(via="revert_error", reason=reason, targets=tuple(targets), plan=plan),)


def _named_reverted(run: Run, way: WayBack, done: _Done) -> Sequence[Event]:
    seen = _seen_back(run, done)
    if run.way_back is None or run.way_back.number != way.number:
        return seen  # a full rollback took over; what happened is a fact all the same
    wrong = _not_back(run, done, way.targets)
    if wrong:
        return (*seen, *_named_failed(run, way, tuple(wrong), _told(wrong)))
    verified = TargetRollbackVerified(
        number=way.number,
        targets=way.targets,
        plan=done.plan.digest,
        op_id=done.op_id,
        epoch=run.epoch,
    )
    return (*seen, verified)


def _named_failed(run: Run, way: WayBack, targets: Sequence[str], reason: str) -> Sequence[Event]:
    if run.way_back is None or run.way_back.number != way.number:
        return ()
    return (
        TargetRollbackFailed(
            number=way.number, targets=tuple(targets), reason=reason, epoch=run.epoch
        ),
    )


def drain(out: Outside, run: Run, *, last: bool) -> None:
    """A cancelled run ends only after a look at the targets: what changed is not cancelled.

    Args:
        last: the time is up; when they cannot be looked at now either, it ends by force.
    """
    try:
        observation = observe(out, run.environment)
    except AdapterFailed as failed:
        step = run.current_step or run.steps[0]
        logger(out, run, step.id, len(step.attempts)).error(f"cannot look: {failed}")
        if last:  # else it is asked again
            why = str(failed)
            record(out.store, run.run_id, lambda now: _forced(now, why))
        return
    record(out.store, run.run_id, lambda now: _drained(now, observation))


def _forced(run: Run, reason: str) -> Sequence[Event]:
    if run.status is not RunStatus.CANCELLING:
        return ()
    why = f"cancelled by force after 60 s; the targets could not be looked at: {reason}"
    return (RunCancelled(via="cancel_timeout", reason=why, forced=True), *closing(run, why))


def _drained(run: Run, observation: Observation) -> Sequence[Event]:
    if run.status is not RunStatus.CANCELLING:
        return ()
    facts = facts_of(observation, run.request.targets)
    if run.plan is None:
        # Cancelled before the baseline was taken: nothing can have been touched by this run.
        why = "cancelled before any target was looked at"
        return (RunCancelled(via="drained", reason=why), *closing(run, why))
    baseline = {t.target: t.baseline for t in run.targets}
    # Where the bundle before this run was not known, only ours is a change.
    changed = [
        f.target
        for f in facts
        if f.digest is not None
        and f.digest != baseline[f.target]
        and (baseline[f.target] is not None or f.digest == run.bundle)
    ]
    seen = TargetsObserved(purpose="drain", targets=tuple(f for f in facts if f.digest))
    if changed:
        paused = RunPaused(
            via="target_changed",
            pause_reason="cancel_after_change",
            reason=f"targets changed while cancelling: {', '.join(changed)}",
        )
        return (seen, paused)
    why = "cancelled; no target changed"
    return (seen, RunCancelled(via="drained", reason=why), *closing(run, why))


def verify_targets(out: Outside, run: Run, step: str, attempt: int) -> None:
    """See that every target runs the bundle and is healthy, and snapshot what is loaded."""
    log = logger(out, run, step, attempt)
    place = out.places[run.environment]
    try:
        observation = observe(out, run.environment)
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    runtime = place.runtime.observe(deadline_s=OBSERVE_DEADLINE_S) if place.runtime else {}
    events = _snapshot(out, run, step, attempt, observation, runtime)
    for event in events:
        if isinstance(event, StepFailed):
            log.error(event.reason)
        if isinstance(event, VerifySnapshot):
            log.info(
                f"{event.on_bundle}/{event.total} targets on the bundle, "
                f"{event.healthy}/{event.total} healthy, "
                f"{event.observed_components}/{event.components} components observed loaded"
            )
    record(out.store, run.run_id, lambda now: events if is_open(now, step, attempt) else ())


def _snapshot(
    out: Outside,
    run: Run,
    step: str,
    attempt: int,
    observation: Observation,
    reports: Mapping[str, RuntimeFacts],
) -> tuple[Event, ...]:
    facts = facts_of(observation, run.request.targets)
    whole = set(run.cohort(_last_deploy(run)))
    expected = [f for f in facts if f.target in whole]
    on_bundle = [f for f in expected if f.digest == run.bundle]
    healthy = [f for f in expected if f.healthy is True]
    components = sorted({c for r in reports.values() for c in r.components})
    observed = sorted({c for r in reports.values() for c in r.observed})
    blob = out.store.blobs.put(_document(run, observation, reports, components, observed))
    seen: tuple[Event, ...] = (
        TargetsObserved(purpose="verify", targets=facts),
        VerifySnapshot(
            step=step,
            attempt=attempt,
            on_bundle=len(on_bundle),
            healthy=len(healthy),
            total=len(expected),
            observed_components=len(observed),
            components=len(components),
            snapshot=blob,
        ),
    )
    wrong = [f.target for f in expected if f not in on_bundle]
    named = {
        f"not on {run.bundle.short}": wrong,
        "not healthy": [f.target for f in expected if f not in healthy],
        "without traffic": [
            o.target for o in observation.targets if o.target in whole and o.serving is False
        ],
    }
    if any(named.values()):
        failed = StepFailed(
            step=step,
            attempt=attempt,
            result="WRONG" if wrong else "UNHEALTHY",
            reason="; ".join(f"{what}: {', '.join(who)}" for what, who in named.items() if who),
            outputs=(NamedDigest(name="runtime-snapshot.json", digest=blob),),
        )
        return (*seen, failed)
    applied = StageApplied(step=step, attempt=attempt, plan=blob, changed=0, noop=len(expected))
    return (*seen, applied)


def _document(
    run: Run,
    observation: Observation,
    reports: Mapping[str, RuntimeFacts],
    components: Sequence[str],
    observed: Sequence[str],
) -> bytes:
    """What ran on every target at this moment, and which components were seen loaded."""
    return canonical(
        {
            "schema": "releaseline.runtime-snapshot/1",
            "run": run.run_id,
            "observedAtUs": observation.observed_at_us,
            "source": observation.source,
            "targets": [
                {
                    "target": f.target,
                    "digest": None if f.digest is None else str(f.digest),
                    "healthy": f.healthy,
                    "componentsObserved": list(reports[f.target].observed)
                    if f.target in reports
                    else None,
                }
                for f in facts_of(observation, run.request.targets)
            ],
            "components": components,
            "observed": observed,
        }
    )


def _last_deploy(run: Run) -> str:
    return run.cohorts[-1].step if run.cohorts else ""
