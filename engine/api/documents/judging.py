"""What the API says of judgements: policies, verdicts, findings, replays, the health gate."""

from __future__ import annotations

from typing_extensions import TypedDict

import data.queries_replays as replay_queries
from engine.api.documents.base import Anything, DigestText, PageOf, closed, row_of
from engine.api.documents.runs import RunId

ReplayRowDoc = row_of(replay_queries.SQL["replays"])
_VERDICT_ROW = replay_queries.SQL["verdicts"]
VerdictDoc = row_of(
    _VERDICT_ROW,
    rests_on={"type": "object"},
    newest_replays={"type": "array", "items": {"type": "object"}},
)
OutcomeDoc = row_of(
    replay_queries.SQL["replays"],
    whole=False,
    then={},
    now={},
    gate={},
    attribution={},
    diff={"type": "array"},
    parts={"type": "array"},
    bisect={"type": "array"},
    digests_seen={"type": "array"},
    differs={"type": "array"},
)


@closed
class PublishedDoc(TypedDict):
    environment: str
    policy: DigestText
    name: str
    version: str
    before: DigestText | None
    source: str
    tests: DigestText | None
    passed: int
    reason: str


@closed
class VersionDoc(PublishedDoc):
    by: str
    since_us: int
    until_us: int | None


@closed
class PublishedItemsDoc(TypedDict):
    items: list[PublishedDoc]


@closed
class LintDoc(TypedDict):
    where: str
    rule: str
    message: str


@closed
class PolicyDoc(TypedDict):
    policy: DigestText
    name: str
    version: str
    document: Anything
    config: Anything
    lint: list[LintDoc]
    in_force: list[VersionDoc]


@closed
class CaseDoc(TypedDict):
    name: str
    ok: bool
    found: str
    problems: list[str]


@closed
class PolicyCheckDoc(TypedDict):
    policy: DigestText
    ok: bool
    tests: list[CaseDoc]


class BlockersDoc(TypedDict):
    """The smallest single changes that would have blocked a run (releaseline.blockers/1)."""

    schema: str
    run: RunId
    environment: str
    verdict: str
    policy: DigestText
    good: int
    blockers: list[Anything]


@closed
class ReplayAskedDoc(TypedDict):
    name: str
    n: int
    asked_us: int
    actor: str
    reason: str
    mode: str
    depth: str
    scope: str
    run: str
    environment: str
    policy: str
    total: int


@closed
class ReplayProgressDoc(TypedDict):
    """`items`: the newest hundred outcomes."""

    name: str
    n: int
    status: str
    total: int
    done: int
    matching: int
    mismatching: int
    same: int
    flipped: int
    unproven: int
    failed: int
    items: list[ReplayRowDoc]  # type: ignore[valid-type]


@closed
class UnprovenDoc(TypedDict):
    verdict: str
    run: str
    cause: str
    sentence: str


@closed
class FlipsDoc(TypedDict):
    name: str
    flips: list[Anything]
    changes: list[Anything]
    unproven: list[UnprovenDoc]


class DeterminismDoc(TypedDict):
    """How many recorded decisions replay, and how they group."""

    total: int
    matching: int
    mismatching: int
    running: int
    failed: int
    match_bp: int | None
    coverage: Anything
    cross: Anything
    sentence: str


@closed
class VexDoc(TypedDict):
    status: str
    justification: str
    author: str
    why: str
    suppresses: bool


@closed
class FiredDoc(TypedDict):
    level: str
    rule: str


@closed
class WaivedDoc(TypedDict):
    """A waiver that takes the finding out of what the rules looked at."""

    id: str
    by: str
    granted_by: str
    expires_us: int


@closed
class FindingDoc(TypedDict):
    key: str
    id: str
    aliases: list[str]
    sources: list[str]
    purl: str
    found_in: list[str]
    severity: str
    cvss_dt: int | None
    epss_ppm: int | None
    kev: bool
    reach: str
    new_since_baseline: bool | None
    fixed_in: list[str] | None
    vex: VexDoc
    waived: list[WaivedDoc]
    fired: list[FiredDoc]


@closed
class FindingsDoc(PageOf[FindingDoc]):
    """A verdict's security snapshot; the worst findings first."""

    run: RunId
    verdict_id: str
    decided_at_s: int
    decision: str
    warn: int
    fail: int
    packages: int
    findings: int
    reachability: Anything
    baseline: Anything
    feeds: list[Anything]
    scans: list[Anything]
    fixes_unknown: str


@closed
class GateReplayDoc(TypedDict):
    """Every stored tick of a run's health gates, judged again."""

    run: RunId
    same: bool
    ticks: int
    sentence: str
    items: list[Anything]


@closed
class BacktestDoc(TypedDict):
    """What other limits would have done to past stages, on their stored ticks only."""

    changes: dict[str, str]
    summary: Anything
    items: list[Anything]
    sentence: str
