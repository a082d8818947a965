"""The first step of a run: resolve what was declared, re-hash the bundle, look at every target.

What is seen here for the first time is the baseline for ever: the way back rests on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.attestations_read import Pinned, pin
from engine.core import heirs
from engine.core.back_events import RollbackReadiness, TargetReadiness
from engine.core.bundle import Attachment, Component
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.event_parts import InputFact, NamedDigest, StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    InputsMaterialized,
    RolloutPlanned,
    TargetsObserved,
)
from engine.core.jcs import canonical
from engine.core.plan import Observation, cohort, plan_rollback
from engine.core.run import Run
from engine.core.spec import ROLLBACK, StepKind, rollout_plan_digest
from engine.core.step_events import StepFailed, StepSucceeded
from engine.outside import Outside
from engine.ports import ResolvedInput
from engine.recording import record
from engine.steplog import StepLogger
from engine.steps import errored, is_open, logger, observe

INPUT_DEADLINE_S = 10.0
# How each source is called in a summary: `Vault 2, Consul 1, file 1`.
SOURCE_WORDS = {"vault": "Vault", "consul": "Consul", "env": "environment", "file": "file"}


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
        observation = observe(out, run.environment)
    except AdapterFailed as failed:
        errored(out, run, step, attempt, failed)
        return
    if run.request.kind == ROLLBACK:
        broken = _back_anyway(run, observation, broken, log)
    if broken or problems:
        parts = [*broken]
        if problems:
            parts.append(f"{len(problems)} missing: {', '.join(problems)}")
        reason = "; ".join(parts)
        log.error(reason)
        _end(out, run, step, attempt, result="MISSING" if problems else "MISMATCH", reason=reason)
        return
    attested = _attested(out, run, log)
    document = _resolved_document(run, resolved, checked, attested)
    blob = out.store.blobs.put(document)
    log.info(_summary([one.path for one in resolved], checked))
    record(
        out.store,
        run.run_id,
        lambda now: _materialized(
            now, step, attempt, resolved, checked, blob, observation, attested
        ),
    )


def _summary(paths: Sequence[str], checked: int) -> str:
    """How many came from where: `Vault 2, Consul 1 resolved, 3 artifacts re-hashed, 0 missing`."""
    counts = Counter(path.partition(":")[0] for path in paths)
    named = ", ".join(
        f"{word} {counts[scheme]}" for scheme, word in SOURCE_WORDS.items() if counts[scheme]
    )
    return f"{named or '0 inputs'} resolved, {checked} artifacts re-hashed, 0 missing"


def _attested(out: Outside, run: Run, log: StepLogger) -> Pinned:
    """The imported attestations that the run rests on, each verified again; the rest is said."""
    found = pin(run, catalog=out.catalog, blobs=out.store.blobs, settings=out.settings)
    for one in found.attestations:
        log.info(f"attestation {one.envelope} verified: {one.title} by {one.signer}")
    for one, why in found.refused:
        log.warn(f"attestation {one.envelope} counts no more: {why}")
    for note in found.notes:
        log.warn(f"authors are not known of a provenance: {note}")
    if found.authors:
        log.info(f"commit authors, who cannot approve: {', '.join(found.authors)}")
    return found


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


def _back_anyway(
    run: Run, observation: Observation, broken: Sequence[str], log: StepLogger
) -> list[str]:
    """What is left of `broken` where targets go back, and what they run that they should not."""
    if broken and heirs.held_by_targets(run, observation):
        log.warn(f"every target holds {run.bundle.short} whole, so this does no harm: {broken}")
        broken = []
    return [*heirs.strangers(run, observation), *broken]


def _resolved_document(
    run: Run, resolved: Sequence[ResolvedInput], checked: int, attested: Pinned
) -> bytes:
    return canonical(
        {
            "schema": "releaseline.resolved-inputs/1",
            "run": run.run_id,
            "kind": run.request.kind,
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
            **attested.document(),
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
    attested: Pinned,
) -> Sequence[Event]:
    if not is_open(run, step, attempt):
        return ()
    events: list[Event] = []
    if run.plan is None:  # the first look is the baseline for ever; a retry must not move it
        baseline, planned = _baseline(run, observation), _planned(run, observation)
        events += [baseline, planned, _first_readiness(step, baseline, planned, observation)]
    facts = tuple(
        InputFact(name=r.name, path=r.path, version=r.version, value_hmac=r.value_hmac)
        for r in resolved
    )
    return (
        *events,
        InputsMaterialized(
            step=step,
            attempt=attempt,
            inputs=facts,
            components=checked,
            resolved=blob,
            attestations=attested.attestations,
            authors=attested.authors,
        ),
        StepSucceeded(
            step=step,
            attempt=attempt,
            result="RESOLVED",
            summary=_summary([one.path for one in facts], checked),
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


def _first_readiness(
    step: str, baseline: TargetsObserved, planned: RolloutPlanned, observation: Observation
) -> RollbackReadiness:
    """Of every target that any stage will set: what approvers are to know before they approve."""
    whole = {target for c in planned.cohorts for target in c.targets}
    return RollbackReadiness(
        step=step,
        plan=planned.rollback,
        observed_at_us=observation.observed_at_us,
        targets=tuple(
            TargetReadiness(
                target=fact.target,
                to_digest=fact.digest,
                present=fact.reversible,
                note="" if fact.reversible else fact.note,
            )
            for fact in baseline.targets
            if fact.target in whole
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
