"""Gate Eval: gathers what is known of a promotion, asks the policy, and keeps all of it.

Everything that the verdict rests on is a blob before the event that names it is recorded, so that
a verdict can always be asked again. A rule that can't be evaluated is a FAIL; when nothing can be
asked at all there is no verdict, and the step is ERRORED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.attestations_read import scans_of, with_imports
from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.events import Event
from engine.core.fact_events import PolicyEvaluated
from engine.core.jcs import canonical
from engine.core.rows import VerdictRow
from engine.core.run import Run
from engine.core.step_events import StepFailed, StepSucceeded
from engine.inputs.facts import (
    BaselineFacts,
    Coverage,
    SbomSource,
    coverage,
    flaws_of,
    gate_document,
    packages_of,
)
from engine.inputs.feeds import FeedFacts, Scan, scan
from engine.inputs.match import MATCHER, match_packages
from engine.inputs.reachability import Runtime, runtime_of
from engine.inputs.sbom import read_sbom
from engine.inputs.vex import Statement, read_openvex
from engine.outside import Outside
from engine.policy.capsule import Capsule, seal_capsule
from engine.policy.document import GateInput, gate_input
from engine.policy.evaluate import Evaluation, evaluate_policy
from engine.policy.explain import explain_document, explain_policy
from engine.policy.identity import identity
from engine.policy.verdict import PASS, Verdict
from engine.ports import BlobStore, FeedSnapshot
from engine.recording import record
from engine.steplog import StepLogger
from engine.steps import OBSERVE_DEADLINE_S, errored, is_open, logger

_NOTES_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    """Attributes:
    raw: digests of the sources as they came; all of them are blobs.
    """

    given: GateInput
    raw: Mapping[str, Digest]


@dataclass(slots=True, kw_only=True)
class _Sources:
    """What is read on the way: the raw sources and how completely each could be read."""

    raw: dict[str, Digest] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)


def evaluate(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Judge the run's bundle by the policy that was pinned with the request."""
    log = logger(out, run, step, attempt)
    try:
        compiled = out.desk.compiled(run.request.policy_digest)
        gathered = _gather(out, run, log)
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
    explained = canonical(explain_document(explain_policy(compiled, gathered.given)))
    _tell(log, evaluation, verdict_id)
    outputs = _store(out.store.blobs, verdict, capsule, explained)
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
        lambda now: _judged(now, step, attempt, verdict_id, verdict, outputs),
        rows=(row,),
    )


def verdict_now(out: Outside, run: Run, log: StepLogger) -> Verdict:
    """What the policy that is pinned with the run says of its bundle now. It decides nothing.

    Raises:
        AdapterFailed, Malformed, NotFound: it cannot be asked.
    """
    compiled = out.desk.compiled(run.request.policy_digest)
    return evaluate_policy(compiled, _gather(out, run, log).given).verdict


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
    outputs: tuple[NamedDigest, ...],
) -> Sequence[Event]:
    if not is_open(run, step, attempt):
        return ()
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
        notes=notes_of(verdict),
    )
    summary = "; ".join(notes_of(verdict)) or "no rule fired"
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


# --- what the verdict rests on ------------------------------------------------------------------


def _gather(out: Outside, run: Run, log: StepLogger) -> _Gathered:
    now_s = out.desk.now_s()
    blobs = out.store.blobs
    sources = _Sources()
    bundle = out.catalog.get(run.bundle)
    feeds = _feeds(out, log, sources, now_s)
    attested = _attested(run, bundle, log, sources)
    covered = _sboms(blobs, attested, log, sources)
    baseline = _baseline(out, run, feeds, log, sources)
    document = gate_document(
        now_s=now_s,
        kind=run.request.kind,
        bundle=bundle,
        environment=run.environment,
        region=run.request.region,
        baseline=baseline,
        covered=covered,
        feeds=feeds,
        statements=_vex(blobs, attested, log, sources),
        runtime=_runtime(out, run, log, sources),
        scans=sources.scans,
    )
    _tell_findings(log, document)
    given = gate_input(document, where=f"gate input of {run.run_id}")
    log.info(f"policy {run.request.policy_digest.short} asked about input {given.digest.short}")
    return _Gathered(given=given, raw=sources.raw)


def _feeds(out: Outside, log: StepLogger, sources: _Sources, now_s: int) -> FeedFacts:
    snapshots: Sequence[FeedSnapshot] = out.desk.feeds()
    for one in snapshots:
        sources.raw[f"feed:{one.name}"] = out.store.blobs.put(one.content)
        log.info(f"feed {one.name} {one.digest.short} is {now_s - one.as_of_s} s old")
    facts = out.desk.feed_facts(snapshots)
    _tell_scans(log, facts.scans)
    return facts


def _attested(run: Run, bundle: Bundle, log: StepLogger, sources: _Sources) -> Bundle:
    """The bundle with the imported SBOMs and VEX beside its own; the other imports are scans."""
    sources.raw |= {f"attestation:{one.envelope.short}": one.envelope for one in run.pinned}
    _add_scans(log, sources, scans_of(run.pinned))
    return with_imports(bundle, run.pinned)


def _sboms(blobs: BlobStore, bundle: Bundle, log: StepLogger, sources: _Sources) -> Coverage:
    read, failed = read_sboms(blobs, bundle)
    for digest, source in read.items():
        sources.raw[f"sbom:{digest.short}"] = digest
        log.info(f"SBOM {digest}: {source.sbom.format}, {len(source.sbom.packages)} packages")
    covered = coverage(bundle, read)
    scans = [
        scan(
            f"sbom:{name}",
            [gap for source in parts for gap in source.sbom.gaps],
            f"{sum(len(source.sbom.packages) for source in parts)} packages",
        )
        for name, parts in sorted(covered.items())
        if parts
    ]
    _add_scans(log, sources, [*failed, *scans])
    return covered


