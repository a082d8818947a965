"""`match` and `gate` of an SBOM, as a pipeline calls them: no server, no home."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Done
from tests.inputs.documents import CDX, dump

Command = Callable[..., Done]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEEDS = ("--feeds", str(EXAMPLES / "advisories"))
POLICY = ("--policy", str(EXAMPLES / "release-gate.yaml"),
          "--config", str(EXAMPLES / "release-gate.config.json"))  # fmt: skip


def sbom(folder: Path, *purls: str) -> str:
    parts = [
        {"type": "library", "name": purl[9:].partition("@")[0], "purl": purl} for purl in purls
    ]
    path = folder / "sbom.json"
    path.write_bytes(dump(CDX | {"components": parts}))
    return str(path)


def vex(folder: Path, **more: str) -> str:
    statement = {
        "vulnerability": {"name": "CVE-2020-11651"},
        "products": [{"@id": "pkg:pypi/salt"}],
        "status": "not_affected",
        "justification": "component_not_present",
    } | more
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "author": "psirt@example.com",
        "timestamp": "2026-01-01T00:00:00Z",
        "statements": [statement],
    }
    path = folder / "vex.json"
    path.write_bytes(dump(document))
    return str(path)


def test_match_gives_a_row_for_each_flaw(releaseline: Command, tmp_path: Path) -> None:
    done = releaseline("match", sbom(tmp_path, "pkg:pypi/salt@3000"), *FEEDS, "--json")
    assert (done.code, json.loads(done.out)) == (
        0,
        [
            {
                "purl": "pkg:pypi/salt@3000",
                "id": "CVE-2020-11651",
                "aliases": ["PYSEC-2020-102"],
                "severity": "CRITICAL",
                "kev": True,
                "source": "PYSEC-2020-102",
            }
        ],
    )
    assert "1 packages, 1 findings, 1 in CISA KEV." in done.err


def test_what_was_not_looked_at_is_told_apart(releaseline: Command, tmp_path: Path) -> None:
    done = releaseline("match", sbom(tmp_path, "pkg:npm/left-pad@1", "pkg:pypi/salt"), *FEEDS)
    assert done.code == 0
    assert "Not looked at, so not known to be clean: 2" in done.out
    assert "pkg:pypi/salt has no version" in done.out
    assert "1 package of pkg:npm: no feed speaks of npm" in done.out


def test_a_statement_is_shown_beside_its_finding(releaseline: Command, tmp_path: Path) -> None:
    asked = (sbom(tmp_path, "pkg:pypi/salt@3000"), *FEEDS, "--vex", vex(tmp_path), "--json")
    (row,) = json.loads(releaseline("match", *asked).out)
    assert row["vex"] == {
        "status": "not_affected",
        "justification": "component_not_present",
        "author": "psirt@example.com",
        "suppresses": True,
    }


def test_without_advisories_nothing_is_called_clean(releaseline: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = releaseline("match", sbom(tmp_path), "--feeds", str(tmp_path / "empty"))
    assert done.code == 17
    assert "There is no advisory to match against." in done.err


def test_a_file_that_is_no_sbom_is_refused_by_name(releaseline: Command, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    done = releaseline("match", "x.json", *FEEDS)
    assert done.code == 2
    assert "x.json: expected CycloneDX" in done.err


def test_the_gate_judges_an_sbom(releaseline: Command, tmp_path: Path) -> None:
    path = sbom(tmp_path, "pkg:pypi/salt@3000")

    def kev_rules(*more: str) -> list[str]:
        done = releaseline("gate", path, *POLICY, *FEEDS, *more, "--json")
        assert done.code == 10  # the shipped feeds are old by now
        results = json.loads(done.out)["results"]
        return [one["subject"] for one in results if one["rule"] == "vuln.kev"]

    assert kev_rules() == ["CVE-2020-11651 pkg:pypi/salt@3000"]
    assert kev_rules("--vex", vex(tmp_path)) == []
    assert kev_rules("--vex", vex(tmp_path, justification="")) == [
        "CVE-2020-11651 pkg:pypi/salt@3000"
    ]
    assert kev_rules("--vex", vex(tmp_path, status="under_investigation")) == [
        "CVE-2020-11651 pkg:pypi/salt@3000"
    ]
