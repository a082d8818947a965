"""SPDX 3.0 as JSON-LD: a graph of elements, of which relationships say what belongs to what.

Read in the compact form that the specification asks every writer for; a document that only a full
JSON-LD processor could read is refused by name. The bindings on PyPI model 60 classes to ask four
of them, and name no place of a problem.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.packages import Package
from engine.inputs.reading import (
    objects_of,
    optional_text,
    seconds_of,
    text_of,
    texts_of,
)
from engine.inputs.sbom_parts import Collected, Part, Sbom, sbom_of

_CONTEXT: Final = "https://spdx.org/rdf/3.0"
_LICENSES: Final = frozenset({"hasConcludedLicense", "hasDeclaredLicense"})
_OTHER_NAMES: Final = {"cpe22": "a CPE", "cpe23": "a CPE", "swid": "a SWID tag"}


def is_spdx3(document: Mapping[str, Any]) -> bool:
    context = document.get("@context")
    return isinstance(context, str) and context.startswith(_CONTEXT)


def read_spdx3(document: Mapping[str, Any], where: str) -> Sbom:
    """Read a document. Raises `Malformed` naming file, field, expected and found."""
    if "@graph" not in document:
        raise Malformed("expected a list of elements, found nothing", where=f"{where}.@graph")
    elements = [
        (place, _type(item, place), item) for place, item in objects_of(document, "@graph", where)
    ]
    licenses = _licenses_by_id(elements)
    declared, roots, gaps = _relations(elements, licenses)
    roots &= {_id(item, place) for place, form, item in elements if form == "software_Package"}
    collected = Collected()
    collected.gaps += gaps
    about: list[Package] = []
    for place, form, item in elements:
        if form != "software_Package":
            continue
        own = _id(item, place)
        part = _part(item, place, declared[own])
        if roots == {own} and not part.purls:
            continue  # what the document is about; it is no part of itself
        made = collected.take(part)
        about += made if own in roots else ()
    return sbom_of(
        collected,
        form=f"SPDX {_version(elements, where)}",
        generated_at_s=_created_s(elements, where),
        roots=about,
    )


_Elements = list[tuple[str, str, Mapping[str, Any]]]


def _type(item: Mapping[str, Any], where: str) -> str:
    return optional_text(item, "type", where) or optional_text(item, "@type", where)


def _id(item: Mapping[str, Any], where: str) -> str:
    return optional_text(item, "spdxId", where) or optional_text(item, "@id", where)


def _licenses_by_id(elements: _Elements) -> dict[str, str]:
    """Licence texts by element: expressions, and licences of the list or of one's own."""
    found = {}
    for place, form, item in elements:
        if form == "simplelicensing_LicenseExpression":
            text = text_of(item, "simplelicensing_licenseExpression", place)
        elif form in {"expandedlicensing_ListedLicense", "expandedlicensing_CustomLicense"}:
            text = optional_text(item, "name", place) or _id(item, place).rpartition("/")[2]
        else:
            continue
        found[_id(item, place)] = text
    return found


def _relations(
    elements: _Elements, licenses: Mapping[str, str]
) -> tuple[Mapping[str, list[str]], set[str], list[str]]:
    """Licences by package, ids of what the document is about, and what calls itself incomplete."""
    declared: dict[str, list[str]] = defaultdict(list)
    roots: set[str] = set()
    gaps: list[str] = []
    for place, form, item in elements:
        if form in {"SpdxDocument", "software_Sbom", "Bom"}:
            roots |= set(texts_of(item, "rootElement", place))
        if form not in {"Relationship", "LifecycleScopedRelationship"}:
            continue
        what = optional_text(item, "relationshipType", place)
        targets = texts_of(item, "to", place)
        if what == "describes":
            roots |= set(targets)
        elif what in _LICENSES:
            declared[optional_text(item, "from", place)] += [
                # A licence of the list may be named by its address alone.
                licenses.get(one, one.rpartition("/")[2])
                for one in targets
            ]
        if optional_text(item, "completeness", place) == "incomplete":
            gaps.append(f"the document calls its list of {what} incomplete")
    return declared, roots, gaps


def _part(item: Mapping[str, Any], where: str, licenses: list[str]) -> Part:
    purls = [optional_text(item, "software_packageUrl", where)]
    others = set()
    for place, one in objects_of(item, "externalIdentifier", where):
        form = optional_text(one, "externalIdentifierType", place)
        if form == "packageUrl":
            purls.append(text_of(one, "identifier", place))
        elif form in _OTHER_NAMES:
            others.add(_OTHER_NAMES[form])
    return Part(
        place=where,
        name=text_of(item, "name", where),
        version=optional_text(item, "software_packageVersion", where),
        purls=[purl for purl in purls if purl],
        licenses=licenses,
        hashes=list(_hashes(item, where)),
        other_names=sorted(others),
    )


def _hashes(item: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for place, one in objects_of(item, "verifiedUsing", where):
        if _type(one, place) == "Hash":
            yield text_of(one, "algorithm", place), text_of(one, "hashValue", place)


def _created(elements: _Elements) -> list[tuple[str, Mapping[str, Any]]]:
    """Every creation info, the document's own one first."""
    infos = {}
    for place, form, item in elements:
        if form == "CreationInfo":
            infos[_id(item, place)] = (place, item)
    for place, form, item in elements:
        if form != "SpdxDocument":
            continue
        own = item.get("creationInfo")
        if isinstance(own, dict):
            return [(f"{place}.creationInfo", own), *infos.values()]
        if isinstance(own, str) and own in infos:
            return [infos.pop(own), *infos.values()]
    return list(infos.values())


def _created_s(elements: _Elements, where: str) -> int:
    for place, info in _created(elements):
        return seconds_of(text_of(info, "created", place), f"{place}.created")
    raise Malformed("expected a CreationInfo, found none", where=f"{where}.@graph")


def _version(elements: _Elements, where: str) -> str:
    for place, info in _created(elements):
        version = text_of(info, "specVersion", place)
        if not version.startswith("3.0"):
            raise Malformed(f"expected 3.0, found {version!r}", where=f"{place}.specVersion")
        return "3.0"
    raise Malformed("expected a CreationInfo, found none", where=f"{where}.@graph")
