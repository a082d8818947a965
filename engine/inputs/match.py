"""Which packages have which flaws: advisories are matched, and those of one flaw merged.

One flaw has many names (PYSEC, GHSA, CVE). Counted apart they would exhaust a budget thrice; so
advisories that share a name are one finding per package, called by its CVE where it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.inputs.advisories import Advisory, Affected, is_affected
from engine.inputs.feeds import FeedFacts
from engine.inputs.packages import Incomparable, Package, version_of
from engine.inputs.severity import Severity, worst

# Part of every capsule: findings made by another version may differ.
MATCHER: Final = "rl-match/2"


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
    heard = feeds.ecosystems
    for package in sorted(set(packages), key=lambda one: one.purl):
        if package.identity is None or package.identity.ecosystem not in heard:
            kind = package.purl.partition("/")[0]
            unheard[kind] = unheard.get(kind, 0) + 1
            continue
        found += _matches(package, feeds, gaps)
    gaps += [
        f"{count} package{'s' * (count > 1)} of {kind}: no feed speaks of {kind[4:]}"
        for kind, count in sorted(unheard.items())
    ]
    return tuple(sorted(found, key=lambda match: match.key)), tuple(gaps)


def _matches(package: Package, feeds: FeedFacts, gaps: list[str]) -> list[Match]:
    assert package.identity is not None
    known = feeds.advisories.get(package.identity, ())
    if not known or not package.version:
        return []  # without a version: said already where the SBOM was read
    hits: list[Advisory] = []
    for advisory in known:
        unread: Incomparable | None = None
        for affected in advisory.affected:
            if not _meant(affected, package):
                continue
            try:
                if is_affected(affected, package.version):
                    hits.append(advisory)
                    break
            except Incomparable as error:
                unread = error
        else:
            if unread is not None:
                gaps.append(f"{package.purl} against {advisory.id}: {unread}")
    return [_merge(package, group, known, feeds) for group in groups_by_name(hits)]


def _meant(affected: Affected, package: Package) -> bool:
    """Whether it is this package's; of another release of a distribution it is not."""
    if affected.package != package.identity:
        return False
    return affected.release in ("", package.release) or not package.release


def fixed_in(package: Package, sources: Iterable[str], feeds: FeedFacts) -> tuple[str, ...]:
    """The versions that advisories call fixed and that are newer than the package's, the oldest
    first: of each advisory named in `sources` the next one."""
    wanted = set(sources)
    if package.identity is None or not package.version:
        return ()
    ecosystem = package.identity.ecosystem
    found: dict[str, Any] = {}
    for advisory in feeds.advisories.get(package.identity, ()):
        if advisory.id not in wanted:
            continue
        newer: list[tuple[Any, str]] = []
        for affected in advisory.affected:
            if _meant(affected, package):
                newer += _newer(affected.fixed, package.version, ecosystem)
        if newer:
            at, text = min(newer, key=lambda pair: pair[0])
            found[text] = at
    return tuple(sorted(found, key=lambda text: found[text]))


def _newer(versions: Iterable[str], than: str, ecosystem: str) -> Iterator[tuple[Any, str]]:
    for text in versions:
        try:
            at = version_of(ecosystem, text)
            if at > version_of(ecosystem, than):
                yield at, text
        except Incomparable:
            continue  # what can't be ordered is no advice


def groups_by_name(advisories: Sequence[Advisory]) -> list[list[Advisory]]:
    """Advisories that share a name, directly or through others, together."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for advisory in advisories:
        names, members = _names(advisory), [advisory]
        apart = []
        for known in groups:
            if known[0] & names:
                names |= known[0]
                members = [*known[1], *members]
            else:
                apart.append(known)
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _merge(
    package: Package, group: list[Advisory], known: Sequence[Advisory], feeds: FeedFacts
) -> Match:
    names = frozenset(name for one in group for name in (one.id, *one.aliases))
    # What speaks of the same flaw says how bad it is, also where it lists other versions.
    kin = [one for one in known if _names(one) & names]
    asked = sorted(names.union(*(one.upstream for one in group)))
    vectors = [vector for one in kin for vector in one.vectors]
    vectors += [vector for name in asked for vector in feeds.vectors.get(name, ())]
    return Match(
        package=package,
        id=min(names, key=_rank),
        names=names,
        sources=tuple(sorted({one.id for one in group})),
        severity=worst(tuple(vectors), tuple(word for one in kin for word in one.words)),
        kev=not feeds.kev.isdisjoint(asked),
        epss_ppm=max(
            (feeds.epss_ppm[name] for name in asked if name in feeds.epss_ppm), default=-1
        ),
    )


def _names(advisory: Advisory) -> set[str]:
    return {advisory.id, *advisory.aliases}


def _rank(name: str) -> tuple[int, str]:
    kinds = ("CVE-", "GHSA-", "PYSEC-")
    return next((n for n, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name
