"""Gate Eval: gathers what is known of a promotion, asks the policy, and keeps all of it.

Everything that the verdict rests on is a blob before the event that names it is recorded, so that
a verdict can always be asked again. A rule that can't be evaluated is a FAIL; when nothing can be
asked at all there is no verdict, and the step is ERRORED.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.event_parts import NamedDigest, UsedWaiver
from engine.core.events import Event
from engine.core.fact_events import PolicyEvaluated
from engine.core.jcs import canonical
from engine.core.rows import VerdictRow
from engine.core.run import Run
from engine.core.step_events import StepFailed, StepSucceeded
from engine.core.waivers import note as waiver_note
from engine.gate_eval_inputs import gather
from engine.inputs.exceptions import used
from engine.inputs.match import MATCHER
from engine.outside import Outside
from engine.policy.capsule import Capsule, seal_capsule
from engine.policy.evaluate import Evaluation, evaluate_policy
from engine.policy.explain import explain_document, explain_policy
from engine.policy.identity import identity
from engine.policy.verdict import PASS, Verdict
from engine.ports import BlobStore
from engine.recording import record
from engine.steplog import StepLogger
from engine.steps import errored, is_open, logger
from engine.waiver_register import authors_of

_NOTES_MAX: Final = 12


def evaluate(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Judge the run's bundle by the policy that was pinned with the request."""
    log = logger(out, run, step, attempt)
    try:
        compiled = out.desk.compiled(run.request.policy_digest)
        gathered = gather(out, run, log)
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    except (Malformed, NotFound) as error:
        errored(out, run, step, attempt, AdapterFailed(str(error), transient=False))
        return
    evaluation = evaluate_policy(compiled, gathered.given)
    verdict = evaluation.verdict
    verdict_id = verdict_name(run, attempt)
    capsule = seal_capsule(
        verdict_id=verdict_id,
        run=run.run_id,
        step=step,
        policy=compiled.policy,
        given=gathered.given,
        evaluation=evaluation,
        identity=identity(),
        matcher=MATCHER,
        raw=gathered.raw,
    )
    waived = used(gathered.given.document, compiled.policy.config, verdict.document()["results"])
    explained = canonical(explain_document(explain_policy(compiled, gathered.given)))
    _tell(log, evaluation, verdict_id)
    for one in waived:
        log.warn(waiver_note(one))
    outputs = _store(out.store.blobs, verdict, capsule, explained)
    authors = authors_of(out.store, waived)
    row = VerdictRow(
        verdict_id=verdict_id,
        run_id=run.run_id,
        step=step,
        attempt=attempt,
        ts_us=out.clock.now_us(),
        decision=verdict.decision,
        warn=verdict.warn,
        fail=verdict.fail,
        error=verdict.error,
        verdict=str(verdict.digest),
        policy=str(verdict.policy),
        policy_input=str(verdict.input),
        capsule=str(Digest.of(capsule.blob)),
    )
    record(
        out.store,
        run.run_id,
        lambda now: _judged(now, step, attempt, verdict_id, verdict, waived, authors, outputs),
        rows=(row,),
    )


def verdict_now(out: Outside, run: Run, log: StepLogger) -> Verdict:
    """What the policy that is pinned with the run says of its bundle now. It decides nothing.

    Raises:
        AdapterFailed, Malformed, NotFound: it cannot be asked.
    """
    compiled = out.desk.compiled(run.request.policy_digest)
    return evaluate_policy(compiled, gather(out, run, log).given).verdict


def verdict_name(run: Run, attempt: int) -> str:
    """`verdict-42`, of later attempts `verdict-42.2`: unique in a home, and the same again."""
    return f"verdict-{run.number}" if attempt == 1 else f"verdict-{run.number}.{attempt}"


def _store(
    blobs: BlobStore, verdict: Verdict, capsule: Capsule, explained: bytes
) -> tuple[NamedDigest, ...]:
    for part in capsule.parts.values():
        blobs.put(part)
    return tuple(
        NamedDigest(name=name, digest=blobs.put(content))
        for name, content in (
            ("verdict.json", verdict.blob),
            ("capsule.json", capsule.blob),
            ("explain.json", explained),
        )
    )


def _judged(
    run: Run,
    step: str,
    attempt: int,
    verdict_id: str,
    verdict: Verdict,
    waived: tuple[UsedWaiver, ...],
    authors: tuple[str, ...],
    outputs: tuple[NamedDigest, ...],
) -> Sequence[Event]:
    if not is_open(run, step, attempt):
        return ()
    notes = (*notes_of(verdict), *map(waiver_note, waived))
    evaluated = PolicyEvaluated(
        step=step,
        attempt=attempt,
        verdict_id=verdict_id,
        decision=verdict.decision,
        warn=verdict.warn,
        fail=verdict.fail,
        error=verdict.error,
        verdict=verdict.digest,
        policy=verdict.policy,
        policy_input=verdict.input,
        capsule=next(one.digest for one in outputs if one.name == "capsule.json"),
        notes=notes,
        waived_by=authors,
        waivers=waived,
    )
    summary = "; ".join(notes) or "no rule fired"
    if verdict.decision == PASS:
        return (
            evaluated,
            StepSucceeded(
                step=step, attempt=attempt, result=verdict.word, summary=summary, outputs=outputs
            ),
        )
    failed = StepFailed(
        step=step, attempt=attempt, result=verdict.word, reason=summary, outputs=outputs
    )
    return (evaluated, failed)


def notes_of(verdict: Verdict) -> tuple[str, ...]:
    """`WARN feed NVD is 10800 s old ...` per result, FAIL first; the rest as a number."""
    notes = [
        f"{one.level} {one.rule}: {one.detail}"
        if one.subject == ""
        else f"{one.level} {one.detail}"
        for one in verdict.results[:_NOTES_MAX]
    ]
    more = len(verdict.results) - len(notes)
    return (*notes, *((f"and {more} more",) if more else ()))


def _tell(log: StepLogger, evaluation: Evaluation, verdict_id: str) -> None:
    verdict = evaluation.verdict
    for result in verdict.results:
        say = log.error if result.level == "FAIL" else log.warn
        say(f"{result.level} {result.rule} {result.subject}: {result.detail}")
    for rule, cause in evaluation.causes:
        log.error(f"rule {rule} could not be evaluated, which counts as FAIL: {cause}")
    log.info(f"{verdict_id}: {verdict.word}, digest {verdict.digest}, form {evaluation.form}")
