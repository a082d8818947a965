"""The way back and the way out: revert targets, verify a deploy, drain a cancelled run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.decide import closing
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
from engine.core.plan import Observation, RollbackPlan, TargetObservation, plan_rollback
from engine.core.run import Run
from engine.core.run_events import RollbackFailed, RunCancelled, RunPaused
from engine.core.spec import StepKind
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepFailed
from engine.outside import Outside
from engine.ports import RuntimeFacts, StageResult
from engine.recording import record
from engine.steps import OBSERVE_DEADLINE_S, STAGE_DEADLINE_S, errored, facts_of, is_open, logger


def revert(out: Outside, run: Run) -> None:
    """Observe, plan from what is seen, go back, and look again before saying so."""
    deployed = [s for s in run.steps if s.spec.kind is StepKind.DEPLOY and s.attempts]
    step = deployed[-1] if deployed else run.steps[0]
    log = logger(out, run, step.id, len(step.attempts))
    driver = out.places[run.environment].driver
    log.warn(f"rollback begins: {run.rollback_reason}")
    try:
        observation = driver.observe(deadline_s=OBSERVE_DEADLINE_S)
        plan = _plan(run, observation)
        log.info(
            f"{len(plan.plan.changes)} targets go back, {len(plan.unchanged)} unchanged, "
            f"plan {plan.digest.short}"
        )
        result = driver.apply(
            plan.plan,
            op_id=f"{run.run_id}/rollback/{plan.digest.short}",
            epoch=run.epoch,
            deadline_s=STAGE_DEADLINE_S,
            cancel=out.interrupts.flag(f"{run.run_id}/rollback"),
            emit=log.driver,
        )
    except AdapterFailed as failed:
        reason = f"no target could be reached: {failed}"
        log.error(reason)
        record(out.store, run.run_id, lambda now: _failed(now, reason, now.changed_targets))
        return
    record(out.store, run.run_id, lambda now: _reverted(now, plan, result))


def _plan(run: Run, observation: Observation) -> RollbackPlan:
    seen = observation.by_target()
    touched = set(run.touched_targets)
    present = {}
    for known in run.targets:
        one = seen.get(known.target)
        present[known.target] = () if one is None else one.present
        if known.reversible and known.baseline is not None and not _answered(one):
            # It does not answer, so what it holds is not known: a rollback tries every target.
            present[known.target] = (known.baseline,)
    return plan_rollback(
        run_id=run.run_id,
        environment=run.environment,
        baseline={t.target: t.baseline for t in run.targets},
        current={t: o.digest for t, o in seen.items()},
        present=present,
        only=[
            t.target
            for t in run.targets
            if t.target in touched
            or (t.baseline is not None and t.target in seen and seen[t.target].digest == t.baseline)
        ],
    )


def _answered(one: TargetObservation | None) -> bool:
    return one is not None and one.digest is not None


def _reverted(run: Run, plan: RollbackPlan, result: StageResult) -> Sequence[Event]:
    if run.status is not RunStatus.ROLLING_BACK:
        return ()
    events: list[Event] = [
        TargetReverted(
            target=one.target,
            outcome=one.outcome.value,
            to_digest=change.to_digest,
            digest=one.digest,
            healthy=one.healthy,
            note=one.note,
            duration_ms=one.duration_ms,
        )
        for one, change in zip(result.results, plan.plan.changes, strict=True)
    ]
    seen = result.observation.by_target()
    # What this run never touched is not its to answer for, sick or not.
    touched = set(run.touched_targets) | {c.target for c in plan.plan.changes}
    baseline = {t.target: t.baseline for t in run.targets if t.target in touched}
    wrong = [
        target
        for target, digest in baseline.items()
        if target not in seen or seen[target].digest != digest or seen[target].healthy is not True
    ]
    # The last word is the observation of all targets, not what the change answered.
    events.append(
        TargetsObserved(
            purpose="rollback", targets=facts_of(result.observation, run.request.targets)
        )
    )
    if wrong:
        why = dict(plan.irreversible)
        named = ", ".join(f"{t} ({why[t]})" if t in why else t for t in wrong)
        return (*events, *_failed(run, f"not back on their recorded bundle: {named}", wrong))
    return (
        *events,
        RollbackVerified(targets=tuple(c.target for c in plan.plan.changes), plan=plan.digest),
    )


def _failed(run: Run, reason: str, targets: Sequence[str]) -> Sequence[Event]:
    if run.status is not RunStatus.ROLLING_BACK:
        return ()
    return (RollbackFailed(via="revert_error", reason=reason, targets=tuple(targets)),)


def drain(out: Outside, run: Run, *, last: bool) -> None:
    """A cancelled run ends only after a look at the targets: what changed is not cancelled.

    Args:
        last: the time is up; when they cannot be looked at now either, it ends by force.
    """
    try:
        observation = out.places[run.environment].driver.observe(deadline_s=OBSERVE_DEADLINE_S)
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
        observation = place.driver.observe(deadline_s=OBSERVE_DEADLINE_S)
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
    document = canonical(
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
                for f in facts
            ],
            "components": components,
            "observed": observed,
        }
    )
    blob = out.store.blobs.put(document)
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
    sick = [f.target for f in expected if f not in healthy]
    if wrong or sick:
        parts = []
        if wrong:
            parts.append(f"not on {run.bundle.short}: {', '.join(wrong)}")
        if sick:
            parts.append(f"not healthy: {', '.join(sick)}")
        failed = StepFailed(
            step=step,
            attempt=attempt,
            result="WRONG" if wrong else "UNHEALTHY",
            reason="; ".join(parts),
            outputs=(NamedDigest(name="runtime-snapshot.json", digest=blob),),
        )
        return (*seen, failed)
    applied = StageApplied(step=step, attempt=attempt, plan=blob, changed=0, noop=len(expected))
    return (*seen, applied)


def _last_deploy(run: Run) -> str:
    return run.cohorts[-1].step if run.cohorts else ""
