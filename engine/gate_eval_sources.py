"""From the raw sources of a decision to the document that the policy is asked about. Pure.

At Gate Eval the sources are what there is now, at a deep replay what was frozen then; both go
through the one function here, so that the same bytes give the same document.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.attestations_read import scans_of, with_imports
from engine.core.attestations import Attestation
from engine.core.bundle import Bundle, parse_manifest
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical
from engine.core.waivers import Holding
from engine.inputs.facts import (
    BaselineFacts,
    Coverage,
    SbomSource,
    coverage,
    flaws_of,
    gate_document,
    packages_of,
    whole_of,
)
from engine.inputs.feeds import FeedFacts, Scan, scan
from engine.inputs.match import match_packages
from engine.inputs.reachability import (
    Reachability,
    Runtime,
    Static,
    runtime_of,
    union,
    without_version,
)
from engine.inputs.reachability_reading import read_report
from engine.inputs.sbom import read_sbom
from engine.inputs.vex import Statement, Voices, heard
from engine.inputs.vex_reading import read_vex
from engine.ports_observed import RuntimeFacts

SCHEMA: Final = "releaseline.sources/1"
SOURCES: Final = "sources"
BUNDLE: Final = "bundle"

# Gives a blob; raises `NotFound`, or `Malformed` when its bytes lost their digest.
Read = Callable[[Digest], bytes]
# Takes a level (info, warn) and a sentence.
Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedNamed:
    name: str
    digest: Digest
    as_of_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSeen:
    """What the running targets told. `running`: those that should have, sorted."""

    running: tuple[str, ...]
    facts: Mapping[str, RuntimeFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSources:
    """Everything that a gate document is made of, by digest where it is bytes.

    Attributes:
        baseline: bundles that run on the targets, sorted; `baseline_unknown` targets tell none.
        runtime: None = no source observes the environment.
        trusted_vex: authors whose statements the policy follows, sorted.
        waivers: those that hold there for the bundle, the oldest first.
    """

    now_s: int
    kind: str
    environment: str
    region: str
    bundle: Digest
    pinned: tuple[Attestation, ...]
    feeds: tuple[FeedNamed, ...]
    baseline: tuple[Digest, ...]
    baseline_unknown: int
    runtime: RuntimeSeen | None
    trusted_vex: tuple[str, ...] = ()
    waivers: tuple[Holding, ...] = ()

    def blob(self) -> bytes:
        """Canonical JSON, read back by `read_sources`."""
        document = {"schema": SCHEMA, **_written(self)}
        if not self.waivers:  # the same bytes as from before there were any
            del document["waivers"]
        return canonical(document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Attributes:
    document: what the policy is asked about, not checked yet.
    raw: digests of the sources as they came, by name; all of them are blobs.
    """

    document: dict[str, Any]
    raw: Mapping[str, Digest]


@dataclass(slots=True, kw_only=True)
class _Found:
    """What is found on the way: the raw sources and how completely each could be read."""

    tell: Tell
    raw: dict[str, Digest] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)

    def add(self, scans: Sequence[Scan]) -> None:
        self.scans += scans
        tell_scans(self.tell, scans)


def quiet(_level: str, _sentence: str) -> None:
    """Tells nobody: a replay has no log of its own."""


def document_of(sources: GateSources, read: Read, feeds: FeedFacts, tell: Tell = quiet) -> Gathered:
    """Args:
    feeds: what the snapshots in `sources.feeds` say.

    Raises:
        NotFound, Malformed: the bundle's manifest is not here, or is damaged.
    """
    found = _Found(tell=tell)
    bundle = bundle_of(sources.bundle, read)
    found.raw |= {BUNDLE: sources.bundle}
    found.raw |= {f"feed:{one.name}": one.digest for one in sources.feeds}
    found.raw |= {f"attestation:{one.envelope.short}": one.envelope for one in sources.pinned}
    found.add(scans_of(sources.pinned))
    attested = with_imports(bundle, sources.pinned)
    covered = _sboms(read, attested, found)
    baseline = _baseline(sources, read, feeds, found)
    document = gate_document(
        now_s=sources.now_s,
        kind=sources.kind,
        bundle=bundle,
        environment=sources.environment,
        region=sources.region,
        baseline=baseline,
        covered=covered,
        feeds=feeds,
        voices=_vex(sources, read, attested, covered, found),
        reach=_reachability(sources, read, attested, covered, found),
        scans=found.scans,
        waivers=sources.waivers,
    )
    return Gathered(document=document, raw=found.raw)


