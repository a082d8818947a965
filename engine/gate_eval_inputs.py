"""What a decision rests on, looked up now: feeds, targets, attachments. All of it becomes a blob.

The looking is here; what is made of it is `engine.gate_eval_sources`, which a deep replay uses too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.digest import Digest
from engine.core.run import Run
from engine.gate_eval_sources import (
    SOURCES,
    FeedNamed,
    GateSources,
    RuntimeSeen,
    document_of,
    tell_scans,
)
from engine.inputs.feeds import FeedFacts
from engine.inputs.vex import trusted_vex
from engine.outside import Outside
from engine.policy.document import GateInput, gate_input
from engine.steplog import StepLogger
from engine.steps import OBSERVE_DEADLINE_S
from engine.waiver_register import holding


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredNow:
    """Attributes:
    raw: digests of the sources as they came; all of them are blobs.
    """

    given: GateInput
    raw: Mapping[str, Digest]


def gather(out: Outside, run: Run, log: StepLogger) -> GatheredNow:
    """Raises `Malformed`, `NotFound`: there is nothing to ask the policy about."""

    def tell(level: str, sentence: str) -> None:
        (log.info if level == "info" else log.warn)(sentence)

    sources, feeds = _sources(out, run, log)
    tell_scans(tell, feeds.scans)
    made = document_of(sources, out.store.blobs.get, feeds, tell)
    _tell_findings(log, made.document)
    here, named = len(sources.waivers), {one["waiver"] for one in made.document["exceptions"]}
    log.info(f"waivers: {here} hold here, {len(named)} of them for findings of this bundle")
    given = gate_input(made.document, where=f"gate input of {run.run_id}")
    log.info(f"policy {run.request.policy_digest.short} asked about input {given.digest.short}")
    raw = {**made.raw, SOURCES: out.store.blobs.put(sources.blob())}
    return GatheredNow(given=given, raw=raw)


def _sources(out: Outside, run: Run, log: StepLogger) -> tuple[GateSources, FeedFacts]:
    now_s = out.desk.now_s()
    out.catalog.get(run.bundle)  # a bundle that nobody made here is refused by name
    snapshots = out.desk.feeds()
    for one in snapshots:
        out.store.blobs.put(one.content)
        log.info(f"feed {one.name} {one.digest.short} is {now_s - one.as_of_s} s old")
    sources = GateSources(
        now_s=now_s,
        kind=run.request.kind,
        environment=run.environment,
        region=run.request.region,
        bundle=run.bundle,
        pinned=run.pinned,
        feeds=tuple(
            FeedNamed(name=one.name, digest=Digest.of(one.content), as_of_s=one.as_of_s)
            for one in snapshots
        ),
        baseline=tuple(sorted({t.baseline for t in run.targets if t.baseline is not None})),
        baseline_unknown=sum(target.baseline is None for target in run.targets),
        runtime=_runtime(out, run),
        trusted_vex=trusted_vex(out.desk.compiled(run.request.policy_digest).policy.config),
        waivers=holding(out.store, run.environment, run.bundle, now_s * 1_000_000),
    )
    return sources, out.desk.feed_facts(snapshots)


def _runtime(out: Outside, run: Run) -> RuntimeSeen | None:
    source = out.places[run.environment].runtime
    if source is None:
        return None
    return RuntimeSeen(
        running=tuple(sorted(t.target for t in run.targets if t.baseline is not None)),
        facts=source.observe(deadline_s=OBSERVE_DEADLINE_S),
    )


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
