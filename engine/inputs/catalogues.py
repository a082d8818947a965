"""The two lists that are asked by CVE: NVD for severities, CISA KEV for known exploitation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.errors import Malformed
from engine.inputs.reading import kind, list_of, object_of, objects_of, read_json, text_of

_METRICS = ("cvssMetricV40", "cvssMetricV31", "cvssMetricV30", "cvssMetricV2")


def read_kev(content: bytes, *, where: str) -> frozenset[str]:
    """The CVE ids of the KEV catalogue.

    Raises:
        Malformed: naming file, field, expected and found; also for a list that is shorter or
            longer than it says, because a cut catalogue would read as "not exploited".
    """
    document = read_json(content, where=where)
    if "vulnerabilities" not in document:
        raise Malformed("expected a list, found nothing", where=f"{where}.vulnerabilities")
    ids = [
        text_of(item, "cveID", at) for at, item in objects_of(document, "vulnerabilities", where)
    ]
    count = document.get("count")
    if count != len(ids):
        raise Malformed(f"expected {len(ids)}, found {kind(count)}", where=f"{where}.count")
    return frozenset(ids)


def read_nvd(content: bytes, *, where: str) -> Mapping[str, tuple[str, ...]]:
    """CVSS vectors by CVE id, from an answer of the NVD API 2.0.

    The newest CVSS version with a metric counts, of it NVD's own ("Primary") metrics, else all.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    if document.get("format") != "NVD_CVE" or document.get("version") != "2.0":
        found = f"{document.get('format')} {document.get('version')}"
        raise Malformed(f"expected NVD_CVE 2.0, found {found}", where=f"{where}.format")
    vectors: dict[str, tuple[str, ...]] = {}
    for place, item in objects_of(document, "vulnerabilities", where):
        cve = object_of(item, "cve", place)
        vectors[text_of(cve, "id", f"{place}.cve")] = _vectors(cve, f"{place}.cve")
    return vectors


def _vectors(cve: Mapping[str, Any], where: str) -> tuple[str, ...]:
    metrics = object_of(cve, "metrics", where)
    for name in _METRICS:
        if not list_of(metrics, name, f"{where}.metrics"):
            continue
        found = objects_of(metrics, name, f"{where}.metrics")
        primary = [(at, item) for at, item in found if item.get("type") == "Primary"] or found
        return tuple(
            text_of(object_of(item, "cvssData", at), "vectorString", f"{at}.cvssData")
            for at, item in primary
        )
    return ()
