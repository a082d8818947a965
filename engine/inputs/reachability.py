"""Whether a flaw can be reached: what the code says and what running targets say, put together.

A target reports the packages of the bundle that it runs now, mostly in older versions than those
of the bundle that is asked about. Use is a trait of the software and not of a version, so packages
are compared without it. An unseen package is never taken for an unused one: alone it changes
nothing, and it takes nothing away from a way of calls that the code is known to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from packageurl import PackageURL

from engine.ports_observed import RuntimeFacts

UNKNOWN: Final = "UNKNOWN"
OBSERVED: Final = "RUNTIME_OBSERVED"
UNOBSERVED: Final = "RUNTIME_UNOBSERVED"
REACHABLE: Final = "STATIC_REACHABLE"
UNREACHABLE: Final = "STATIC_UNREACHABLE"

# (what the code says, what the targets say) -> the state. The code says nothing: None.
STATES: Final[Mapping[tuple[bool | None, str], str]] = {
    (None, UNKNOWN): UNKNOWN,
    (None, OBSERVED): OBSERVED,
    (None, UNOBSERVED): UNOBSERVED,
    (True, UNKNOWN): REACHABLE,
    (True, OBSERVED): "CONFIRMED_REACHABLE",
    (True, UNOBSERVED): REACHABLE,
    (False, UNKNOWN): UNREACHABLE,
    (False, OBSERVED): "CONTESTED",
    (False, UNOBSERVED): "UNREACHABLE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Attributes:
    reported: packages (without version) that some target ships.
    observed: those that some target has in use.
    """

    reported: frozenset[str] = frozenset()
    observed: frozenset[str] = frozenset()

    def reach(self, purl: str) -> str:
        name = without_version(purl)
        if name in self.observed:
            return OBSERVED
        return UNOBSERVED if name in self.reported else UNKNOWN

    def covered_bp(self, purls: Iterable[str]) -> int:
        """10000 x packages seen in use / packages, rounded down; 0 for no packages."""
        return _share_bp(purls, self.observed)

    def with_seen(self, observed: frozenset[str]) -> Runtime:
        """Together with packages (without version) that somebody else saw in use."""
        return Runtime(reported=self.reported | observed, observed=self.observed | observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """What analyses of the code say; True: there is a way of calls, False: there is none.

    Attributes:
        flaws: by (name of a flaw, package without version): of the flawed code itself.
        packages: by package without version: of anything in it.
    """

    flaws: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    packages: Mapping[str, bool] = field(default_factory=dict)

    def reach(self, names: Iterable[str], purl: str) -> bool | None:
        """The nearer answer counts, and of several the one that there is a way."""
        package = without_version(purl)
        said = [self.flaws[name, package] for name in names if (name, package) in self.flaws]
        return any(said) if said else self.packages.get(package)

    def known(self) -> frozenset[str]:
        return frozenset({*self.packages, *(package for _, package in self.flaws)})


def union(parts: Iterable[Static]) -> Static:
    """Several analyses as one: a way that one of them found is there."""
    flaws: dict[tuple[str, str], bool] = {}
    packages: dict[str, bool] = {}
    for part in parts:
        for flaw, said in part.flaws.items():
            flaws[flaw] = flaws.get(flaw, False) or said
        for package, said in part.packages.items():
            packages[package] = packages.get(package, False) or said
    return Static(flaws=flaws, packages=packages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachability:
    """Both halves."""

    runtime: Runtime = field(default_factory=Runtime)
    static: Static = field(default_factory=Static)

    def state(self, names: Iterable[str], purl: str) -> str:
        return STATES[self.static.reach(names, purl), self.runtime.reach(purl)]

    def static_bp(self, purls: Iterable[str]) -> int:
        """10000 x packages that an analysis speaks of / packages, rounded down."""
        return _share_bp(purls, self.static.known())


def _share_bp(purls: Iterable[str], names: frozenset[str]) -> int:
    asked = set(purls)
    if not names or not asked:
        return 0
    return 10_000 * sum(without_version(purl) in names for purl in asked) // len(asked)


def runtime_of(facts: Mapping[str, RuntimeFacts]) -> Runtime:
    """The union over all targets: one that uses a package is enough."""
    return Runtime(
        reported=frozenset(
            without_version(purl) for one in facts.values() for purl in one.components
        ),
        observed=frozenset(
            without_version(purl) for one in facts.values() for purl in one.observed
        ),
    )


@lru_cache(maxsize=65_536)
def without_version(purl: str) -> str:
    """The text itself for what is no package URL."""
    try:
        parsed = PackageURL.from_string(purl)
    except ValueError:
        return purl
    return PackageURL(type=parsed.type, namespace=parsed.namespace, name=parsed.name).to_string()
