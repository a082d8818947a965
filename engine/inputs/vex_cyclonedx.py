"""Exploitability in CycloneDX: the `vulnerabilities` of a document that an analysis was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from engine.core.errors import Malformed
from engine.inputs.reading import (
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
)
from engine.inputs.sbom_parts import hash_of
from engine.inputs.vex import About, Named, Statement, VexDocument

_STATUS: Final = {
    "not_affected": "not_affected",
    "false_positive": "not_affected",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "exploitable": "affected",
    "in_triage": "under_investigation",
}
_JUSTIFICATIONS: Final = frozenset(
    {
        *("code_not_present", "code_not_reachable", "requires_configuration"),
        *("requires_dependency", "requires_environment", "protected_by_compiler"),
        *("protected_at_runtime", "protected_at_perimeter", "protected_by_mitigating_control"),
    }
)
_VERSION_STATUS: Final = frozenset({"affected", "unaffected", "unknown"})


def read_cyclonedx_vex(document: Mapping[str, Any], where: str) -> VexDocument:
    """The author is who the document says made it; its supplier where it names nobody.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    metadata = object_of(document, "metadata", where)
    author = _author(metadata, f"{where}.metadata")
    dated = optional_text(metadata, "timestamp", f"{where}.metadata")
    known = dict(_components(document, where))
    gaps: list[str] = []
    statements = []
    for place, item in objects_of(document, "vulnerabilities", where):
        analysis = object_of(item, "analysis", place)
        state = optional_text(analysis, "state", f"{place}.analysis")
        if not state:
            continue  # listed as a flaw; nobody has said anything about it
        if state not in _STATUS:
            raise Malformed(
                f"expected one of {', '.join(_STATUS)}, found {state!r}",
                where=f"{place}.analysis.state",
            )
        name = text_of(item, "id", place)
        about = tuple(_about(item, place, known, gaps, name))
        if not about:
            continue
        reason = optional_text(analysis, "justification", f"{place}.analysis")
        statements.append(
            Statement(
                flaws=frozenset({name, *_other_names(item, place)}),
                about=about,
                status=_STATUS[state],
                justification=reason if reason in _JUSTIFICATIONS else "",
                author=author,
                stated_s=_stated_s(analysis, dated, f"{place}.analysis"),
            )
        )
    return VexDocument(format="CycloneDX VEX", statements=tuple(statements), gaps=tuple(gaps))


def _author(metadata: Mapping[str, Any], where: str) -> str:
    people = [one for _, one in objects_of(metadata, "authors", where)]
    for owner in (*people, object_of(metadata, "supplier", where)):
        for field in ("email", "name"):
            text = optional_text(owner, field, where)
            if text:
                return text
    return ""


def _stated_s(analysis: Mapping[str, Any], dated: str, where: str) -> int:
    """When it was analysed, else when the document was made. The flaw's own dates say neither."""
    texts = [optional_text(analysis, name, where) for name in ("lastUpdated", "firstIssued")]
    text = next((one for one in (*texts, dated) if one), "")
    return seconds_of(text, where) if text else 0


def _other_names(item: Mapping[str, Any], where: str) -> Iterator[str]:
    for place, reference in objects_of(item, "references", where):
        yield text_of(reference, "id", place)


def _components(document: Mapping[str, Any], where: str) -> Iterator[tuple[str, Named]]:
    """What the document itself describes, by its own references."""
    root = object_of(object_of(document, "metadata", where), "component", where)
    pending = [(where, root), *objects_of(document, "components", where)]
    while pending:
        place, one = pending.pop()
        pending += objects_of(one, "components", place)
        ref = optional_text(one, "bom-ref", place)
        hashes = {
            hash_of(text_of(item, "alg", spot), text_of(item, "content", spot))
            for spot, item in objects_of(one, "hashes", place)
        }
        named = Named(purl=optional_text(one, "purl", place), hashes=frozenset(hashes - {""}))
        if ref and (named.purl or named.hashes):
            yield ref, named


def _about(
    item: Mapping[str, Any],
    where: str,
    known: Mapping[str, Named],
    gaps: list[str],
    name: str,
) -> Iterator[About]:
    for place, one in objects_of(item, "affects", where):
        ref = text_of(one, "ref", place)
        # Of another document (`urn:cdx:<serial>/<version>#<ref>`) the reference alone is known.
        own = unquote(ref.partition("#")[2]) if ref.startswith("urn:cdx:") else ref
        named = known.get(own) or (Named(purl=own) if own.startswith("pkg:") else None)
        if named is None:
            gaps.append(f"{name}: {place}.ref {ref[:60]!r} is no package URL and no part of it")
            continue
        versions = objects_of(one, "versions", place)
        if not versions:
            yield About(named=named)
        for spot, version in versions:
            status = optional_text(version, "status", spot) or "affected"
            if status not in _VERSION_STATUS:
                raise Malformed(
                    f"expected one of {', '.join(sorted(_VERSION_STATUS))}, found {status!r}",
                    where=f"{spot}.status",
                )
            if status == "affected":
                yield About(named=_at(named, version, spot))


def _at(named: Named, version: Mapping[str, Any], where: str) -> Named:
    span = optional_text(version, "range", where)
    one = optional_text(version, "version", where)
    kind = named.purl.removeprefix("pkg:").partition("/")[0]
    bare = named.purl.partition("#")[0].partition("?")[0].rpartition("@")[0] or named.purl
    exact = f"vers:{kind}/{one}" if one else ""
    return Named(purl=bare, versions=span or exact)