def bundle_of(digest: Digest, read: Read) -> Bundle:
    """Raises `NotFound`, `Malformed`."""
    try:
        return parse_manifest(json.loads(read(digest)))
    except ValueError as error:
        raise Malformed(f"expected JSON: {error}", where=f"manifest {digest.short}") from error


def _sboms(read: Read, bundle: Bundle, found: _Found) -> Coverage:
    read_ones, failed = read_sboms(read, bundle)
    for digest, source in read_ones.items():
        found.raw[f"sbom:{digest.short}"] = digest
        packages = len(source.sbom.packages)
        found.tell("info", f"SBOM {digest}: {source.sbom.format}, {packages} packages")
    covered = coverage(bundle, read_ones)
    scans = [
        scan(
            f"sbom:{name}",
            [gap for source in parts for gap in source.sbom.gaps],
            f"{sum(len(source.sbom.packages) for source in parts)} packages",
        )
        for name, parts in sorted(covered.items())
        if parts
    ]
    found.add([*failed, *scans])
    return covered


def read_sboms(read: Read, bundle: Bundle) -> tuple[dict[Digest, SbomSource], list[Scan]]:
    """The bundle's SBOMs by digest, and a scan for each that can't be read."""
    done: dict[Digest, SbomSource] = {}
    failed: dict[Digest, Scan] = {}
    for attachment in bundle.attachments:
        digest = attachment.digest
        if attachment.kind != "sbom" or digest in done or digest in failed:
            continue
        try:
            sbom = read_sbom(read(digest), where=f"SBOM {digest.short}")
        except (Malformed, NotFound) as error:
            failed[digest] = Scan(id=f"sbom:{digest.short}", status="FAILED", detail=str(error))
            continue
        done[digest] = SbomSource(digest=digest, sbom=sbom)
    return done, list(failed.values())


def _vex(
    sources: GateSources, read: Read, bundle: Bundle, covered: Coverage, found: _Found
) -> Voices:
    """Every statement about the bundle; how much of each document can be followed is a scan."""
    alone = Voices(
        whole=whole_of(bundle, covered),
        trusted=frozenset(sources.trusted_vex),
        now_s=sources.now_s,
    )
    statements: list[Statement] = []
    scans: list[Scan] = []
    for digest in sorted({a.digest for a in bundle.attachments if a.kind == "vex"}):
        scan_id = f"vex:{digest.short}"
        try:
            said = read_vex(read(digest), where=f"VEX {digest.short}")
        except (Malformed, NotFound) as error:
            scans.append(Scan(id=scan_id, status="FAILED", detail=str(error)))
            continue
        found.raw[scan_id] = digest
        statements += said.statements
        found.tell("info", f"VEX {digest}: {said.format}, {len(said.statements)} statements")
        scans.append(heard(scan_id, said, alone))
    found.add(scans)
    return dataclasses.replace(alone, statements=tuple(statements))


def _reachability(
    sources: GateSources, read: Read, bundle: Bundle, covered: Coverage, found: _Found
) -> Reachability:
    """What the targets report now, and what the bundle brings: reports, call stacks of SBOMs."""
    runtime = _runtime(sources.runtime, found)
    stacks = {purl for many in covered.values() for one in many for purl in one.sbom.call_stacks}
    known = [Static(packages={without_version(purl): True for purl in stacks})]
    scans: list[Scan] = []
    for digest in sorted({a.digest for a in bundle.attachments if a.kind == "reachability"}):
        scan_id = f"reachability:{digest.short}"
        where = f"reachability report {digest.short}"
        try:
            report = read_report(read(digest), where=where, now_s=sources.now_s)
        except (Malformed, NotFound) as error:
            scans.append(Scan(id=scan_id, status="FAILED", detail=str(error)))
            continue
        found.raw[scan_id] = digest
        known.append(report.static)
        runtime = runtime.with_seen(report.observed)
        scans.append(scan(scan_id, report.gaps, report.told))
    found.add(scans)
    return Reachability(runtime=runtime, static=union(known))


