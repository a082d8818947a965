"""Puts the facts of a promotion together into the document that the policy is asked about. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.waivers import Holding
from engine.inputs.exceptions import exceptions_of
from engine.inputs.feeds import FeedFacts, Scan, scan
from engine.inputs.match import Match, match_packages
from engine.inputs.packages import Package
from engine.inputs.reachability import Reachability, without_version
from engine.inputs.reading import nfc
from engine.inputs.sbom_parts import Sbom, merged
from engine.inputs.vex import Statement, Voices, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class SbomSource:
    """A bill of materials with the digest of its bytes."""

    digest: Digest
    sbom: Sbom


# Which bills of materials speak of which component of a bundle.
Coverage = Mapping[str, Sequence[SbomSource]]


def coverage(bundle: Bundle, sources: Mapping[Digest, SbomSource]) -> Coverage:
    """Assign the bundle's SBOMs to its components.

    One attached to a component is that component's; one attached to none covers the bundle, that
    is every component.
    """
    names = [component.name for component in bundle.components]
    covered: dict[str, list[SbomSource]] = {name: [] for name in names}
    for attachment in bundle.attachments:
        source = sources.get(attachment.digest)
        if attachment.kind != "sbom" or source is None:
            continue
        for name in [attachment.component] if attachment.component else names:
            # One that names a component that is not in the bundle covers nothing of it.
            if name in covered and source not in covered[name]:
                covered[name].append(source)
    return covered


def whole_of(bundle: Bundle, covered: Coverage) -> Whole:
    """Every name that a vendor may give to what is promoted."""
    named = [(bundle.name, bundle.version), *((one.name, "") for one in bundle.components)]
    digests = [bundle.digest, *(one.digest for one in bundle.components)]
    roots = {root for many in covered.values() for one in many for root in one.sbom.roots}
    return Whole(
        purls=tuple(sorted(roots)),
        hashes=frozenset(f"sha-256:{digest.hex}" for digest in digests),
        names=tuple(named),
    )


def whole_of_sbom(source: SbomSource, name: str) -> Whole:
    """The same of an SBOM alone, whose file is called `name`."""
    return Whole(
        purls=source.sbom.roots,
        hashes=frozenset({f"sha-256:{source.digest.hex}"}),
        names=((name, ""),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFacts:
    """What runs at the target now.

    Attributes:
        flaws: (name of a flaw, package without version) that every running bundle has already.
    """

    known: bool
    bundle: str
    label: str
    flaws: frozenset[tuple[str, str]] = frozenset()


def flaws_of(matches: Sequence[Match]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (name, without_version(match.package.purl)) for match in matches for name in match.names
    )


def packages_of(covered: Coverage) -> dict[Package, list[str]]:
    """Each package with the components that carry it, both sorted."""
    found: dict[str, tuple[Package, set[str]]] = {}
    for component, sources in covered.items():
        for source in sources:
            for package in source.sbom.packages:
                known, carriers = found.setdefault(package.purl, (package, set()))
                carriers.add(component)
                if known is not package:
                    found[package.purl] = (merged(known, package), carriers)
    return {found[purl][0]: sorted(found[purl][1]) for purl in sorted(found)}


def gate_document(
    *,
    now_s: int,
    kind: str,
    bundle: Bundle,
    environment: str,
    region: str,
    baseline: BaselineFacts,
    covered: Coverage,
    feeds: FeedFacts,
    voices: Voices,
    reach: Reachability,
    scans: Sequence[Scan],
    waivers: Sequence[Holding] = (),
) -> dict[str, Any]:
    """The whole document. Approvals and freezes are empty: the engine alone decides about them.

    Args:
        waivers: those that hold for this promotion.
    """
    packages = packages_of(covered)
    matches, gaps = match_packages(packages, feeds)
    said, purls = voices.by_flaw(), [package.purl for package in packages]
    matched = scan("match", gaps, f"{len(packages)} packages, {len(matches)} findings")
    every = sorted((*scans, *feeds.scans, matched), key=lambda one: one.id)
    return {
        "clock": {"evaluated_at_s": now_s},
        "promotion": {
            "kind": kind,
            "bundle": _bundle(bundle),
            "target": {"env": environment, "region": region},
        },
        "baseline": {
            "known": baseline.known,
            "bundle": baseline.bundle,
            "label": nfc(baseline.label),
        },
        "components": [_package(package, carriers) for package, carriers in packages.items()],
        "findings": [
            _finding(
                match,
                packages[match.package],
                baseline,
                voices.choose(
                    {one for name in match.names for one in said.get(name, ())}, match.package
                ),
                reach,
            )
            for match in matches
        ],
        "sboms": [_sbom(name, sources) for name, sources in sorted(covered.items()) if sources],
        "feeds": [
            {"name": one.name, "digest": str(one.digest), "as_of_s": one.as_of_s}
            for one in feeds.usable
        ],
        "reachability": {
            "static_bp": reach.static_bp(purls),
            "runtime_bp": reach.runtime.covered_bp(purls),
        },
        "approvals": [],
        "freeze_windows": [],
        "exceptions": exceptions_of(waivers, matches, now_s),
        "scans": [one.document() for one in every],
    }


def _bundle(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": nfc(bundle.name),
        "version": nfc(bundle.version),
        "digest": str(bundle.digest),
        "components": sorted(nfc(component.name) for component in bundle.components),
    }


def _package(package: Package, carriers: Sequence[str]) -> dict[str, Any]:
    return {
        "purl": package.purl,
        "name": package.name,
        "version": package.version,
        "licenses": list(package.licenses),
        "found_in": [nfc(carrier) for carrier in carriers],
    }


def _sbom(component: str, sources: Sequence[SbomSource]) -> dict[str, Any]:
    """Of several the oldest one stands for all: freshness is judged by the worst."""
    oldest = min(sources, key=lambda source: (source.sbom.generated_at_s, source.digest))
    return {
        "component": nfc(component),
        "digest": str(oldest.digest),
        "format": oldest.sbom.format,
        "generated_at_s": oldest.sbom.generated_at_s,
        "components": sum(len(source.sbom.packages) for source in sources),
    }


def _finding(
    match: Match,
    carriers: list[str],
    baseline: BaselineFacts,
    said: Statement | None,
    reach: Reachability,
) -> dict[str, Any]:
    purl = match.package.purl
    name = without_version(purl)
    old = baseline.known and any((flaw, name) in baseline.flaws for flaw in match.names)
    return {
        "key": match.key,
        "id": match.id,
        "aliases": list(match.aliases),
        "sources": list(match.sources),
        "purl": purl,
        "found_in": [nfc(carrier) for carrier in carriers],
        "severity": match.severity.word,
        "cvss_dt": match.severity.cvss_dt,
        "epss_ppm": match.epss_ppm,
        "kev": match.kev,
        "reach": reach.state(match.names, purl),
        "new_since_baseline": not old,
        "vex": {
            "status": "" if said is None else said.status,
            "justification": "" if said is None else said.justification,
            "author": "" if said is None else said.author,
        },
    }
