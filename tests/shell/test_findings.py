"""The security snapshot of a verdict: read back from a real capsule, whatever feeds say later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.store import Store
from engine.adapters.feeds_dir import write_index
from engine.core.errors import NotFound
from engine.core.run import Run
from engine.findings import FindingRow, Fired, Snapshot, snapshot, vex_why
from tests.shell.gate_house import FRESH, TARGETS, House, StoppedClock, reports, sbom


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = Store.open(tmp_path / "home", clock=StoppedClock())
    yield House(tmp_path / "home", store)
    store.close()


def frozen(house: House, run: Run) -> Snapshot:
    assert run.verdict is not None
    return snapshot(house.store.blobs, house.desk, run.verdict.capsule)


def row_of(found: Snapshot, name: str) -> FindingRow:
    return next(row for row in found.rows if row.package == name)


def vex(**more: Any) -> bytes:
    statement = {
        "vulnerability": {"name": "CVE-2025-3248"},
        "products": [{"@id": "pkg:pypi/langflow@1.2.0"}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_present",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "author": "psirt@example.com",
        "timestamp": "2026-01-01T00:00:00Z",
        "statements": [statement],
    }
    return json.dumps(document | more).encode()


def test_a_snapshot_says_what_the_policy_was_asked_about(house: House) -> None:
    old = house.bundle("1.0.0", sbom("jinja2@2.9"))
    new = house.bundle("1.1.0", sbom("jinja2@2.9", "salt@3000", "langflow@1.2.0"), vex=vex())
    house.targets.facts = {
        t: reports(old.digest, "jinja2@2.9", ships=("jinja2@2.9",)) for t in TARGETS
    }
    found = frozen(house, house.judge(house.run(new, before=old.digest)))
    assert (found.decision, found.packages, found.baseline_known) == ("FAIL", 3, True)
    assert found.runtime_bp == 3_333
    assert [name for name, _ in found.feeds] == ["KEV", "NVD", "OSV"]

    salt, jinja, flow = (row_of(found, name) for name in ("salt", "jinja2", "langflow"))
    assert found.rows[0] == salt and found.rows[-1] == flow  # the worst first, suppressed last
    assert (salt.kev, salt.new, salt.severity, salt.reach) == (True, True, "CRITICAL", "UNKNOWN")
    assert Fired(level="FAIL", rule="vuln.kev") in salt.fired
    assert (jinja.new, jinja.reach) == (False, "RUNTIME_OBSERVED")
    assert salt.fixed_in == ("3000.2",)
    assert (flow.suppressed, flow.fired, flow.kev) == (True, (), True)
    assert flow.vex_why == "said by psirt@example.com, because vulnerable code not present"


def test_later_feeds_change_nothing_in_it(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom("salt@3000"))))
    before = frozen(house, run)
    (house.feeds / "osv" / "PyPI" / "PYSEC-2020-102.json").unlink()
    write_index(house.feeds, FRESH)
    house.desk.feed_facts(house.desk.feeds())  # what is in force now knows nothing of it
    assert frozen(house, run) == before


def test_without_the_feeds_of_then_nobody_says_what_is_fixed(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom("salt@3000"))))
    assert run.verdict is not None
    raw = json.loads(house.store.blobs.get(run.verdict.capsule))["raw"]
    hexed = raw["feed:OSV"].removeprefix("sha256:")
    (path,) = (house.home / "blobs").rglob(hexed)
    path.unlink()
    found = frozen(house, run)
    assert found.fixes_unknown
    assert {row.fixed_in for row in found.rows} == {None}
    (path,) = (house.home / "blobs").rglob(str(run.verdict.capsule.hex))
    path.unlink()
    with pytest.raises(NotFound):
        frozen(house, run)


def test_gaps_are_told_apart_from_what_was_read(house: House) -> None:
    mixed = json.loads(sbom("salt@3000"))
    mixed["components"].append({"type": "library", "name": "bare", "version": "1"})
    found = frozen(house, house.judge(house.run(house.bundle("1.0.0", json.dumps(mixed).encode()))))
    told = {scan: detail for scan, _, detail in found.gaps}
    assert told["sbom:api.zip"] == "bare 1 has no package URL"
    assert told["match"] == "1 package of pkg:generic: no feed speaks of generic"
    assert found.document()["findings"] == len(found.rows) == 1


@pytest.mark.parametrize(
    ("status", "justification", "author", "why", "suppressed"),
    [
        ("", "", "", "", False),
        ("not_affected", "x_y", "ours", "said by ours, because x y", True),
        ("not_affected", "", "ours", "not counted: ours gives no justification", False),
        ("fixed", "x", "them", "not counted: the policy does not trust them", False),
        ("fixed", "x", "", "not counted: the policy does not trust nobody named", False),
        ("under_investigation", "x", "ours", "said by ours; suppresses nothing", False),
        ("affected", "", "ours", "said by ours; suppresses nothing", False),
    ],
)
def test_why_a_statement_counts(
    status: str, justification: str, author: str, why: str, suppressed: bool
) -> None:
    said = {"status": status, "justification": justification, "author": author}
    assert vex_why(said, frozenset({"ours"})) == (why, suppressed)