def _runtime(seen: RuntimeSeen | None, found: _Found) -> Runtime:
    """What the running targets report; a source that answers in part is DEGRADED."""
    if seen is None:
        found.tell("info", "no runtime source observes this environment")
        return Runtime()
    silent = sorted(set(seen.running) - set(seen.facts))
    detail = f"{len(seen.facts)} of {len(seen.running)} running targets answered"
    status = "DEGRADED" if silent else "COMPLETE"
    found.add([Scan(id="integration:runtime", status=status, detail=detail)])
    found.tell("info", f"runtime: {detail}")
    return runtime_of(seen.facts)


def _baseline(sources: GateSources, read: Read, feeds: FeedFacts, found: _Found) -> BaselineFacts:
    """What runs on the targets now. Of several bundles a flaw is old only if all have it."""
    running, unknown = sources.baseline, sources.baseline_unknown
    labels: list[str] = []
    flaws: frozenset[tuple[str, str]] | None = None
    known = bool(running) and not unknown
    for digest in running:
        has, label = _running_flaws(digest, read, feeds, found)
        labels.append(label)
        if has is None:
            known = False
        else:
            flaws = has if flaws is None else flaws & has
    label = ", ".join([*labels, *([f"{unknown} targets unknown"] if unknown else [])])
    found.tell("info", f"baseline: {label or 'nothing runs here yet'}")
    return BaselineFacts(
        known=known,
        bundle=str(running[0]) if len(running) == 1 else "",
        label=label,
        flaws=(flaws or frozenset()) if known else frozenset(),
    )


def _running_flaws(
    digest: Digest, read: Read, feeds: FeedFacts, found: _Found
) -> tuple[frozenset[tuple[str, str]] | None, str]:
    """The flaws of a running bundle and what to call it; None when they can't be known."""
    try:
        bundle = bundle_of(digest, read)
    except (Malformed, NotFound):
        return None, f"{digest.short} (not in the catalogue)"
    found.raw[f"baseline:{digest.short}"] = digest
    read_ones, failed = read_sboms(read, bundle)
    if failed or not read_ones:
        return None, f"{bundle.label} (no readable SBOM)"
    for sbom in read_ones:
        found.raw[f"baseline:{digest.short}:{sbom.short}"] = sbom
    matches, _gaps = match_packages(packages_of(coverage(bundle, read_ones)), feeds)
    return flaws_of(matches), bundle.label


def tell_scans(tell: Tell, scans: Sequence[Scan]) -> None:
    for one in scans:
        level = "info" if one.status == "COMPLETE" else "warn"
        tell(level, f"scan {one.id} {one.status}: {one.detail}")


# --- the sources as a document ------------------------------------------------------------------


def _written(value: Any) -> Any:
    if isinstance(value, Digest):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _written(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    if dataclasses.is_dataclass(value):
        return {f.name: _written(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def read_sources(blob: bytes, *, where: str = "sources") -> GateSources:
    """The sources back from their canonical bytes. Raises `Malformed`."""
    try:
        document = json.loads(blob)
        if document.pop("schema") != SCHEMA:
            raise Malformed(f"expected schema {SCHEMA!r}", where=where)
        return GateSources(
            **{
                **document,
                "bundle": Digest.parse(document["bundle"]),
                "pinned": tuple(map(_attestation, document["pinned"])),
                "feeds": tuple(
                    FeedNamed(**{**one, "digest": Digest.parse(one["digest"])})
                    for one in document["feeds"]
                ),
                "baseline": tuple(map(Digest.parse, document["baseline"])),
                "trusted_vex": tuple(document.get("trusted_vex", ())),
                "waivers": tuple(Holding(**one) for one in document.get("waivers", ())),
                "runtime": None if document["runtime"] is None else _seen(document["runtime"]),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"expected {SCHEMA}, found none: {error}", where=where) from error


def _attestation(document: dict[str, Any]) -> Attestation:
    digests = {"envelope", "source", "payload", "predicate", "anchor"}
    subjects = tuple(
        NamedDigest(name=one["name"], digest=Digest.parse(one["digest"]))
        for one in document["subjects"]
    )
    given: dict[str, Any] = {
        name: Digest.parse(value) if name in digests else value for name, value in document.items()
    }
    given |= {"subjects": subjects, "authors": tuple(document["authors"])}
    return Attestation(**given)


def _seen(document: dict[str, Any]) -> RuntimeSeen:
    return RuntimeSeen(
        running=tuple(document["running"]),
        facts={
            target: RuntimeFacts(
                digest=Digest.parse(one["digest"]),
                components=tuple(one["components"]),
                observed=tuple(one["observed"]),
            )
            for target, one in document["facts"].items()
        },
    )
