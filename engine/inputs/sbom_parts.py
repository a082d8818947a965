"""What every kind of bill of materials comes down to: parts, and the packages made of them.

A part without a package URL, or with one that is none, becomes a package of the kind `generic`:
its licences are judged like all others', and that no advisory was asked about it stands in `gaps`.
A part that was not looked at must never read as clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from packageurl import PackageURL

from engine.core.errors import Malformed
from engine.inputs.packages import Package, package_of, parse_purl
from engine.inputs.reading import nfc

_NO_LICENSE: Final = frozenset({"", "NOASSERTION", "NONE"})
_EXPRESSION_WORDS: Final = frozenset({"AND", "OR", "WITH"})
_HASH_NAMES: Final = {"SHA256": "sha-256", "SHA384": "sha-384", "SHA512": "sha-512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sbom:
    """Attributes:
    generated_at_s: UTC seconds; 0 when it carries no date.
    packages: sorted by package URL, each once.
    gaps: one sentence for each part that can't be matched against advisories.
    roots: package URLs of what the document is about, sorted.
    call_stacks: package URLs of parts for which it records calls that lead into them, sorted.
    """

    format: str
    generated_at_s: int
    packages: tuple[Package, ...]
    gaps: tuple[str, ...]
    roots: tuple[str, ...] = ()
    call_stacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Attributes:
    place: where its package URLs stand, for sentences.
    purls: package URLs as written.
    licenses: ids, names and expressions as written.
    hashes: (algorithm, hex) as written.
    other_names: kinds of identifiers that it has beside package URLs, for example `CPE`.
    """

    place: str
    name: str
    version: str = ""
    purls: Sequence[str] = ()
    licenses: Sequence[str] = ()
    hashes: Sequence[tuple[str, str]] = ()
    other_names: Sequence[str] = ()

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}".strip()


@dataclass(slots=True)
class Collected:
    """Packages and gaps, filled part by part."""

    packages: list[Package] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)

    def take(self, part: Part) -> tuple[Package, ...]:
        """The packages that the part became: one for each package URL, or a generic one."""
        licenses = tuple(sorted({one for text in part.licenses for one in license_ids(text)}))
        hashes = tuple(sorted({one for pair in part.hashes if (one := hash_of(*pair))}))
        made = []
        for text in dict.fromkeys(part.purls):
            try:
                purl = parse_purl(text, where=part.place)
            except Malformed as error:
                self.gaps.append(str(error))
                continue
            made.append(package_of(purl, version=part.version, licenses=licenses, hashes=hashes))
            self._contradiction(part, purl)
        if not part.purls:
            other = f" but {' and '.join(part.other_names)}" if part.other_names else ""
            self.gaps.append(f"{part.label} has no package URL{other}")
        if not made:
            generic = PackageURL(type="generic", name=part.name, version=part.version or None)
            made.append(package_of(generic, licenses=licenses, hashes=hashes))
        else:
            self.gaps += [f"{one.purl} has no version" for one in made if not one.version]
        self.packages += made
        return tuple(made)

    def _contradiction(self, part: Part, purl: PackageURL) -> None:
        """Two versions in one part: the package URL's counts, and that is said."""
        said, named = _plain(part.version), _plain(purl.version or "")
        if said and named and said != named and not said.endswith(f":{named}"):
            self.gaps.append(f"{purl.to_string()} is called version {part.version} beside it")


def _plain(version: str) -> str:
    return version.strip().lower().removeprefix("v")


def sbom_of(
    collected: Collected,
    *,
    form: str,
    generated_at_s: int,
    roots: Iterable[Package] = (),
    called: Iterable[Package] = (),
) -> Sbom:
    return Sbom(
        format=form,
        generated_at_s=generated_at_s,
        packages=_merged(collected.packages),
        gaps=tuple(dict.fromkeys(collected.gaps)),
        roots=tuple(sorted({one.purl for one in roots})),
        call_stacks=tuple(sorted({one.purl for one in called})),
    )


@lru_cache(maxsize=4_096)
def license_ids(expression: str) -> tuple[str, ...]:
    """Every licence id in an SPDX expression. A choice counts whole: whoever may not ship one of
    its licences has to say so in the SBOM by naming the chosen one."""
    text = nfc(expression).strip()
    if text in _NO_LICENSE:
        return ()
    words = re.split(r"[\s()]+", text)
    if not any(word in _EXPRESSION_WORDS for word in words):
        return (text,)  # one id, or a name that a person wrote
    return tuple(word for word in words if word not in {"", *_EXPRESSION_WORDS})


def hash_of(algorithm: str, value: str) -> str:
    """`sha-256:<hex>`; empty for an algorithm by which nothing should be recognised."""
    name = _hash_name(algorithm)
    plain = value.strip().lower()
    return f"{name}:{plain}" if name and re.fullmatch(r"[0-9a-f]{64,128}", plain) else ""


@lru_cache(maxsize=256)
def _hash_name(algorithm: str) -> str | None:
    return _HASH_NAMES.get(re.sub(r"[^A-Z0-9]", "", algorithm.upper()))


def _merged(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Each package URL once, with everything that was said of it."""
    by_purl: dict[str, Package] = {}
    for package in packages:
        known = by_purl.get(package.purl)
        by_purl[package.purl] = package if known is None else merged(known, package)
    return tuple(by_purl[purl] for purl in sorted(by_purl))


def merged(one: Package, other: Package) -> Package:
    """What two documents, or two places of one, say of the same package URL."""
    return Package(
        purl=one.purl,
        name=one.name,
        version=one.version or other.version,
        identity=one.identity,
        licenses=tuple(sorted({*one.licenses, *other.licenses})),
        release=one.release or other.release,
        hashes=tuple(sorted({*one.hashes, *other.hashes})),
    )
