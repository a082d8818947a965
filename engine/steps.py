"""The steps of a run, carried out: resolve inputs, set targets, verify, go back.

Each function does one outside thing for an attempt that the log already knows of, and records the
answer. It may be killed at any line and is then called again for a new attempt: what it finds by
looking decides, not what it remembers.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.bundle import Attachment, Component
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.event_parts import NamedDigest, StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    InputFact,
    InputsMaterialized,
    RolloutPlanned,
    StageApplied,
    TargetSet,
    TargetsObserved,
)
from engine.core.jcs import canonical
from engine.core.plan import Observation, cohort, plan_rollback, plan_stage
from engine.core.run import Run
from engine.core.spec import StepKind, rollout_plan_digest
from engine.core.statemachine import RunStatus
from engine.core.step_events import StepErrored, StepFailed, StepSucceeded
from engine.outside import Outside
from engine.ports import ResolvedInput, StageResult, TargetOutcome, TargetResult
from engine.recording import record
from engine.steplog import StepLogger

OBSERVE_DEADLINE_S = 10.0
INPUT_DEADLINE_S = 10.0
STAGE_DEADLINE_S = 900.0


def logger(out: Outside, run: Run, step: str, attempt: int) -> StepLogger:
    return StepLogger(
        store=out.store, clock=out.clock, run_id=run.run_id, step=step, attempt=attempt
    )


def materialize_inputs(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Resolve every declared input, re-hash the bundle, observe the targets, plan the rollout."""
    log = logger(out, run, step, attempt)
    problems: list[str] = []
    resolved: list[ResolvedInput] = []
    try:
        for declared in out.settings.environment(run.environment).inputs:
            where = f"{declared.name} ({declared.scheme}:{declared.path})"
            source = out.secrets.get(declared.scheme)
            if source is None:
                problems.append(f"{where}: no source reads {declared.scheme!r} here")
                continue
            try:
                one = source.resolve(declared.name, declared.path, deadline_s=INPUT_DEADLINE_S)
            except NotFound:
                problems.append(where)
                log.error(f"input {where} is missing")
                continue
            resolved.append(one)
            log.info(f"input {declared.name} resolved from {one.path} {one.version}".rstrip())
        checked, broken = _rehash(out, run, log)
        observation = out.places[run.environment].driver.observe(deadline_s=OBSERVE_DEADLINE_S)
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    if broken or problems:
        parts = [*broken]
        if problems:
            parts.append(f"{len(problems)} missing: {', '.join(problems)}")
        reason = "; ".join(parts)
        log.error(reason)
        _end(out, run, step, attempt, result="MISSING" if problems else "MISMATCH", reason=reason)
        return
    document = _resolved_document(run, resolved, checked)
    blob = out.store.blobs.put(document)
    log.info(f"{len(resolved)} inputs resolved, {checked} artifacts re-hashed, 0 missing")
    record(
        out.store,
        run.run_id,
        lambda now: _materialized(now, step, attempt, resolved, checked, blob, observation),
    )


def _rehash(out: Outside, run: Run, log: StepLogger) -> tuple[int, list[str]]:
    """Read every artifact of the bundle back; the store re-hashes what it hands out."""
    checked, broken = 0, []
    try:
        bundle = out.catalog.get(run.bundle)
    except (Malformed, NotFound) as error:
        return 0, [f"bundle manifest: {error}"]
    items: tuple[Component | Attachment, ...] = (*bundle.components, *bundle.attachments)
    for item in items:
        name = item.name if isinstance(item, Component) else f"{item.kind} document"
        try:
            content = out.store.blobs.get(item.digest)
        except NotFound:
            broken.append(f"{name}: artifact {item.digest} is missing")
            continue
        except Malformed as error:
            broken.append(f"{name}: digest mismatch, {error}")
            continue
        checked += 1
        log.info(f"{name} {item.digest} re-hashed, {len(content)} bytes")
    return checked, broken


def _resolved_document(run: Run, resolved: Sequence[ResolvedInput], checked: int) -> bytes:
    return canonical(
        {
            "schema": "releaseline.resolved-inputs/1",
            "run": run.run_id,
            "environment": run.environment,
            "bundle": str(run.bundle),
            "artifactsChecked": checked,
            "inputs": [
                {
                    "name": one.name,
                    "path": one.path,
                    "version": one.version,
                    "valueHmacSha256": one.value_hmac,
                }
                for one in sorted(resolved, key=lambda one: one.name)
            ],
        }
    )


