"""What running targets tell about the packages of a bundle: seen in use, there but unseen, unknown.

A target reports the packages of the bundle that it runs now, mostly in older versions than those
of the bundle that is asked about. Use is a trait of the software and not of a version, so packages
are compared without it. An unseen package is never taken for an unused one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packageurl import PackageURL

from engine.ports_observed import RuntimeFacts

UNKNOWN = "UNKNOWN"
OBSERVED = "RUNTIME_OBSERVED"
UNOBSERVED = "RUNTIME_UNOBSERVED"


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
        asked = set(purls)
        seen = sum(without_version(purl) in self.observed for purl in asked)
        return 10_000 * seen // len(asked) if asked else 0


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


def without_version(purl: str) -> str:
    """The text itself for what is no package URL."""
    try:
        parsed = PackageURL.from_string(purl)
    except ValueError:
        return purl
    return PackageURL(type=parsed.type, namespace=parsed.namespace, name=parsed.name).to_string()
