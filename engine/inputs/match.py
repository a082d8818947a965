"""Which packages have which flaws: advisories are matched, and those of one flaw merged.

One flaw has many names (PYSEC, GHSA, CVE). Counted apart they would exhaust a budget thrice; so
advisories that share a name are one finding per package, called by its CVE where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.inputs.advisories import Advisory, is_affected
from engine.inputs.feeds import FeedFacts
from engine.inputs.packages import Incomparable, Package
from engine.inputs.severity import Severity, worst

# Part of every capsule: findings made by another version may differ.
MATCHER: Final = "rl-match/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One flaw in one package.

    Attributes:
        id: the CVE where there is one.
        names: every name of the flaw, `id` too.
        sources: ids of the advisories that matched, sorted.
    """

    package: Package
    id: str
    names: frozenset[str]
    sources: tuple[str, ...]
    severity: Severity
    kev: bool
    epss_ppm: int

    @property
    def key(self) -> str:
        return f"{self.id} {self.package.purl}"

    @property
    def aliases(self) -> tuple[str, ...]:
        return tuple(sorted(self.names - {self.id}))


def match_packages(
    packages: Iterable[Package], feeds: FeedFacts
) -> tuple[tuple[Match, ...], tuple[str, ...]]:
    """Match every package.

    Returns:
        The matches sorted by key, and a sentence for everything that could not be looked at.
    """
    found: list[Match] = []
    gaps: list[str] = []
    unheard: dict[str, int] = {}
    for package in sorted(set(packages)):
        if package.identity is None or package.identity.ecosystem not in feeds.ecosystems:
            kind = package.purl.partition("/")[0]
            unheard[kind] = unheard.get(kind, 0) + 1
            continue
        found += _matches(package, feeds, gaps)
    gaps += [
        f"{count} packages of {kind}: no feed speaks of them"
        for kind, count in sorted(unheard.items())
    ]
    return tuple(sorted(found, key=lambda match: match.key)), tuple(gaps)


def _matches(package: Package, feeds: FeedFacts, gaps: list[str]) -> list[Match]:
    assert package.identity is not None
    if not package.version:
        return []  # said already where the SBOM was read
    hits: list[Advisory] = []
    for advisory in feeds.advisories.get(package.identity, ()):
        for affected in advisory.affected:
            if affected.package != package.identity:
                continue
            try:
                if is_affected(affected, package.version):
                    hits.append(advisory)
                    break
            except Incomparable as error:
                gaps.append(f"{package.purl} against {advisory.id}: {error}")
    return [_merge(package, group, feeds) for group in groups_by_name(hits)]


def groups_by_name(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Advisories that share a name, directly or through others, together."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names, members = {advisory.id, *advisory.aliases}, [advisory]
        apart = []
        for known in groups:
            if known[0] & names:
                names |= known[0]
                members = [*known[1], *members]
            else:
                apart.append(known)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _merge(package: Package, group: list[Advisory], feeds: FeedFacts) -> Match:
    names = frozenset(name for one in group for name in (one.id, *one.aliases))
    chosen = min(names, key=_rank)
    vectors = [vector for one in group for vector in one.vectors]
    vectors += [vector for name in sorted(names) for vector in feeds.vectors.get(name, ())]
    return Match(
        package=package,
        id=chosen,
        names=names,
        sources=tuple(sorted({one.id for one in group})),
        severity=worst(tuple(vectors), tuple(one.severity for one in group)),
        kev=bool(names & feeds.kev),
        epss_ppm=max(
            (feeds.epss_ppm[name] for name in names if name in feeds.epss_ppm), default=-1
        ),
    )


def _rank(name: str) -> tuple[int, str]:
    kinds = ("CVE-", "GHSA-", "PYSEC-")
    return next((n for n, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name
