"""The security snapshot of a promotion: what its verdict rested on, read back out of the capsule.

Nothing is matched anew: the findings are those that the policy was asked about. Only what is fixed
in which version is looked up, in the very snapshots of the feeds that the capsule names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.event_parts import UsedWaiver
from engine.inputs.exceptions import used
from engine.inputs.feeds import FeedFacts
from engine.inputs.match import fixed_in
from engine.inputs.packages import package_of, parse_purl
from engine.inputs.vex import HARMLESS, trusted_vex
from engine.policy.capsule import open_capsule
from engine.policy.model import policy_from_blob
from engine.ports import BlobStore, FeedSnapshot
from engine.verdicts import PolicyDesk

_SEVERITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN", "NONE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A result of the verdict that names the finding."""

    level: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """Attributes:
    cvss_dt: ten times the score; -1 when there is none. `epss_ppm` likewise.
    reach: the state as in the gate's document.
    vex_status: of the statement that was chosen; empty when nobody said anything.
    vex_why: one sentence: why it counts, or why not.
    suppressed: the statement takes it out of what the rules look at.
    waived: waivers that do the same; it is shown all the same.
    fixed_in: versions, the oldest first; empty when there is none; None when the snapshots of
        the feeds are no longer here.
    """

    key: str
    id: str
    aliases: tuple[str, ...]
    sources: tuple[str, ...]
    purl: str
    package: str
    version: str
    found_in: tuple[str, ...]
    severity: str
    cvss_dt: int
    epss_ppm: int
    kev: bool
    reach: str
    new: bool
    vex_status: str
    vex_justification: str
    vex_author: str
    vex_why: str
    suppressed: bool
    waived: tuple[UsedWaiver, ...] = ()
    fixed_in: tuple[str, ...] | None
    fired: tuple[Fired, ...]

    def document(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "id": self.id,
            "aliases": list(self.aliases),
            "sources": list(self.sources),
            "purl": self.purl,
            "found_in": list(self.found_in),
            "severity": self.severity,
            "cvss_dt": self.cvss_dt,
            "epss_ppm": self.epss_ppm,
            "kev": self.kev,
            "reach": self.reach,
            "new_since_baseline": self.new,
            "fixed_in": None if self.fixed_in is None else list(self.fixed_in),
            "vex": {
                "status": self.vex_status,
                "justification": self.vex_justification,
                "author": self.vex_author,
                "why": self.vex_why,
                "suppresses": self.suppressed,
            },
            "waived": [
                {
                    "id": one.waiver,
                    "by": one.author,
                    "granted_by": one.granted_by,
                    "expires_us": one.expires_us,
                }
                for one in self.waived
            ],
            "fired": [{"level": one.level, "rule": one.rule} for one in self.fired],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Attributes:
    rows: the worst first.
    scans: (id, status, detail) of every source; what is not COMPLETE was not wholly looked at.
    fixes_unknown: why nobody can say what is fixed where; empty when it is known.
    """

    verdict_id: str
    decided_s: int
    decision: str
    warn: int
    fail: int
    packages: int
    static_bp: int
    runtime_bp: int
    baseline_known: bool
    baseline: str
    feeds: tuple[tuple[str, int], ...]
    rows: tuple[FindingRow, ...]
    scans: tuple[tuple[str, str, str], ...]
    fixes_unknown: str

    @property
    def gaps(self) -> tuple[tuple[str, str, str], ...]:
        return tuple(one for one in self.scans if one[1] != "COMPLETE")

    def document(self) -> dict[str, Any]:
        """All but the rows."""
        return {
            "verdict_id": self.verdict_id,
            "decided_at_s": self.decided_s,
            "decision": self.decision,
            "warn": self.warn,
            "fail": self.fail,
            "packages": self.packages,
            "findings": len(self.rows),
            "reachability": {"static_bp": self.static_bp, "runtime_bp": self.runtime_bp},
            "baseline": {"known": self.baseline_known, "label": self.baseline},
            "feeds": [{"name": name, "as_of_s": as_of_s} for name, as_of_s in self.feeds],
            "scans": [{"id": i, "status": s, "detail": d} for i, s, d in self.scans],
            "fixes_unknown": self.fixes_unknown,
        }


def snapshot(blobs: BlobStore, desk: PolicyDesk, capsule: Digest) -> Snapshot:
    """Read the snapshot of one verdict.

    Raises:
        NotFound: the capsule, or a part of it, is not here.
        Malformed: it is damaged.
    """
    opened = open_capsule(blobs.get(capsule), where=f"capsule {capsule.short}")
    parts = {
        name: json.loads(blobs.get(opened.refs[name]))
        for name in (
            "findings",
            "components",
            "scans",
            "feeds",
            "reachability",
            "baseline",
            "exceptions",
        )
    }
    policy = policy_from_blob(blobs.get(opened.refs["policy"]), where="policy of the capsule")
    try:
        facts, why = _feeds(blobs, desk, opened.raw, parts["feeds"]), ""
    except (NotFound, Malformed) as error:
        facts, why = None, str(error)
    fired = _fired(opened.verdict)
    trusted = frozenset(trusted_vex(policy.config))
    waived = used(parts, policy.config, opened.verdict["results"])
    components = {one["purl"]: one for one in parts["components"]}
    rows = [
        _row(one, components.get(one["purl"], {}), fired, trusted, waived, facts)
        for one in parts["findings"]
    ]
    return Snapshot(
        verdict_id=opened.verdict_id,
        decided_s=int(opened.clock["evaluated_at_s"]),
        decision=str(opened.verdict["decision"]),
        warn=int(opened.verdict["warn"]),
        fail=int(opened.verdict["fail"]),
        packages=len(components),
        static_bp=parts["reachability"]["static_bp"],
        runtime_bp=parts["reachability"]["runtime_bp"],
        baseline_known=parts["baseline"]["known"],
        baseline=parts["baseline"]["label"],
        feeds=tuple((one["name"], one["as_of_s"]) for one in parts["feeds"]),
        rows=tuple(sorted(rows, key=_worst_first)),
        scans=tuple((one["id"], one["status"], one["detail"]) for one in parts["scans"]),
        fixes_unknown=why,
    )


def _feeds(
    blobs: BlobStore,
    desk: PolicyDesk,
    raw: Mapping[str, Digest],
    feeds: Sequence[Mapping[str, Any]],
) -> FeedFacts:
    """What the feeds said then; the desk still knows it when they are in force."""
    snapshots = []
    for one in feeds:
        digest = raw.get(f"feed:{one['name']}") or Digest.parse(one["digest"])
        snapshots.append(
            FeedSnapshot(
                name=one["name"],
                digest=digest,
                as_of_s=one["as_of_s"],
                content=blobs.get(digest),
            )
        )
    return desk.feed_facts(snapshots)


def _fired(verdict: Mapping[str, Any]) -> Mapping[str, tuple[Fired, ...]]:
    found: dict[str, tuple[Fired, ...]] = {}
    for result in verdict["results"]:
        one = Fired(level=result["level"], rule=result["rule"])
        found[result["subject"]] = (*found.get(result["subject"], ()), one)
    return found


def _row(
    finding: Mapping[str, Any],
    component: Mapping[str, Any],
    fired: Mapping[str, tuple[Fired, ...]],
    trusted: frozenset[str],
    waived: Sequence[UsedWaiver],
    facts: FeedFacts | None,
) -> FindingRow:
    said = finding["vex"]
    why, suppressed = vex_why(said, trusted)
    purl = finding["purl"]
    package = package_of(parse_purl(purl, where="finding"), version=component.get("version", ""))
    return FindingRow(
        key=finding["key"],
        id=finding["id"],
        aliases=tuple(finding["aliases"]),
        sources=tuple(finding["sources"]),
        purl=purl,
        package=package.name,
        version=package.version,
        found_in=tuple(finding["found_in"]),
        severity=finding["severity"],
        cvss_dt=finding["cvss_dt"],
        epss_ppm=finding["epss_ppm"],
        kev=finding["kev"],
        reach=finding["reach"],
        new=finding["new_since_baseline"],
        vex_status=said["status"],
        vex_justification=said["justification"],
        vex_author=said["author"],
        vex_why=why,
        suppressed=suppressed,
        waived=tuple(one for one in waived if (one.finding, one.purl) == (finding["id"], purl)),
        fixed_in=None if facts is None else fixed_in(package, finding["sources"], facts),
        fired=fired.get(finding["key"], ()),
    )


def vex_why(said: Mapping[str, str], trusted: frozenset[str]) -> tuple[str, bool]:
    """What became of a statement, in one sentence, and whether it suppresses the finding."""
    status, author = said["status"], said["author"] or "nobody named"
    if not status:
        return "", False
    if said["author"] not in trusted:
        return f"not counted: the policy does not trust {author}", False
    if status not in HARMLESS:
        return f"said by {author}; suppresses nothing", False
    if not said["justification"]:
        return f"not counted: {author} gives no justification", False
    return f"said by {author}, because {said['justification'].replace('_', ' ')}", True


def _worst_first(row: FindingRow) -> tuple[bool, bool, int, bool, int, str]:
    return (
        row.suppressed,
        not row.kev,
        _SEVERITIES.index(row.severity),
        not any(one.level == "FAIL" for one in row.fired),
        -row.cvss_dt,
        row.key,
    )
