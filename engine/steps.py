"""The steps of a run, carried out: set targets and say what came of it; what all steps share.

Each function does one outside thing for an attempt that the log already knows of, and records the
answer. It may be killed at any line and is then called again for a new attempt: what it finds by
looking decides, not what it remembers.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.back_events import TargetTouched
from engine.core.errors import AdapterFailed
from engine.core.event_parts import TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    StageApplied,
    TargetSet,
)
from engine.core.plan import Observation, StagePlan, plan_stage
from engine.core.rollback_preview import readiness
from engine.core.run import Run
from engine.core.spec import ROLLBACK
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepErrored, StepFailed
from engine.outside import Outside
from engine.ports import DriverEvent, StageResult, TargetOutcome, TargetResult
from engine.recording import record
from engine.steplog import StepLogger

OBSERVE_DEADLINE_S = 10.0
STAGE_DEADLINE_S = 900.0
_SWITCH = "switch"  # the driver exchanges what a target runs (R12)


def observe(out: Outside, environment: str) -> Observation:
    """Look at every target of the environment. Raises `AdapterFailed`."""
    return out.places[environment].driver.observe(deadline_s=OBSERVE_DEADLINE_S)


def logger(out: Outside, run: Run, step: str, attempt: int) -> StepLogger:
    return StepLogger(
        store=out.store, clock=out.clock, run_id=run.run_id, step=step, attempt=attempt
    )


def apply_stage(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Bring the stage's cohort to the bundle and record what every target answered."""
    # Lowered before the newest state is read: a command that came earlier is seen in the state,
    # one that comes later raises the flag. Between the two there is no gap.
    cancel = out.interrupts.flag(run.run_id)
    run = out.store.run(run.run_id)
    if run.status is not RunStatus.RUNNING or not is_open(run, step, attempt):
        return
    log = logger(out, run, step, attempt)
    place = out.places[run.environment]
    current = run.step(step).attempt
    assert current is not None

    def heard(said: DriverEvent) -> None:
        log.driver(said)
        if said.phase == _SWITCH:  # told before the deed: from here on there is a way back to go
            touched = TargetTouched(step=step, attempt=attempt, target=said.target)
            record(out.store, run.run_id, lambda _: (touched,))

    try:
        # Before every stage: what could be gone back to yesterday may be off the disk today.
        seen = observe(out, run.environment)
        ready = readiness(run, step, seen)
        for one in ready.stuck:
            log.warn(f"cannot go back: {one.note}", target=one.target)
        record(out.store, run.run_id, lambda now: (ready,) if is_open(now, step, attempt) else ())
        plan = _plan(run, step, seen)
        log.info(f"{len(plan.changes)} targets planned, plan {plan.digest.short}")
        result = place.driver.apply(
            plan,
            op_id=current.op_id,
            epoch=run.epoch,
            deadline_s=STAGE_DEADLINE_S,
            cancel=cancel,
            emit=heard,
        )
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    record(out.store, run.run_id, lambda now: _applied(now, step, attempt, plan, result))


def _plan(run: Run, step: str, seen: Observation) -> StagePlan:
    """What the stage changes, from what is on record; where that is unknown, from what is seen."""
    looked = seen.by_target()
    known = {
        t.target: looked[t.target].digest if t.current is None and t.target in looked else t.current
        for t in run.targets
    }
    return plan_stage(
        run_id=run.run_id,
        step=step,
        environment=run.environment,
        bundle=run.bundle,
        targets=run.cohort(step),
        observed=known,
        # A way back tries every target, whatever fails.
        max_failures=len(run.targets) if run.request.kind == ROLLBACK else 0,
    )


def _applied(
    run: Run, step: str, attempt: int, plan: StagePlan, result: StageResult
) -> Sequence[Event]:
    before = {change.target: change.from_digest for change in plan.changes}
    sets: tuple[Event, ...] = tuple(
        TargetSet(
            step=step,
            attempt=attempt,
            target=one.target,
            outcome=one.outcome.value,
            from_digest=before[one.target],
            to_digest=run.bundle,
            digest=one.digest,
            healthy=one.healthy,
            note=one.note,
            duration_ms=one.duration_ms,
        )
        for one in result.results
    )
    if not is_open(run, step, attempt):
        return sets
    count = {
        outcome: sum(one.outcome is outcome for one in result.results) for outcome in TargetOutcome
    }
    if result.ok:
        applied = StageApplied(
            step=step,
            attempt=attempt,
            plan=plan.digest,
            changed=count[TargetOutcome.CHANGED],
            noop=count[TargetOutcome.NOOP],
        )
        return (*sets, applied)
    bad = [r for r in result.results if r.outcome not in _GOOD or r.healthy is not True]
    if all(r.outcome is TargetOutcome.SKIPPED for r in bad):
        return sets  # stopped between targets by a command; the command says how it goes on
    good = len(result.results) - len(bad)
    named = "; ".join(f"{r.target} {_word(r)} {r.note}".rstrip() for r in bad[:3])
    reason = f"{good} of {len(result.results)} targets set and healthy; {named}"
    # No answer is not "no": it is looked at again before anything is decided.
    if any(r.outcome is TargetOutcome.UNKNOWN or _silent(r) for r in bad):
        unknown = StepErrored(
            step=step, attempt=attempt, cause="adapter", reason=reason, transient=True
        )
        return (*sets, unknown)
    return (*sets, StepFailed(step=step, attempt=attempt, result="NOT_SET", reason=reason))


_GOOD = frozenset({TargetOutcome.CHANGED, TargetOutcome.NOOP})


def _silent(result: TargetResult) -> bool:
    return result.outcome in _GOOD and result.healthy is None


def _word(result: TargetResult) -> str:
    if result.outcome not in _GOOD:
        return result.outcome.value
    return "set, no answer" if result.healthy is None else "set, not healthy"


def is_open(run: Run, step: str, attempt: int) -> bool:
    state = run.step(step)
    return state.open and state.attempt is not None and state.attempt.number == attempt


def errored(out: Outside, run: Run, step: str, attempt: int, failed: AdapterFailed) -> None:
    logger(out, run, step, attempt).error(str(failed))
    record(
        out.store,
        run.run_id,
        lambda now: (
            (
                StepErrored(
                    step=step,
                    attempt=attempt,
                    cause="adapter",
                    reason=str(failed),
                    transient=failed.transient,
                ),
            )
            if is_open(now, step, attempt)
            else ()
        ),
    )


def facts_of(observation: Observation, targets: Sequence[str]) -> tuple[TargetFact, ...]:
    """What was seen of `targets`; one without an answer is unknown, not gone."""
    seen = observation.by_target()
    return tuple(
        TargetFact(
            target=target,
            digest=seen[target].digest if target in seen else None,
            healthy=seen[target].healthy if target in seen else None,
            note=seen[target].note if target in seen else "no answer",
        )
        for target in targets
    )