def _materialized(
    run: Run,
    step: str,
    attempt: int,
    resolved: Sequence[ResolvedInput],
    checked: int,
    blob: Digest,
    observation: Observation,
) -> Sequence[Event]:
    if not is_open(run, step, attempt):
        return ()
    events: list[Event] = []
    if run.plan is None:  # the first look is the baseline for ever; a retry must not move it
        events.append(_baseline(run, observation))
        events.append(_planned(run, observation))
    facts = tuple(
        InputFact(name=r.name, path=r.path, version=r.version, value_hmac=r.value_hmac)
        for r in resolved
    )
    return (
        *events,
        InputsMaterialized(
            step=step, attempt=attempt, inputs=facts, components=checked, resolved=blob
        ),
        StepSucceeded(
            step=step,
            attempt=attempt,
            result="RESOLVED",
            summary=f"{len(facts)} inputs resolved, {checked} artifacts re-hashed, 0 missing",
            outputs=(NamedDigest(name="resolved-inputs.json", digest=blob),),
        ),
    )


def _baseline(run: Run, observation: Observation) -> TargetsObserved:
    seen = observation.by_target()
    facts = []
    for target in run.request.targets:
        one = seen.get(target)
        digest = None if one is None else one.digest
        reversible = one is not None and digest is not None and digest in one.present
        note = "" if one is None else one.note
        if not reversible and not note:
            note = "its bundle before this run is unknown or no longer on the target"
        facts.append(
            TargetFact(
                target=target,
                digest=digest,
                healthy=None if one is None else one.healthy,
                reversible=reversible,
                note=note,
            )
        )
    return TargetsObserved(purpose="baseline", targets=tuple(facts))


def _planned(run: Run, observation: Observation) -> RolloutPlanned:
    cohorts = tuple(
        StageCohort(
            step=step.id,
            targets=cohort(
                run.request.targets, share_bp=step.spec.share_bp, minimum=step.spec.min_targets
            ),
        )
        for step in run.steps
        if step.spec.kind is StepKind.DEPLOY
    )
    facts = _baseline(run, observation).targets
    whole = {target for c in cohorts for target in c.targets}
    back = plan_rollback(
        run_id=run.run_id,
        environment=run.environment,
        baseline={f.target: f.digest for f in facts},
        current={f.target: run.bundle if f.target in whole else f.digest for f in facts},
        present={f.target: ((f.digest,) if f.reversible and f.digest else ()) for f in facts},
    )
    stuck = {target for target, _why in back.irreversible}
    return RolloutPlanned(
        cohorts=cohorts,
        plan=rollout_plan_digest(tuple((c.step, c.targets) for c in cohorts), run.bundle),
        rollback=back.digest,
        irreversible=tuple(f for f in facts if f.target in stuck),
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
    plan = plan_stage(
        run_id=run.run_id,
        step=step,
        environment=run.environment,
        bundle=run.bundle,
        targets=run.cohort(step),
        observed={t.target: t.current for t in run.targets},
    )
    log.info(f"{len(plan.changes)} targets planned, plan {plan.digest.short}")
    current = run.step(step).attempt
    assert current is not None
    try:
        result = place.driver.apply(
            plan,
            op_id=current.op_id,
            epoch=run.epoch,
            deadline_s=STAGE_DEADLINE_S,
            cancel=cancel,
            emit=log.driver,
        )
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    record(out.store, run.run_id, lambda now: _applied(now, step, attempt, plan.digest, result))


def _applied(
    run: Run, step: str, attempt: int, plan: Digest, result: StageResult
) -> Sequence[Event]:
    sets: tuple[Event, ...] = tuple(
        TargetSet(
            step=step,
            attempt=attempt,
            target=one.target,
            outcome=one.outcome.value,
            from_digest=next((t.current for t in run.targets if t.target == one.target), None),
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
            plan=plan,
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


def _end(out: Outside, run: Run, step: str, attempt: int, *, result: str, reason: str) -> None:
    record(
        out.store,
        run.run_id,
        lambda now: (
            (StepFailed(step=step, attempt=attempt, result=result, reason=reason),)
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
