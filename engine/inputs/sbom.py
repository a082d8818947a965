"""Bills of materials (CycloneDX 1.4 to 1.7 and SPDX 2.3, both as JSON) to packages.

What cannot be matched against advisories (no package URL, or one that is none) is counted in
`gaps`: a part that was not looked at must never read as clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.model.license import LicenseExpression

from engine.core.errors import Malformed
from engine.inputs.packages import Package, identity_of, parse_purl
from engine.inputs.reading import (
    kind,
    nfc,
    object_of,
    objects_of,
    optional_text,
    read_json,
    seconds_of,
    text_of,
    texts_of,
)

_CYCLONEDX: Final = ("1.4", "1.5", "1.6", "1.7")
_NO_LICENSE: Final = frozenset({"", "NOASSERTION", "NONE"})
_FOUND_MAX: Final = 200
_EXPRESSION_WORDS: Final = frozenset({"AND", "OR", "WITH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sbom:
    """Attributes:
    generated_at_s: UTC seconds; 0 when it carries no date.
    packages: sorted by package URL, each once.
    gaps: one sentence for each part that can't be matched against advisories.
    """

    format: str
    generated_at_s: int
    packages: tuple[Package, ...]
    gaps: tuple[str, ...]


def read_sbom(content: bytes, *, where: str) -> Sbom:
    """Read a bill of materials.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    if document.get("bomFormat") == "CycloneDX":
        return _cyclonedx(document, where)
    version = document.get("spdxVersion")
    if version in ("SPDX-2.2", "SPDX-2.3"):
        return _spdx(document, where)
    found = f"spdxVersion {version!r}" if version else f"bomFormat {document.get('bomFormat')!r}"
    raise Malformed(f"expected CycloneDX or SPDX 2.3, found {found}", where=where)


def _cyclonedx(document: Mapping[str, Any], where: str) -> Sbom:
    version = document.get("specVersion")
    if version not in _CYCLONEDX:
        raise Malformed(
            f"expected one of {', '.join(_CYCLONEDX)}, found {kind(version)}",
            where=f"{where}.specVersion",
        )
    metadata = object_of(document, "metadata", where)
    # Not from the library: it puts the present time where a document has none.
    stamp = optional_text(metadata, "timestamp", f"{where}.metadata")
    generated_at_s = seconds_of(stamp, f"{where}.metadata.timestamp") if stamp else 0
    _check_components(document, where)
    try:
        bom = Bom.from_json(dict(document))  # type: ignore[attr-defined]
    except Exception as error:  # the library has no error of its own for a bad document
        found = str(error).partition("\n")[0][-_FOUND_MAX:]
        raise Malformed(f"expected CycloneDX {version}, found: {found}", where=where) from error
    packages: list[Package] = []
    gaps: list[str] = []
    for component in _flat(bom.components):
        label = nfc(f"{component.name} {component.version or ''}".strip())
        if component.purl is None:
            if component.type.value not in {"file", "data", "cryptographic-asset"}:
                gaps.append(f"{label} has no package URL")
            continue
        packages.append(
            _package(
                component.purl.to_string(),
                version=component.version or "",
                licenses=_licenses(component),
                where=f"{where}: {label}",
            )
        )
    return Sbom(
        format=f"CycloneDX {version}",
        generated_at_s=generated_at_s,
        packages=_merged(packages),
        gaps=(*gaps, *_versionless(packages)),
    )


def _check_components(item: Mapping[str, Any], where: str) -> None:
    """Name the place of what is most often wrong; the library says only what, not where."""
    for place, component in objects_of(item, "components", where):
        text_of(component, "type", place)
        text_of(component, "name", place)
        optional_text(component, "version", place)
        purl = optional_text(component, "purl", place)
        if purl:
            parse_purl(purl, where=f"{place}.purl")
        for spot, choice in objects_of(component, "licenses", place):
            optional_text(choice, "expression", spot)
            named = object_of(choice, "license", spot)
            optional_text(named, "id", f"{spot}.license")
            optional_text(named, "name", f"{spot}.license")
        _check_components(component, place)


def _flat(components: Iterable[Component]) -> Iterable[Component]:
    for component in components:
        yield component
        yield from _flat(component.components)


def _licenses(component: Component) -> list[str]:
    found: list[str] = []
    for one in component.licenses:
        if isinstance(one, LicenseExpression):
            found += _ids(one.value or "")
        else:
            found.append(one.id or one.name or "")
    return found


def _spdx(document: Mapping[str, Any], where: str) -> Sbom:
    info = object_of(document, "creationInfo", where)
    described = _described(document, where)
    packages: list[Package] = []
    gaps: list[str] = []
    for place, item in objects_of(document, "packages", where):
        name = text_of(item, "name", place)
        version = optional_text(item, "versionInfo", place)
        purls = [
            text_of(ref, "referenceLocator", spot)
            for spot, ref in objects_of(item, "externalRefs", place)
            if ref.get("referenceType") == "purl"
        ]
        if not purls:
            if optional_text(item, "SPDXID", place) not in described:
                gaps.append(f"{name} {version}".strip() + " has no package URL")
            continue
        licenses = [
            text
            for field in ("licenseConcluded", "licenseDeclared")
            for text in _ids(optional_text(item, field, place))
        ]
        packages += [
            _package(purl, version=version, licenses=licenses, where=place) for purl in purls
        ]
    created = text_of(info, "created", f"{where}.creationInfo")
    return Sbom(
        format=str(document["spdxVersion"]).replace("-", " "),
        generated_at_s=seconds_of(created, f"{where}.creationInfo.created"),
        packages=_merged(packages),
        gaps=(*gaps, *_versionless(packages)),
    )


def _described(document: Mapping[str, Any], where: str) -> set[str]:
    """Ids of what the document is about; it is no part of itself."""
    related = (
        optional_text(item, "relatedSpdxElement", place)
        for place, item in objects_of(document, "relationships", where)
        if item.get("relationshipType") == "DESCRIBES"
    )
    return {*texts_of(document, "documentDescribes", where), *related}


def _ids(expression: str) -> list[str]:
    """Every licence id in an SPDX expression. A choice counts whole: whoever may not ship one of
    its licences has to say so in the SBOM by naming the chosen one."""
    if expression.strip() in _NO_LICENSE:
        return []
    words = re.split(r"[\s()]+", expression)
    return [word for word in words if word and word.upper() not in _EXPRESSION_WORDS]


def _package(text: str, *, version: str, licenses: Iterable[str], where: str) -> Package:
    purl = parse_purl(text, where=where)
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    return Package(
        purl=nfc(purl.to_string()),
        name=nfc(name),
        version=nfc(purl.version or version),
        identity=identity_of(purl),
        licenses=tuple(sorted({nfc(one) for one in licenses if one not in _NO_LICENSE})),
    )


def _versionless(packages: Iterable[Package]) -> list[str]:
    return [f"{package.purl} has no version" for package in packages if not package.version]


def _merged(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Each package URL once, with all licences that were said of it."""
    by_purl: dict[str, Package] = {}
    for package in packages:
        known = by_purl.get(package.purl, package)
        by_purl[package.purl] = Package(
            purl=package.purl,
            name=package.name,
            version=known.version or package.version,
            identity=package.identity,
            licenses=tuple(sorted({*known.licenses, *package.licenses})),
        )
    return tuple(by_purl[purl] for purl in sorted(by_purl))
