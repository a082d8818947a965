"""The Findings page: a real verdict in a browserless page, and every word of a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from streamlit.testing.v1 import AppTest

from engine import gate_eval
from engine.catalog import BundleFiles
from engine.findings import FindingRow, Fired, Snapshot
from engine.policy.document import Finding, Vex
from pages.ui import findings_models, words
from tests.pages import kit
from tests.pages.reading import House, components, texts

Visit = Callable[..., AppTest]
PAGE = "evidence/findings.py"

ROW = FindingRow(
    key="CVE-1 pkg:pypi/a@1",
    id="CVE-1",
    aliases=("GHSA-1",),
    sources=("GHSA-1", "PYSEC-1"),
    purl="pkg:pypi/a@1",
    package="a",
    version="1",
    found_in=("api.zip",),
    severity="HIGH",
    cvss_dt=75,
    epss_ppm=123_456,
    kev=False,
    reach="UNKNOWN",
    new=True,
    vex_status="",
    vex_justification="",
    vex_author="",
    vex_why="",
    suppressed=False,
    fixed_in=("2",),
    fired=(),
)
FOUND = Snapshot(
    verdict_id="verdict-1",
    decided_s=1_771_403_460,
    decision="PASS",
    warn=2,
    fail=0,
    packages=3,
    static_bp=0,
    runtime_bp=3_500,
    baseline_known=True,
    baseline="checkout 1.0",
    feeds=(("OSV", 1_771_403_460 - 3_600),),
    rows=(ROW,),
    scans=(("sbom:api.zip", "COMPLETE", "3 packages"),),
    fixes_unknown="",
)


def cells(row: FindingRow) -> list[str]:
    (shown,) = findings_models.rows([row])
    found = []
    for cell in shown["cells"]:
        look = cell["look"]["word"] if "look" in cell else ""
        found.append("|".join(p for p in (look, cell.get("text", ""), cell.get("sub", "")) if p))
    return found


def test_a_row_says_everything_of_a_finding() -> None:
    assert cells(ROW) == [
        "HIGH|CVSS 7.5",
        "CVE-1|GHSA-1",
        "a 1|new, in api.zip",
        "2",
        "not in KEV|EPSS 12 %",
        "UNKNOWN|nobody looked",
        "–",
        "–",
    ]
    worst = replace(
        ROW, severity="UNKNOWN", cvss_dt=-1, epss_ppm=-1, kev=True, new=False, fixed_in=(),
        reach="RUNTIME_OBSERVED", vex_status="affected", vex_why="said by x; suppresses nothing",
        fired=tuple(Fired(level=level, rule=rule) for level, rule in (
            ("WARN", "a"), ("FAIL", "vuln.kev"), ("WARN", "c"))),
    )  # fmt: skip
    assert cells(worst) == [
        "UNKNOWN|no CVSS score",
        "CVE-1|GHSA-1",
        "a 1|already running, in api.zip",
        "no fix named",
        "KEV",
        "IN USE|its package is in use on a target",
        "AFFECTED|said by x; suppresses nothing",
        "FAIL|vuln.kev and 2 more",
    ]
    assert cells(replace(ROW, fixed_in=None, suppressed=True))[3::4] == [
        "not known",
        "suppressed|by VEX",
    ]
    assert len(cells(ROW)) == len(findings_models.COLUMNS)


def test_the_top_says_what_is_not_known() -> None:
    assert findings_models.headline(FOUND) == "1 finding in 3 packages: 1 HIGH"
    assert findings_models.verdict_line(FOUND) == (
        "verdict-1 said PASS (2 WARN), Feb 18, 08:31:00 UTC"
    )
    holes = replace(FOUND, scans=(*FOUND.scans, ("match", "INCOMPLETE", "2 of pkg:npm")), rows=())
    assert findings_models.headline(holes) == (
        "0 findings in 3 packages, of what could be looked at"
    )
    assert findings_models.gaps(holes) == ("match is INCOMPLETE: 2 of pkg:npm",)
    assert findings_models.sources(holes)[0][0] == "match"
    notes = {one.label: (one.value, one.note) for one in findings_models.figures(FOUND)}
    assert notes["Seen in use"] == ("35 %", "of the packages; analysed statically: 0 %")
    assert notes["New"] == ("1", "against checkout 1.0")
    unknown = replace(FOUND, baseline_known=False, fixes_unknown="the feeds are gone")
    notes = {one.label: (one.value, one.note) for one in findings_models.figures(unknown)}
    assert notes["A fix is known"] == ("–", "the feeds are gone")
    assert notes["New"][1].startswith("what runs now is not known")
    assert findings_models.feeds_line(FOUND) == "Feeds at that moment: OSV 1 h 00 m old"
    assert findings_models.feeds_line(replace(FOUND, feeds=())) == "No feed could be used."
    looks = [replace(FOUND, decision=d, warn=w) for d, w in (("PASS", 0), ("PASS", 1), ("FAIL", 0))]
    assert [findings_models.decision(one).word for one in looks] == ["PASS", "WARN", "FAIL"]


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({}, "abc"),
        ({"severity": "HIGH"}, "ab"),
        ({"exploited": "In CISA KEV"}, "b"),
        ({"exploited": "Not in KEV"}, "ac"),
        ({"reach": "IN USE"}, "c"),
        ({"vex": "FIXED"}, "b"),
        ({"vex": "Nothing said"}, "ac"),
        ({"against": "New"}, "a"),
        ({"against": "Already running"}, "bc"),
        ({"text": " CVE-2 "}, "b"),
        ({"text": "pkg:pypi/c"}, "c"),
        ({"text": "vuln.kev"}, "b"),
        ({"text": "nothing"}, ""),
        ({"severity": "HIGH", "against": "New"}, "a"),
    ],
)
def test_filters_keep_what_they_say(chosen: dict[str, str], kept: str) -> None:
    rows = (
        replace(ROW, package="a"),
        replace(ROW, package="b", id="CVE-2", kev=True, new=False, vex_status="fixed",
                fired=(Fired(level="FAIL", rule="vuln.kev"),)),
        replace(ROW, package="c", purl="pkg:pypi/c@1", severity="LOW", new=False,
                reach="RUNTIME_OBSERVED"),
    )  # fmt: skip
    assert "".join(one.package for one in findings_models.matching(rows, **chosen)) == kept
    known = findings_models.choices(replace(FOUND, rows=rows))
    assert known.severities == ("HIGH", "LOW")
    assert known.reaches == ("IN USE", "UNKNOWN")
    assert known.vex == ("Nothing said", "FIXED")


def test_every_word_of_the_document_has_a_look() -> None:
    def literals(model: Any, name: str) -> set[str]:
        return set(TypeAdapter(model).json_schema()["properties"][name]["enum"])

    assert set(words.SEVERITY) == literals(Finding, "severity")
    assert set(words.REACH) == set(words.REACH_TOLD) == literals(Finding, "reach")
    assert set(words.VEX) == literals(Vex, "status") - {""}


# --- the page -------------------------------------------------------------------------------------


def judged(house: House, folder: Path, *purls: str) -> str:
    """A promotion that the real gate has judged, with the feeds that a home begins with."""
    folder.mkdir(exist_ok=True)
    (folder / "app.zip").write_bytes(b"the application")
    parts = [{"type": "library", "name": "x", "purl": purl} for purl in purls]
    stamp = {"timestamp": "2026-01-01T00:00:00Z"}
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": stamp}
    (folder / "sbom.json").write_text(json.dumps(document | {"components": parts}))
    files = BundleFiles(
        name="findings", version=f"{len(purls)}.0", components=(folder / "app.zip",),
        sboms=(folder / "sbom.json",),
    )  # fmt: skip
    services = house.services
    play = kit.Play(services, services.catalog.create(files, actor="ci-demo").digest)
    play.inputs()
    attempt = play.start("gate-eval")
    gate_eval.evaluate(services.outside, play.run, "gate-eval", attempt)
    return play.run_id


def test_the_page_shows_what_the_verdict_rested_on(
    visit: Visit, house: House, tmp_path: Path
) -> None:
    run = judged(house, tmp_path, "pkg:pypi/jinja2@2.10", "pkg:pypi/salt@3000", "pkg:npm/left@1")
    at = visit(PAGE, run=run)
    assert not at.exception
    said = texts(at)
    assert "in 3 packages" in said and "of what could be looked at" in said
    assert any("no feed speaks of npm" in one.value for one in at.warning)
    rows: Any = components(at)["ledger"]["rows"]
    assert rows[0]["cells"][1]["text"] == "CVE-2020-11651"
    assert {row["cells"][2]["sub"] for row in rows} == {"new, in app.zip"}
    only = visit(PAGE, run=run, severity="MEDIUM")
    kept: Any = components(only)["ledger"]["rows"]
    assert 0 < len(kept) < len(rows)
    assert {row["cells"][0]["look"]["word"] for row in kept} == {"MEDIUM"}
    none = at.text_input(key="q").set_value("no such thing").run()
    assert any(findings_models.NO_MATCH in one.value for one in none.info)
    newest = visit(PAGE)
    assert not newest.exception
    assert "Findings of run-" in texts(newest)


def test_a_clean_answer_is_not_given_where_nothing_was_read(
    visit: Visit, house: House, tmp_path: Path
) -> None:
    run = judged(house, tmp_path, "pkg:npm/left@1")
    at = visit(PAGE, run=run)
    assert not at.exception
    assert "0 findings in 1 package, of what could be looked at" in texts(at)
    assert "ledger" not in components(at)


def test_a_snapshot_that_is_damaged_says_so(visit: Visit, house: House) -> None:
    at = visit(PAGE, run=house.done)  # made by hand, its capsule is none
    assert not at.exception
    assert any("expected" in one.value for one in at.error)
