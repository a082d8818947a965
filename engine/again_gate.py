"""Gate Eval of a run that takes a promotion back: is what let the old bundle in then still true?

The decision of then is asked again from its frozen question. It has to give the same answer, else
nothing vouches for the bundle and the answer is no. What today's policy and feeds would say is told
as a warning and stops nothing: people are being hurt by the other bundle now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.events import Event
from engine.core.fact_events import PolicyEvaluated
from engine.core.jcs import canonical
from engine.core.replays import Cause
from engine.core.rows import VerdictRow
from engine.core.run import Run
from engine.core.step_events import StepFailed, StepSucceeded
from engine.gate_eval import notes_of, verdict_name, verdict_now
from engine.outside import Outside
from engine.policy.replay import Replay, replay_capsule
from engine.policy.verdict import PASS, Verdict
from engine.recording import record
from engine.steplog import StepLogger
from engine.steps import is_open, logger


@dataclass(frozen=True, slots=True, kw_only=True)
class _Today:
    """`warning` is empty when today's answer is PASS as well; `verdict` None when there is none."""

    warning: str
    verdict: Verdict | None


def recheck(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Replay the verdict that let the run's bundle in before, and record what came of it."""
    log = logger(out, run, step, attempt)
    vouching = out.store.run(run.request.vouched_by)
    then = vouching.verdict
    assert then is not None  # a run without one is never chosen to vouch
    name = f"{then.verdict_id} of {vouching.run_id}"
    replay = _replayed(out, then)
    if replay is None:
        _refuse(out, run, step, attempt, Cause.INPUT_MISSING, f"the capsule of {name} is not here")
        return
    if replay.cause is not None:
        told = _kept(out, "replay.json", replay.document())
        why = f"{name} does not replay: {replay.sentence}"
        _refuse(out, run, step, attempt, replay.cause, why, told)
        return
    log.info(f"{name}: {replay.sentence}, replay MATCH")
    today = _today(out, run, log)
    evaluated = _evaluated(run, step, attempt, then, replay, vouching.run_id, today)
    outputs = _outputs(out, then, replay, today)
    record(
        out.store,
        run.run_id,
        lambda now: _passed(now, evaluated, outputs),
        rows=(_row(run, evaluated, out.clock.now_us()),),
    )


def _replayed(out: Outside, then: PolicyEvaluated) -> Replay | None:
    """None when there is no capsule to ask."""
    blobs = out.store.blobs
    try:
        return replay_capsule(blobs.get(then.capsule), blobs.get, recorded=then.verdict)
    except (NotFound, Malformed):
        return None


def _today(out: Outside, run: Run, log: StepLogger) -> _Today:
    try:
        verdict = verdict_now(out, run, log)
    except (AdapterFailed, Malformed, NotFound) as error:
        return _Today(warning=f"today's policy and feeds could not be asked: {error}", verdict=None)
    if verdict.decision == PASS:
        log.info("today's policy and feeds would let it in as well")
        return _Today(warning="", verdict=verdict)
    why = "; ".join(notes_of(verdict))
    return _Today(warning=f"today's policy and feeds would fail it: {why}", verdict=verdict)


def _evaluated(
    run: Run,
    step: str,
    attempt: int,
    then: PolicyEvaluated,
    replay: Replay,
    vouching: str,
    today: _Today,
) -> PolicyEvaluated:
    warnings = (f"WARN {today.warning}",) if today.warning else ()
    return PolicyEvaluated(
        step=step,
        attempt=attempt,
        verdict_id=verdict_name(run, attempt),
        decision=then.decision,
        warn=then.warn + len(warnings),
        fail=then.fail,
        error=then.error,
        verdict=then.verdict,
        policy=then.policy,
        policy_input=then.policy_input,
        capsule=then.capsule,
        notes=(f"{replay.verdict_id} of {vouching} replays MATCH", *warnings),
        replays=replay.verdict_id,
        waived_by=then.waived_by,
    )


def _outputs(
    out: Outside, then: PolicyEvaluated, replay: Replay, today: _Today
) -> tuple[NamedDigest, ...]:
    assert replay.verdict is not None  # it was asked, for it matches
    outputs = [
        NamedDigest(name="verdict.json", digest=out.store.blobs.put(replay.verdict.blob)),
        NamedDigest(name="capsule.json", digest=then.capsule),
        _kept(out, "replay.json", replay.document()),
    ]
    if today.verdict is not None:
        digest = out.store.blobs.put(today.verdict.blob)
        outputs.append(NamedDigest(name="verdict-today.json", digest=digest))
    return tuple(outputs)


def _kept(out: Outside, name: str, document: dict[str, Any]) -> NamedDigest:
    return NamedDigest(name=name, digest=out.store.blobs.put(canonical(document)))


def _row(run: Run, evaluated: PolicyEvaluated, now_us: int) -> VerdictRow:
    return VerdictRow(
        verdict_id=evaluated.verdict_id,
        run_id=run.run_id,
        step=evaluated.step,
        attempt=evaluated.attempt,
        ts_us=now_us,
        decision=evaluated.decision,
        warn=evaluated.warn,
        fail=evaluated.fail,
        error=evaluated.error,
        verdict=str(evaluated.verdict),
        policy=str(evaluated.policy),
        policy_input=str(evaluated.policy_input),
        capsule=str(evaluated.capsule),
    )


def _passed(
    run: Run, evaluated: PolicyEvaluated, outputs: tuple[NamedDigest, ...]
) -> Sequence[Event]:
    if not is_open(run, evaluated.step, evaluated.attempt):
        return ()
    word = f"{PASS} ({evaluated.warn} WARN)" if evaluated.warn else PASS
    done = StepSucceeded(
        step=evaluated.step,
        attempt=evaluated.attempt,
        result=word,
        summary="; ".join(evaluated.notes),
        outputs=outputs,
    )
    return (evaluated, done)


def _refuse(
    out: Outside, run: Run, step: str, attempt: int, cause: Cause, why: str, *outputs: NamedDigest
) -> None:
    logger(out, run, step, attempt).error(f"{cause.value}: {why}")
    failed = StepFailed(step=step, attempt=attempt, result=cause.value, reason=why, outputs=outputs)
    record(out.store, run.run_id, lambda now: (failed,) if is_open(now, step, attempt) else ())
