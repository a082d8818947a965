"""Answers of the NVD API 2.0, taken apart into one document per CVE.

Pages mean nothing by themselves: how a list is cut depends on the moment and on who asks. One file
per CVE makes a snapshot of the same facts the same bytes, whichever way they came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.errors import Malformed
from engine.inputs.feeds_osv import is_id, micros
from engine.inputs.reading import kind, object_of, objects_of, optional_text, read_json, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Attributes:
    cves: a document of its own per CVE, by id, in the answer's form.
    start, total: where the page begins, and how many there are in all pages.
    said_us: when the source gave this answer (UTC microseconds); 0 = it does not say.
    """

    cves: Mapping[str, bytes]
    start: int
    total: int
    said_us: int


def read_page(content: bytes, *, where: str) -> Page:
    """Raises:
    Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    if document.get("format") != "NVD_CVE" or document.get("version") != "2.0":
        found = f"{document.get('format')} {document.get('version')}"
        raise Malformed(f"expected NVD_CVE 2.0, found {found}", where=f"{where}.format")
    cves: dict[str, bytes] = {}
    for place, item in objects_of(document, "vulnerabilities", where):
        cve = object_of(item, "cve", place)
        name = text_of(cve, "id", f"{place}.cve")
        if not is_id(name):
            raise Malformed(f"expected an id, found {name[:60]!r}", where=f"{place}.cve.id")
        document_of_one = _one(item)
        former = cves.get(name)
        if former is None or last_modified_us(former) <= last_modified_us(document_of_one):
            cves[name] = document_of_one
    stamp = optional_text(document, "timestamp", where)
    return Page(
        cves=cves,
        start=_number(document, "startIndex", where, default=0),
        total=_number(document, "totalResults", where, default=len(cves)),
        said_us=micros(stamp, f"{where}.timestamp") if stamp else 0,
    )


def last_modified_us(content: bytes) -> int:
    """When the CVE of one of our documents was last modified (UTC microseconds); 0 = unknown."""
    try:
        (item,) = read_json(content, where="")["vulnerabilities"]
        return micros(item["cve"]["lastModified"], "")
    except (Malformed, KeyError, TypeError, ValueError):
        return 0


def _one(item: Mapping[str, Any]) -> bytes:
    document = {"format": "NVD_CVE", "version": "2.0", "vulnerabilities": [dict(item)]}
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def _number(document: Mapping[str, Any], field: str, where: str, *, default: int) -> int:
    value = document.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Malformed(f"expected a number, found {kind(value)}", where=f"{where}.{field}")
    return value
