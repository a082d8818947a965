"""What a package is called and how its versions are compared, over all ecosystems that we know.

A package URL names a package; advisories name it by ecosystem and name. Both ways meet here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from packageurl import PackageURL
from univers import versions

from engine.core.errors import Malformed

# purl type -> (ecosystem as OSV names it, how its versions are compared)
_ECOSYSTEMS: Final[dict[str, tuple[str, Any]]] = {
    "pypi": ("PyPI", versions.PypiVersion),
    "npm": ("npm", versions.SemverVersion),
    "maven": ("Maven", versions.MavenVersion),
    "composer": ("Packagist", versions.ComposerVersion),
    "golang": ("Go", versions.GolangVersion),
    "gem": ("RubyGems", versions.RubygemsVersion),
    "cargo": ("crates.io", versions.SemverVersion),
    "nuget": ("NuGet", versions.NugetVersion),
    "deb": ("Debian", versions.DebianVersion),
}
_COMPARED_AS: Final = dict(_ECOSYSTEMS.values())


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A package of any version, as advisories name it."""

    ecosystem: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One package in one version.

    Attributes:
        purl: in its canonical form.
        identity: None for a kind of package that no advisory source of ours speaks of.
        licenses: ids or names as declared, sorted; of an expression every id in it.
    """

    purl: str
    name: str
    version: str
    identity: Identity | None
    licenses: tuple[str, ...] = ()


def parse_purl(text: str, *, where: str) -> PackageURL:
    try:
        return PackageURL.from_string(text)
    except ValueError as error:
        raise Malformed(f"expected a package URL, found {text[:80]!r}", where=where) from error


def identity_of(purl: PackageURL) -> Identity | None:
    known = _ECOSYSTEMS.get(purl.type)
    if known is None:
        return None
    ecosystem = known[0]
    match purl.type:
        case "maven":
            name = f"{purl.namespace}:{purl.name}"
        case "deb":
            name = purl.name
        case _:
            name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    return identity(ecosystem, name)


def identity(ecosystem: str, name: str) -> Identity:
    """`ecosystem` as in OSV; a release behind a colon (`Debian:12`) is left out."""
    base = ecosystem.partition(":")[0]
    if base == "PyPI":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif base in {"Packagist", "NuGet"}:
        name = name.lower()
    return Identity(base, name)


class Incomparable(Exception):
    """A version that its ecosystem's rules cannot read."""


@lru_cache(maxsize=65_536)
def version_of(ecosystem: str, text: str) -> Any:
    """A value that compares with others of its ecosystem. Raises `Incomparable`."""
    compared_as = _COMPARED_AS.get(ecosystem)
    if compared_as is None:
        raise Incomparable(f"no rules for versions of {ecosystem}")
    try:
        return compared_as(text)
    except Exception as error:  # each rule set has errors of its own
        raise Incomparable(f"{ecosystem} version {text!r}") from error
