"""OpenVEX 0.0.1 and 0.2.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.reading import (
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
    texts_of,
)
from engine.inputs.sbom_parts import hash_of
from engine.inputs.vex import JUSTIFICATIONS, STATUSES, About, Named, Statement, VexDocument

CONTEXT: Final = "https://openvex.dev/ns"


def read_openvex(document: Mapping[str, Any], where: str) -> VexDocument:
    """Raises `Malformed` naming file, field, expected and found."""
    author = text_of(document, "author", where)
    text_of(document, "timestamp", where)
    gaps: list[str] = []
    statements = []
    for place, item in objects_of(document, "statements", where):
        flaws, name = _flaws(item, place)
        about = tuple(_about(item, place))
        if not about:
            gaps.append(f"{name}: {place} names no product")
            continue
        statements.append(
            Statement(
                flaws=flaws,
                about=about,
                status=_status(item, place),
                justification=_justification(item, place, gaps),
                author=author,
                stated_s=_stated_s(item, document, place),
            )
        )
    return VexDocument(format="OpenVEX", statements=tuple(statements), gaps=tuple(gaps))


def _stated_s(item: Mapping[str, Any], document: Mapping[str, Any], where: str) -> int:
    for owner in (item, document):
        for field in ("last_updated", "timestamp"):
            text = optional_text(owner, field, where)
            if text:
                return seconds_of(text, f"{where}.{field}")
    return 0


def _status(item: Mapping[str, Any], where: str) -> str:
    status = text_of(item, "status", where)
    if status not in STATUSES:
        raise Malformed(
            f"expected one of {', '.join(STATUSES)}, found {status!r}", where=f"{where}.status"
        )
    return status


def _justification(item: Mapping[str, Any], where: str, gaps: list[str]) -> str:
    """An impact statement is free text: it explains, and no policy can follow it."""
    said = optional_text(item, "justification", where)
    if said and said not in JUSTIFICATIONS:
        gaps.append(f"{where}.justification: expected one of the format, found {said[:60]!r}")
        return ""
    return said


def _flaws(item: Mapping[str, Any], where: str) -> tuple[frozenset[str], str]:
    flaw = item.get("vulnerability")
    if isinstance(flaw, str) and flaw.strip():  # OpenVEX 0.0.1
        return frozenset({flaw}), flaw
    place = f"{where}.vulnerability"
    named = object_of(item, "vulnerability", where)
    name = optional_text(named, "name", place) or text_of(named, "@id", place).rpartition("/")[2]
    return frozenset({name, *texts_of(named, "aliases", place)} - {""}), name


def _about(item: Mapping[str, Any], where: str) -> list[About]:
    products = item.get("products")
    if isinstance(products, list) and all(isinstance(product, str) for product in products):
        return [About(named=Named(purl=product)) for product in products if product]
    found = []
    for place, product in objects_of(item, "products", where):
        whole = _named(product, place)
        parts = objects_of(product, "subcomponents", place)
        if whole is None:
            continue
        if not parts:
            found.append(About(named=whole))
        for spot, part in parts:
            named = _named(part, spot)
            if named is not None:
                found.append(About(named=named, whole=whole))
    return found


def _named(item: Mapping[str, Any], where: str) -> Named | None:
    identifiers = object_of(item, "identifiers", where)
    purl = optional_text(identifiers, "purl", where) or optional_text(item, "@id", where)
    hashes = {
        hash_of(algorithm, value)
        for algorithm, value in object_of(item, "hashes", where).items()
        if isinstance(value, str)
    }
    named = Named(purl=purl, hashes=frozenset(hashes - {""}))
    return named if named.purl or named.hashes else None