def read_sboms(blobs: BlobStore, bundle: Bundle) -> tuple[dict[Digest, SbomSource], list[Scan]]:
    """The bundle's SBOMs by digest, and a scan for each that can't be read."""
    read: dict[Digest, SbomSource] = {}
    failed: dict[Digest, Scan] = {}
    for attachment in bundle.attachments:
        digest = attachment.digest
        if attachment.kind != "sbom" or digest in read or digest in failed:
            continue
        try:
            sbom = read_sbom(blobs.get(digest), where=f"SBOM {digest.short}")
        except (Malformed, NotFound) as error:
            failed[digest] = Scan(id=f"sbom:{digest.short}", status="FAILED", detail=str(error))
            continue
        read[digest] = SbomSource(digest=digest, sbom=sbom)
    return read, list(failed.values())


def _vex(
    blobs: BlobStore, bundle: Bundle, log: StepLogger, sources: _Sources
) -> tuple[Statement, ...]:
    statements: list[Statement] = []
    scans: list[Scan] = []
    for digest in sorted({a.digest for a in bundle.attachments if a.kind == "vex"}):
        scan_id = f"vex:{digest.short}"
        try:
            found = read_openvex(blobs.get(digest), where=f"VEX {digest.short}")
        except (Malformed, NotFound) as error:
            scans.append(Scan(id=scan_id, status="FAILED", detail=str(error)))
            continue
        sources.raw[scan_id] = digest
        statements += found
        log.info(f"VEX {digest}: {len(found)} statements")
        scans.append(Scan(id=scan_id, status="COMPLETE", detail=f"{len(found)} statements"))
    _add_scans(log, sources, scans)
    return tuple(statements)


def _runtime(out: Outside, run: Run, log: StepLogger, sources: _Sources) -> Runtime:
    """What the running targets report; a source that answers in part is DEGRADED."""
    source = out.places[run.environment].runtime
    if source is None:
        log.info("no runtime source observes this environment")
        return Runtime()
    facts = source.observe(deadline_s=OBSERVE_DEADLINE_S)
    running = {target.target for target in run.targets if target.baseline is not None}
    silent = sorted(running - set(facts))
    detail = f"{len(facts)} of {len(running)} running targets answered"
    status = "DEGRADED" if silent else "COMPLETE"
    _add_scans(log, sources, [Scan(id="integration:runtime", status=status, detail=detail)])
    log.info(f"runtime: {detail}")
    return runtime_of(facts)


def _baseline(
    out: Outside, run: Run, feeds: FeedFacts, log: StepLogger, sources: _Sources
) -> BaselineFacts:
    """What runs on the targets now. Of several bundles a flaw is old only if all have it."""
    running = sorted({target.baseline for target in run.targets if target.baseline is not None})
    unknown = [target.target for target in run.targets if target.baseline is None]
    labels: list[str] = []
    flaws: frozenset[tuple[str, str]] | None = None
    known = bool(running) and not unknown
    for digest in running:
        found, label = _running_flaws(out, digest, feeds, sources)
        labels.append(label)
        if found is None:
            known = False
        else:
            flaws = found if flaws is None else flaws & found
    label = ", ".join([*labels, *([f"{len(unknown)} targets unknown"] if unknown else [])])
    log.info(f"baseline: {label or 'nothing runs here yet'}")
    return BaselineFacts(
        known=known,
        bundle=str(running[0]) if len(running) == 1 else "",
        label=label,
        flaws=(flaws or frozenset()) if known else frozenset(),
    )


def _running_flaws(
    out: Outside, digest: Digest, feeds: FeedFacts, sources: _Sources
) -> tuple[frozenset[tuple[str, str]] | None, str]:
    """The flaws of a running bundle and what to call it; None when they can't be known."""
    try:
        bundle = out.catalog.get(digest)
    except (Malformed, NotFound):
        return None, f"{digest.short} (not in the catalogue)"
    read, failed = read_sboms(out.store.blobs, bundle)
    if failed or not read:
        return None, f"{bundle.label} (no readable SBOM)"
    for sbom in read:
        sources.raw[f"baseline:{digest.short}:{sbom.short}"] = sbom
    matches, _gaps = match_packages(packages_of(coverage(bundle, read)), feeds)
    return flaws_of(matches), bundle.label


def _add_scans(log: StepLogger, sources: _Sources, scans: Sequence[Scan]) -> None:
    sources.scans += scans
    _tell_scans(log, scans)


def _tell_scans(log: StepLogger, scans: Sequence[Scan]) -> None:
    for one in scans:
        say = log.info if one.status == "COMPLETE" else log.warn
        say(f"scan {one.id} {one.status}: {one.detail}")


def _tell_findings(log: StepLogger, document: Mapping[str, Any]) -> None:
    findings = document["findings"]
    counts = {
        word: sum(one["severity"] == word for one in findings)
        for word in ("CRITICAL", "HIGH", "MEDIUM", "LOW", "NONE", "UNKNOWN")
    }
    named = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    kev = sum(one["kev"] for one in findings)
    log.info(
        f"{len(document['components'])} packages, {len(findings)} findings"
        + (f" ({named}; {kev} in CISA KEV)" if findings else "")
    )
