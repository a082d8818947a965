"""What a view of an approval is made of: verdict, findings, policy, sources and people. Pure.

Plain frozen values; `engine.approving` reads them, `engine.core.approval_view` makes the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.core.data_health import Level
from engine.core.digest import Digest
from engine.core.state import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """A rule of the policy that fired. `subject`: the finding or thing it is about, or empty."""

    level: str
    rule: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """A source that the decision rests on, as it stands now.

    Attributes:
        level: OK, WARN, FAIL or UNKNOWN.
        state: of a feed the word of its freshness, or why it is not known; else its kind.
        as_of_s: of a feed up to when it is known, UTC seconds; None = no snapshot.
    """

    name: str
    level: str
    state: str
    as_of_s: int | None


def unhealthy(sources: Iterable[SourceHealth]) -> tuple[str, ...]:
    """What is not OK, a phrase each, sorted: `NVD is WARN`."""
    return tuple(sorted(f"{one.name} is {one.level}" for one in sources if one.level != Level.OK))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFinding:
    """A finding that a verdict rested on.

    Attributes:
        package: the package URL without its version, by which bundles are compared.
        cvss_dt: ten times the score; -1 when there is none.
        suppressed: a trusted statement takes it out of what the rules look at.
        rules: those that fired on it.
        waivers: ids of those that take it out of what the rules look at.
    """

    id: str
    aliases: tuple[str, ...]
    purl: str
    package: str
    severity: str
    cvss_dt: int
    kev: bool
    reach: str
    found_in: tuple[str, ...]
    suppressed: bool
    rules: tuple[str, ...]
    waivers: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[tuple[str, str]]:
        return frozenset((name, self.package) for name in (self.id, *self.aliases))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a verdict rested on, read back out of its capsule.

    Attributes:
        gaps: (source, status, detail) of each that was not wholly read.
    """

    results: tuple[RuleResult, ...]
    findings: tuple[SeenFinding, ...]
    gaps: tuple[tuple[str, str, str], ...]
    decided_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """The promotion that is live in the environment. `frozen` None: its facts can't be read."""

    run: str
    bundle: Digest
    label: str
    verdict_id: str
    policy: Digest
    frozen: Frozen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """One line of what differs from the policy of the live run; None: nobody can say."""

    kind: str
    what: str
    name: str
    before: str
    after: str
    stricter: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewFacts:
    """Everything that a view is made of.

    Attributes:
        frozen: what this run's verdict rested on; None: it can't be read, and `why_not` says why.
        live: None: nothing was promoted there yet.
        policy_version: as the policy calls itself; empty when it can't be read.
        policy_changes: None: one of the two policies can't be read.
        may: people who may approve now.
        may_not: (person, sentence) of approvers who may not.
    """

    run: Run
    frozen: Frozen | None
    why_not: str
    live: LiveRun | None
    policy_version: str
    policy_changes: tuple[PolicyChange, ...] | None
    health: tuple[SourceHealth, ...]
    may: tuple[str, ...]
    may_not: tuple[tuple[str, str], ...]


def compare(
    now: Iterable[SeenFinding], live: Iterable[SeenFinding]
) -> tuple[tuple[SeenFinding, ...], tuple[SeenFinding, ...], int]:
    """Findings that are new against `live`, those that are gone, and how many stay.

    A flaw of a package stays the same flaw under any of its names and in any version of it: what
    a rule calls new is new here too.
    """
    before, after = list(live), list(now)
    known = frozenset[tuple[str, str]]().union(*(one.names for one in before))
    still = frozenset[tuple[str, str]]().union(*(one.names for one in after))
    added = tuple(one for one in after if not one.names & known)
    gone = tuple(one for one in before if not one.names & still)
    return added, gone, len(after) - len(added)
