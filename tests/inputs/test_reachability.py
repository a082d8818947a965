"""What code and targets say of a flaw, put together: eight states, and no fact hides another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bundle import Attachment, Bundle, Component
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.gate_eval_sources import GateSources, document_of
from engine.inputs.advisories import read_advisory
from engine.inputs.feeds import FeedFacts
from engine.inputs.reachability import (
    STATES,
    Reachability,
    Runtime,
    Static,
    union,
    without_version,
)
from engine.inputs.reachability_reading import WINDOW_S, read_report
from tests.inputs.documents import CDX, OSV, dump

NOW_S = 1_800_000_000
FIRING = {"STATIC_REACHABLE", "RUNTIME_OBSERVED", "CONFIRMED_REACHABLE"}


def test_eight_states_and_what_they_are_made_of() -> None:
    assert set(STATES.values()) == {
        "UNKNOWN", "STATIC_REACHABLE", "STATIC_UNREACHABLE", "RUNTIME_OBSERVED",
        "RUNTIME_UNOBSERVED", "CONFIRMED_REACHABLE", "UNREACHABLE", "CONTESTED",
    }  # fmt: skip
    # Not being seen proves nothing: it never takes a way of calls away.
    assert STATES[True, "RUNTIME_UNOBSERVED"] == STATES[True, "UNKNOWN"]
    for (code, seen), state in STATES.items():
        assert (state in FIRING) is (code is True or (code is None and seen == "RUNTIME_OBSERVED"))


PURL = "pkg:pypi/a@1"
_FLAWS = st.dictionaries(st.sampled_from(["CVE-1", "GHSA-1", "CVE-2"]), st.booleans(), max_size=3)
_STATIC = st.builds(
    lambda flaws, package: Static(
        flaws={(name, "pkg:pypi/a"): said for name, said in flaws.items()},
        packages={} if package is None else {"pkg:pypi/a": package},
    ),
    _FLAWS,
    st.sampled_from([None, True, False]),
)


@given(st.lists(_STATIC, max_size=4), st.randoms(use_true_random=False))
def test_analyses_add_up_in_any_order(parts: list[Static], chance: Any) -> None:
    whole = union(parts)
    assert union(chance.sample(parts, len(parts))) == whole
    assert union([*parts, *parts]) == whole
    if parts:
        assert union([parts[0], union(parts[1:])]) == whole
    for part in parts:  # a way that one of them found is there
        for key, said in part.flaws.items():
            assert whole.flaws[key] or not said


@given(_STATIC, st.booleans())
def test_what_targets_do_not_see_never_silences(static: Static, reported: bool) -> None:
    def state(runtime: Runtime) -> str:
        return Reachability(static=static, runtime=runtime).state({"CVE-1", "GHSA-1"}, PURL)

    before = state(Runtime())
    unseen = state(Runtime(reported=frozenset({"pkg:pypi/a"}) if reported else frozenset()))
    assert (before in FIRING) <= (unseen in FIRING)
    seen = state(Runtime().with_seen(frozenset({"pkg:pypi/a"})))
    assert seen not in {"UNREACHABLE", "STATIC_UNREACHABLE", "RUNTIME_UNOBSERVED", "UNKNOWN"}


def test_the_flawed_code_counts_before_its_package() -> None:
    static = Static(flaws={("CVE-1", "pkg:pypi/a"): False}, packages={"pkg:pypi/a": True})
    assert static.reach(["CVE-1"], PURL) is False
    assert static.reach(["CVE-2"], PURL) is True
    assert static.reach(["CVE-1"], "pkg:pypi/b@1") is None
    assert Reachability(static=static).static_bp([PURL, "pkg:pypi/b@1", "pkg:pypi/c@1"]) == 3_333


def test_names_without_a_version() -> None:
    assert without_version("pkg:npm/%40a/b@1?x=y#z") == "pkg:npm/%40a/b"
    assert without_version("no package URL") == "no package URL"


# --- reports --------------------------------------------------------------------------------------

GRAPH: dict[str, Any] = {
    "schema": "richgraph-v1",
    "roots": [{"id": "main"}],
    "nodes": [
        {"id": "main"},
        {"id": "f", "purl": "pkg:pypi/a@1", "vulnerabilities": ["CVE-1"]},
        {"id": "g", "purl": "pkg:pypi/a@1", "vulnerabilities": ["CVE-2"]},
        {"id": "h", "purl": "pkg:pypi/b@1"},
    ],
    "edges": [{"from": "main", "to": "f"}, {"sourceId": "h", "targetId": "g"}],
}
GOVULN = """
{"config": {"scanner_name": "govulncheck"}}
{"osv": {"id": "GO-1", "aliases": ["CVE-1"]}}
{"finding": {"osv": "GO-1", "trace": [{"module": "x.org/m", "package": "x.org/m/p"}]}}
{"finding": {"osv": "GO-1", "trace": [{"module": "x.org/m", "function": "F"}, {"module": "y"}]}}
{"finding": {"osv": "GO-2", "trace": [{"module": "x.org/m"}]}}
"""
SEEN = """{"symbol_id": "s", "purl": "pkg:pypi/a@1", "hit_count": 3, "observed_at": "2027-01-15T00:00:00Z"}
{"symbol_id": "s", "purl": "pkg:pypi/b@1", "hit_count": 0, "observed_at": "2027-01-15T00:00:00Z"}
{"symbol_id": "s", "purl": "pkg:pypi/c@1", "observed_at": "2027-01-01T00:00:00Z"}
{"symbolId": "s", "purl": "pkg:pypi/d@1", "hitCount": 1, "observedAt": "2028-01-01T00:00:00Z"}
{"symbol_id": "s", "hit_count": 3, "observed_at": "2027-01-15T00:00:00Z"}
"""  # noqa: E501  one observation a line is the format


def test_a_call_graph_is_followed_from_its_roots() -> None:
    report = read_report(dump(GRAPH), where="f", now_s=NOW_S)
    assert report.static.packages == {"pkg:pypi/a": True, "pkg:pypi/b": False}
    assert report.static.flaws == {
        ("CVE-1", "pkg:pypi/a"): True,
        ("CVE-2", "pkg:pypi/a"): False,
    }
    circle = GRAPH | {"edges": [*GRAPH["edges"], {"from": "f", "to": "main"}]}
    assert read_report(dump(circle), where="f", now_s=NOW_S).static == report.static


def test_govulncheck_calls_a_function_or_does_not() -> None:
    for text in (GOVULN, json.dumps(json.loads(GOVULN.split("\n")[1]), indent=1) + GOVULN):
        report = read_report(text.encode(), where="f", now_s=NOW_S)
        assert report.static.flaws == {
            ("GO-1", "pkg:golang/x.org/m"): True,
            ("CVE-1", "pkg:golang/x.org/m"): True,
            ("GO-2", "pkg:golang/x.org/m"): False,
        }


def test_observations_count_inside_their_window() -> None:
    report = read_report(SEEN.encode(), where="f", now_s=NOW_S)
    assert report.observed == {"pkg:pypi/a"}  # not 0 hits, not too old, not from the future
    assert report.gaps == ("1 observations name no package",)
    assert "2 outside of the 7 days" in report.told
    assert read_report(SEEN.encode(), where="f", now_s=NOW_S + WINDOW_S).observed == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f: expected richgraph-v1, govulncheck or observations, found nothing"),
        ('{"a": 1}', "f: expected richgraph-v1, govulncheck or observations, found a"),
        ('{"purl": "x"} [1]', "f: document 2: expected an object, found a list"),
        ('{"purl": "x"} {', "f: document 2: expected JSON, found"),
        ('{"purl": "x"}', "f: document 1.observed_at: expected a time"),
        ('{"purl": "x", "hit_count": -1}', "f: document 1.hit_count: expected a count"),
        (json.dumps(GRAPH | {"roots": []}), "f: document 1.roots: expected at least one root"),
        (json.dumps(GRAPH | {"edges": [{"to": "f"}]}), "edges[0].sourceId: expected"),
        ('{"finding": {"osv": "GO-1"}}', "f: document 1.finding.trace: expected a trace"),
    ],
)
def test_a_broken_report_is_refused_by_place(text: str, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_report(text.encode(), where="f", now_s=NOW_S)
    assert says in str(refused.value)


# --- in the gate's document -----------------------------------------------------------------------


def document(*reports: bytes, sbom: dict[str, Any]) -> dict[str, Any]:
    content = dump(sbom)
    attached = [("sbom", content), *(("reachability", one) for one in reports)]
    bundle = Bundle(
        name="b",
        version="1",
        components=(Component(name="c", digest=Digest.of(b"c"), size=1, media_type="x/y"),),
        attachments=tuple(
            Attachment(
                kind=kind, component="", digest=Digest.of(one), size=len(one), media_type="x/y"
            )
            for kind, one in attached
        ),
    )
    blobs = {Digest.of(one): one for _, one in attached} | {bundle.digest: bundle.manifest()}
    sources = GateSources(
        now_s=NOW_S,
        kind="PROMOTE",
        environment="e",
        region="",
        bundle=bundle.digest,
        pinned=(),
        feeds=(),
        baseline=(),
        baseline_unknown=0,
        runtime=None,
    )
    known = read_advisory(dump(OSV | {"id": "A", "aliases": ["CVE-1"]}), where="f")
    facts = FeedFacts(advisories={known.affected[0].package: (known,)})
    return document_of(sources, blobs.__getitem__, facts).document


FOO: dict[str, Any] = {"type": "library", "name": "foo", "purl": "pkg:pypi/foo-bar@1.2"}


def test_reports_of_a_bundle_reach_its_findings() -> None:
    sbom = CDX | {"components": [FOO, {"type": "library", "name": "x", "purl": "pkg:pypi/x@1"}]}
    graph = GRAPH | {
        "nodes": [{"id": "main"}, {"id": "f", "purl": "pkg:pypi/foo-bar@1.1",
                                   "vulnerabilities": ["CVE-1"]}],
    }  # fmt: skip
    line = {"purl": "pkg:pypi/foo-bar@1.2", "observed_at": "2027-01-15T00:00:00Z"}

    def said(*reports: bytes, sbom: dict[str, Any] = sbom) -> tuple[str, int, int]:
        made = document(*reports, sbom=sbom)
        (finding,) = made["findings"]
        shares = made["reachability"]
        return finding["reach"], shares["static_bp"], shares["runtime_bp"]

    assert said() == ("UNKNOWN", 0, 0)
    assert said(dump(graph)) == ("STATIC_REACHABLE", 5_000, 0)
    assert said(dump(graph), dump(line)) == ("CONFIRMED_REACHABLE", 5_000, 5_000)
    no_way = dump(graph | {"edges": []})
    assert said(no_way) == ("STATIC_UNREACHABLE", 5_000, 0)
    assert said(no_way, dump(line)) == ("CONTESTED", 5_000, 5_000)
    stack = {"evidence": {"callstack": {"frames": [{"module": "m"}]}}}
    called = CDX | {"components": [FOO | stack]}
    assert said(sbom=called) == ("STATIC_REACHABLE", 10_000, 0)
    broken = document(b"{}", sbom=sbom)
    scans = {one["id"].partition(":")[0]: one["status"] for one in broken["scans"]}
    assert scans["reachability"] == "FAILED"
