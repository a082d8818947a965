"""Reports on reachability that others wrote: call graphs, govulncheck, observations at run time.

{"schema": "richgraph-v1", "roots", "nodes", "edges"}   a call graph with package URLs
{"config"} {"osv"} {"finding"} ...                      govulncheck -format json
{"purl" or "symbol_id", "hit_count", "observed_at"}     one observation a line (NDJSON)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.reachability import Static, without_version
from engine.inputs.reading import (
    kind,
    nfc,
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
    texts_of,
)

GRAPH: Final = "richgraph-v1"
# An observation is of the software that runs now; what was seen long ago may be gone.
WINDOW_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Attributes:
    observed: packages (without version) that were seen in use inside the window.
    gaps: one sentence for each part that could not be used.
    told: what the report is, in a few words.
    """

    told: str
    static: Static = field(default_factory=Static)
    observed: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()


def read_report(content: bytes, *, where: str, now_s: int) -> Report:
    """Read a report of any of the three kinds.

    Raises:
        Malformed: naming file, line or field, expected and found.
    """
    documents = list(_documents(content, where))
    first = documents[0][1] if documents else {}
    if first.get("schema") == GRAPH:
        return _graph(first, documents[0][0])
    if any(key in first for key in ("config", "progress", "osv", "finding", "SBOM")):
        return _govulncheck(documents)
    if any(key in first for key in ("purl", "symbol_id", "symbolId")):
        return _observations(documents, now_s)
    found = ", ".join(sorted(map(str, first))[:5]) or "nothing"
    raise Malformed(f"expected {GRAPH}, govulncheck or observations, found {found}", where=where)


def _documents(content: bytes, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """JSON objects one after the other, with or without lines between them."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    decoder, at, number = json.JSONDecoder(), 0, 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        place = f"{where}: document {number + 1}"
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"expected JSON, found {error}", where=place) from error
        if not isinstance(value, dict):
            raise Malformed(f"expected an object, found {kind(value)}", where=place)
        number += 1
        yield place, value


# --- call graphs ----------------------------------------------------------------------------------


def _graph(document: Mapping[str, Any], where: str) -> Report:
    """A package is reachable when a way of edges leads from a root to one of its nodes; a flaw is
    when one leads to a node that names it."""
    package_of: dict[str, str] = {}
    flaws_of: dict[str, list[str]] = {}
    for place, node in objects_of(document, "nodes", where):
        name = text_of(node, "id", place)
        purl = optional_text(node, "purl", place)
        if purl:
            package_of[name] = without_version(purl)
            flaws_of[name] = texts_of(node, "vulnerabilities", place)
    ways: dict[str, list[str]] = defaultdict(list)
    for place, edge in objects_of(document, "edges", where):
        ways[_end(edge, "from", "sourceId", place)].append(_end(edge, "to", "targetId", place))
    pending = [text_of(root, "id", place) for place, root in objects_of(document, "roots", where)]
    if not pending:
        raise Malformed("expected at least one root, found none", where=f"{where}.roots")
    reached: set[str] = set()
    while pending:
        node_id = pending.pop()
        if node_id not in reached:
            reached.add(node_id)
            pending += ways[node_id]
    packages: dict[str, bool] = {}
    flaws: dict[tuple[str, str], bool] = {}
    for name, package in package_of.items():
        packages[package] = packages.get(package, False) or name in reached
        for flaw in flaws_of[name]:
            flaws[flaw, package] = flaws.get((flaw, package), False) or name in reached
    return Report(
        told=f"call graph of {len(package_of)} nodes in {len(packages)} packages",
        static=Static(flaws=flaws, packages=packages),
    )


def _end(edge: Mapping[str, Any], name: str, other: str, where: str) -> str:
    return optional_text(edge, name, where) or text_of(edge, other, where)


# --- govulncheck ----------------------------------------------------------------------------------


def _govulncheck(documents: list[tuple[str, Mapping[str, Any]]]) -> Report:
    """A finding whose trace names a function is called; one that names only a package or a module
    was looked for and no call was found."""
    names: dict[str, tuple[str, ...]] = {}
    called: dict[tuple[str, str], bool] = {}
    for place, document in documents:
        osv = object_of(document, "osv", place)
        if osv:
            own = text_of(osv, "id", f"{place}.osv")
            names[own] = (own, *texts_of(osv, "aliases", f"{place}.osv"))
        finding = object_of(document, "finding", place)
        if not finding:
            continue
        spot = f"{place}.finding"
        flaw = text_of(finding, "osv", spot)
        trace = objects_of(finding, "trace", spot)
        if not trace:
            raise Malformed("expected a trace, found nothing", where=f"{spot}.trace")
        at, frame = trace[0]
        package = f"pkg:golang/{text_of(frame, 'module', at)}"
        key = flaw, without_version(package)
        called[key] = called.get(key, False) or bool(optional_text(frame, "function", at))
    flaws = {
        (name, package): said
        for (flaw, package), said in called.items()
        for name in names.get(flaw, (flaw,))
    }
    return Report(told=f"govulncheck: {len(called)} flaws", static=Static(flaws=flaws))


# --- observations ---------------------------------------------------------------------------------


def _observations(documents: list[tuple[str, Mapping[str, Any]]], now_s: int) -> Report:
    observed: set[str] = set()
    nameless = stale = 0
    for place, fact in documents:
        purl = optional_text(fact, "purl", place)
        hits = fact.get("hit_count", fact.get("hitCount", 1))
        if not isinstance(hits, int) or isinstance(hits, bool) or hits < 0:
            raise Malformed(f"expected a count, found {kind(hits)}", where=f"{place}.hit_count")
        text = optional_text(fact, "observed_at", place) or optional_text(fact, "observedAt", place)
        if not text:
            raise Malformed("expected a time, found nothing", where=f"{place}.observed_at")
        at_s = seconds_of(text, f"{place}.observed_at")
        if not now_s - WINDOW_S <= at_s <= now_s:
            stale += 1
        elif not purl:
            nameless += 1
        elif hits:
            observed.add(without_version(nfc(purl)))
    gaps = [f"{nameless} observations name no package"] if nameless else []
    old = f", {stale} outside of the {WINDOW_S // 86_400} days before the decision" if stale else ""
    return Report(
        told=f"{len(documents)} observations of {len(observed)} packages in use{old}",
        observed=frozenset(observed),
        gaps=tuple(gaps),
    )
