"""What vendors say about a flaw in a product, in whichever format, and whose word counts.

A statement has to fit the finding (flaw, package, and the product that the package is part of), and
then the newest one counts among those that a policy can follow at all: by an author whom it trusts,
and with a reason where the flaw is called harmless. Another one is shown, and suppresses nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from packageurl import PackageURL
from univers.version_range import VersionRange

from engine.inputs.feeds import Scan, scan
from engine.inputs.packages import Package

HARMLESS: Final = frozenset({"not_affected", "fixed"})
STATUSES: Final = ("not_affected", "fixed", "under_investigation", "affected")  # worst last
# CISA's, which OpenVEX and CSAF share; CycloneDX has words of its own.
JUSTIFICATIONS: Final = frozenset(
    {
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A product or a part of one, as a document names it.

    Attributes:
        purl: a package URL or another name; empty when there is none.
        hashes: `sha-256:<hex>`.
        versions: a range (`vers:pypi/>=1|<2`) instead of one version; empty when there is none.
    """

    purl: str = ""
    hashes: frozenset[str] = frozenset()
    versions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A part, in the product `whole` only; without one, wherever it is."""

    named: Named
    whole: Named | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Attributes:
    flaws: ids and aliases of the flaw.
    justification: a word of the format's closed list; empty when it gives none.
    stated_s: UTC seconds; 0 when it carries no date, so that any dated one is newer.
    """

    flaws: frozenset[str]
    about: tuple[About, ...]
    status: str
    justification: str
    author: str
    stated_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VexDocument:
    """Attributes:
    gaps: one sentence for each thing that it says and that can't be placed.
    """

    format: str
    statements: tuple[Statement, ...]
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is promoted, under every name that a vendor may give it.

    Attributes:
        purls: what its SBOMs call themselves.
        hashes: of its components and its manifest.
        names: of the bundle and its components, with the version where it has one.
    """

    purls: tuple[str, ...] = ()
    hashes: frozenset[str] = frozenset()
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """All statements about one promotion.

    Attributes:
        trusted: authors whom the policy follows.
        now_s: what is dated later is not heard.
    """

    statements: tuple[Statement, ...] = ()
    whole: Whole = field(default_factory=Whole)
    trusted: frozenset[str] = frozenset()
    now_s: int = 0

    def by_flaw(self) -> Mapping[str, tuple[Statement, ...]]:
        found: dict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements:
            if statement.stated_s <= self.now_s:
                for name in statement.flaws:
                    found[name].append(statement)
        return {name: tuple(many) for name, many in found.items()}

    def counts(self, statement: Statement) -> bool:
        """Whether a policy can follow it."""
        reason = statement.status not in HARMLESS or statement.justification != ""
        return reason and statement.author in self.trusted

    def choose(self, statements: Iterable[Statement], package: Package) -> Statement | None:
        """The one that counts of those that fit; else the newest of the others; else None.

        Of two of one date the less harmless one.
        """
        fitting = [
            one for one in statements if any(_fits(a, package, self.whole) for a in one.about)
        ]
        heard = [one for one in fitting if self.counts(one)] or fitting
        return max(
            heard,
            key=lambda s: (s.stated_s, STATUSES.index(s.status), s.author, s.justification),
            default=None,
        )


def trusted_vex(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The authors whom a policy's config follows, sorted; nobody when it names none."""
    named = config.get("trusted_vex_authors")
    known = named if isinstance(named, list) else []
    return tuple(sorted({one for one in known if isinstance(one, str)}))


def heard(scan_id: str, document: VexDocument, voices: Voices) -> Scan:
    """How much of a document a decision can follow, and why not the rest."""
    unheard: dict[str, int] = defaultdict(int)
    for one in document.statements:
        if one.stated_s > voices.now_s:
            unheard["dated after the decision"] += 1
        elif one.author not in voices.trusted:
            unheard[f"by {one.author or 'nobody'}, whom the policy does not trust"] += 1
        elif not voices.counts(one):
            unheard["that call a flaw harmless without a justification"] += 1
        elif not any(about.whole is None or is_whole(about.whole, voices.whole)
                     for about in one.about):  # fmt: skip
            unheard["about other products"] += 1
    told = [f"{len(document.statements)} statements"]
    told += [f"ignored: {count} {why}" for why, count in sorted(unheard.items())]
    return scan(scan_id, document.gaps, "; ".join(told))


# --- what a statement is about --------------------------------------------------------------------


def _fits(about: About, package: Package, whole: Whole) -> bool:
    if about.whole is not None:
        return is_whole(about.whole, whole) and _names(about.named, package)
    # A product named alone is the package itself, or all that is promoted.
    return _names(about.named, package) or is_whole(about.named, whole)


def _names(named: Named, package: Package) -> bool:
    if named.hashes and not named.hashes.isdisjoint(package.hashes):
        return True
    if not named.purl or not covers(named.purl, package.purl):
        return False
    return not named.versions or _in_versions(named.versions, package.version)


def is_whole(named: Named, whole: Whole) -> bool:
    if not named.hashes.isdisjoint(whole.hashes):
        return True
    if not named.purl:
        return False
    if any(covers(named.purl, purl) for purl in whole.purls):
        return True
    meant = _parsed(named.purl)
    name, version = (named.purl, "") if meant is None else (meant.name, meant.version or "")
    return any(name == own and version in ("", known) for own, known in whole.names)


def covers(product: str, purl: str) -> bool:
    """Whether a product's package URL means `purl`: one without a version means every version, one
    with qualifiers only what has these."""
    meant, asked = _parsed(product), _parsed(purl)
    if meant is None or asked is None:
        return False
    same = (meant.type, meant.namespace, meant.name) == (asked.type, asked.namespace, asked.name)
    return (
        same
        and meant.version in (None, "", asked.version)
        and set(meant.qualifiers.items()) <= set(asked.qualifiers.items())
    )


@lru_cache(maxsize=65_536)
def _parsed(purl: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(purl)
    except ValueError:
        return None


@lru_cache(maxsize=4_096)
def _in_versions(versions: str, version: str) -> bool:
    """Whether `version` is in the range; not when either can't be read."""
    try:
        known: Any = VersionRange.from_string(versions)  # type: ignore[no-untyped-call]  # untyped
        return known.version_class(version) in known
    except Exception:  # each rule set has errors of its own
        return False


def bytes_named(hashes: Sequence[str], purl: str) -> bool:
    """Whether something can be recognised by what is said of it."""
    return bool(hashes) or _parsed(purl) is not None
