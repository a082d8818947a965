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
from engine.inputs.reading import nfc

_PACKAGIST: Final = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?"
    r"(?:[._-]?(stable|beta|b|rc|alpha|a|patch|pl|p)[.-]?(\d*)(?:[.-]\d+)*)?([.-]?dev)?(?:\+.*)?"
)
_STABILITY: Final = {"a": 1, "b": 2, "r": 3, "s": 4, "p": 5}


def _packagist_version(text: str) -> tuple[int, ...]:
    """Composer's order. Not the library's: that takes a fourth number for the name of a build, and
    beta10 for older than beta2."""
    read = _PACKAGIST.fullmatch(text.strip().lower())
    if read is None:
        raise ValueError(text)
    stability = 0 if read[7] and not read[5] else _STABILITY[(read[5] or "s")[0]]
    numbers = (int(read[n] or 0) for n in (1, 2, 3, 4))
    return (*numbers, stability, int(read[6] or 0), 0 if read[7] else 1)


# purl type, or type and namespace of a distribution -> (ecosystem as OSV names it, how its versions
# are compared)
_ECOSYSTEMS: Final[dict[str, tuple[str, Any]]] = {
    "pypi": ("PyPI", versions.PypiVersion),
    "npm": ("npm", versions.SemverVersion),
    "maven": ("Maven", versions.MavenVersion),
    "composer": ("Packagist", _packagist_version),
    "golang": ("Go", versions.GolangVersion),
    "gem": ("RubyGems", versions.RubygemsVersion),
    "cargo": ("crates.io", versions.SemverVersion),
    "nuget": ("NuGet", versions.NugetVersion),
    "deb/debian": ("Debian", versions.DebianVersion),
    "deb/ubuntu": ("Ubuntu", versions.DebianVersion),
    "apk/alpine": ("Alpine", versions.AlpineLinuxVersion),
}
_COMPARED_AS: Final = dict(_ECOSYSTEMS.values())
# What stands behind a plus names a build and orders nothing; Go writes `+incompatible` there.
_SEMANTIC: Final = (versions.SemverVersion, versions.GolangVersion)
_FOUR_NUMBERS: Final = re.compile(r"v?\d+(\.\d+){3}")

# Ecosystems whose names differ in nothing but case; Go's and npm's do only where somebody means
# to deceive, and package URLs lower them.
_CASELESS: Final = frozenset({"Packagist", "NuGet", "Go", "npm"})

# Advisories of distributions speak of source packages and of one release.
_DISTRIBUTIONS: Final = frozenset({"Debian", "Ubuntu", "Alpine"})
_CODENAMES: Final = {
    **{"stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13"},
    **{"bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04"},
}


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
        version: as its ecosystem compares it, a distribution's epoch in front.
        identity: None for a kind of package that no advisory source of ours speaks of.
        licenses: ids or names as declared, sorted; of an expression every id in it.
        release: of the distribution it was made for (`12`, `22.04`); empty when nobody says.
        hashes: of its bytes, `sha-256:<hex>`, sorted.
    """

    purl: str
    name: str
    version: str
    identity: Identity | None
    licenses: tuple[str, ...] = ()
    release: str = ""
    hashes: tuple[str, ...] = ()


def parse_purl(text: str, *, where: str) -> PackageURL:
    try:
        return PackageURL.from_string(text)
    except ValueError as error:
        raise Malformed(f"expected a package URL, found {text[:80]!r}", where=where) from error


def package_of(
    purl: PackageURL,
    *,
    version: str = "",
    licenses: tuple[str, ...] = (),
    hashes: tuple[str, ...] = (),
) -> Package:
    """The package that a package URL names; `version` counts when the URL has none."""
    said = nfc(purl.version or version)
    found = identity_of(purl)
    if found is not None and found.ecosystem in _DISTRIBUTIONS:
        epoch = str(purl.qualifiers.get("epoch", ""))
        if epoch not in {"", "0"} and ":" not in said and said:
            said = f"{epoch}:{said}"
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    return Package(
        purl=nfc(purl.to_string()),
        name=nfc(name),
        version=said,
        identity=found,
        licenses=licenses,
        release=_release_of(purl, found),
        hashes=hashes,
    )


def identity_of(purl: PackageURL) -> Identity | None:
    known = _ECOSYSTEMS.get(f"{purl.type}/{purl.namespace}") or _ECOSYSTEMS.get(purl.type)
    if known is None:
        return None
    ecosystem = known[0]
    if ecosystem in _DISTRIBUTIONS:
        # `upstream` is the source package that a binary one was built from: `openssl@3.0.11-1`.
        source = str(purl.qualifiers.get("upstream", "")).partition("@")[0]
        return identity(ecosystem, source or purl.name)
    if ecosystem == "Maven":
        return identity(ecosystem, f"{purl.namespace}:{purl.name}")
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    return identity(ecosystem, name)


def identity(ecosystem: str, name: str) -> Identity:
    """`ecosystem` as in OSV; a release behind a colon (`Debian:12`) is left out."""
    base = ecosystem.partition(":")[0]
    if base == "PyPI":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif base in _CASELESS:
        name = name.lower()
    return Identity(base, nfc(name))


def release_of(ecosystem: str) -> str:
    """The release that an OSV ecosystem names: 12 of `Debian:12`, 22.04 of `Ubuntu:22.04:LTS`."""
    base, _, rest = ecosystem.partition(":")
    return _release(base, rest) if base in _DISTRIBUTIONS else ""


def _release_of(purl: PackageURL, found: Identity | None) -> str:
    if found is None or found.ecosystem not in _DISTRIBUTIONS:
        return ""
    return _release(found.ecosystem, str(purl.qualifiers.get("distro", "")))


def _release(base: str, text: str) -> str:
    numbers = re.search(r"\d+(?:\.\d+)*", text)
    if numbers is None:
        words = re.split(r"[^a-z]+", text.lower())
        return next((_CODENAMES[word] for word in words if word in _CODENAMES), "")
    parts = numbers.group().split(".")
    return parts[0] if base == "Debian" else ".".join(parts[:2])


class Incomparable(Exception):
    """A version that its ecosystem's rules cannot read."""


@lru_cache(maxsize=65_536)
def version_of(ecosystem: str, text: str) -> Any:
    """A value that compares with others of its ecosystem. Raises `Incomparable`."""
    compared_as = _COMPARED_AS.get(ecosystem)
    if compared_as is None:
        raise Incomparable(f"no rules for versions of {ecosystem}")
    if compared_as in _SEMANTIC:
        text = text.partition("+")[0]
        if _FOUR_NUMBERS.match(text):
            raise Incomparable(f"{ecosystem} version {text!r}")
    try:
        return compared_as(text)
    except Exception as error:  # each rule set has errors of its own
        raise Incomparable(f"{ecosystem} version {text!r}") from error
