"""Gate Eval on a real store: what it reads, what it keeps, what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from data import queries
from data.store import Store
from engine.adapters.feeds_dir import FeedsDir
from engine.core.digest import Digest
from engine.core.fact_events import PolicyEvaluated
from engine.core.statemachine import StepStatus
from engine.core.step_events import StepFailed, StepStarted
from engine.policy.model import load_policy
from engine.policy.replay import replay_capsule
from engine.ports import FeedSnapshot
from engine.verdicts import PolicyDesk
from tests.shell.gate_house import (
    EXAMPLES,
    FRESH,
    PACKAGES,
    TARGETS,
    House,
    StoppedClock,
    document_of,
    reports,
    results_of,
    sbom,
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    store = Store.open(tmp_path / "home", clock=StoppedClock())
    yield House(tmp_path / "home", store)
    store.close()


def test_a_good_bundle_passes_with_its_warnings(house: House) -> None:
    old = house.bundle("1.0.0", sbom("click@8.1.0", "idna@3.7"))
    new = house.bundle("1.1.0", sbom(*PACKAGES))
    house.targets.facts = {
        t: reports(old.digest, "click@8.1.0", ships=("click@8.1.0", "idna@3.7")) for t in TARGETS
    }
    run = house.judge(house.run(new, before=old.digest))

    step = run.step("gate-eval")
    assert step.status is StepStatus.SUCCEEDED and step.attempt is not None
    assert step.attempt.result == "PASS (2 WARN)"
    assert results_of(run) == (
        "WARN feed NVD is 10800 s old (limit 7200 s)",
        "WARN runtime reachability covers 2500 bp (want 5000 bp)",
    )
    assert step.summary == "; ".join(results_of(run))
    assert [one.name for one in step.attempt.outputs] == [
        "verdict.json",
        "capsule.json",
        "explain.json",
    ]
    document = document_of(house, run)
    assert document["baseline"] == {
        "known": True,
        "bundle": str(old.digest),
        "label": "checkout 1.0.0",
    }
    assert document["promotion"]["bundle"]["components"] == ["api.json", "api.zip"]
    assert {one["id"]: one["status"] for one in document["scans"]} == {
        "feed:KEV": "COMPLETE",
        "feed:NVD": "COMPLETE",
        "feed:OSV": "COMPLETE",
        "integration:runtime": "COMPLETE",
        "match": "COMPLETE",
        "sbom:api.json": "COMPLETE",
        "sbom:api.zip": "COMPLETE",
    }


def test_everything_named_is_stored_and_the_verdict_replays(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    blobs, verdict = house.store.blobs, run.verdict
    assert verdict is not None and verdict.verdict_id == "verdict-1"
    capsule = json.loads(blobs.get(verdict.capsule))
    for digest in [*capsule["refs"].values(), *capsule["raw"].values()]:
        assert blobs.has(Digest.parse(digest))
    assert sorted(name.partition(":")[0] for name in capsule["raw"]) == [
        "bundle",
        "feed",
        "feed",
        "feed",
        "sbom",
        "sources",
    ]
    again = replay_capsule(blobs.get(verdict.capsule), blobs.get, recorded=verdict.verdict)
    assert again.matches, again.sentence
    frame = queries.verdict(house.store.cursor(), verdict_id="verdict-1")
    row = frame.to_dicts()[0]
    assert (row["decision"], row["warn"], row["verdict"]) == (
        "PASS",
        verdict.warn,
        str(verdict.verdict),
    )


def test_a_known_exploited_flaw_stops_the_promotion(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES, "langflow@1.2.0"))))
    step = run.step("gate-eval")
    assert step.status is StepStatus.FAILED and step.attempt is not None
    assert run.verdict is not None and run.verdict.decision == "FAIL" and not run.verdict.error
    assert "FAIL CVE-2025-3248 is in CISA KEV and affects pkg:pypi/langflow@1.2.0" in results_of(
        run
    )
    assert step.attempt.result.startswith("FAIL (2 FAIL, ")  # KEV, and the budget of CRITICAL
    assert "CVE-2025-3248" in step.attempt.reason
    assert len(step.attempt.outputs) == 3


def test_a_flaw_that_runs_already_is_not_new(house: House) -> None:
    old = house.bundle("1.0.0", sbom("jinja2@2.10", "flask@2.2.4"))
    new = house.bundle("1.1.0", sbom("jinja2@2.10", "flask@2.2.4", "idna@3.6"))
    run = house.judge(house.run(new, before=old.digest))
    found = {one["id"]: one["new_since_baseline"] for one in document_of(house, run)["findings"]}
    assert found == {
        "CVE-2019-10906": False,
        "CVE-2020-28493": False,
        "CVE-2023-30861": False,
        "CVE-2024-3651": True,
    }


def test_without_a_known_baseline_everything_is_new(house: House) -> None:
    new = house.bundle("1.1.0", sbom("jinja2@2.10"))
    run = house.judge(house.run(new, before=Digest.of(b"somebody else's bundle")))
    document = document_of(house, run)
    assert document["baseline"]["known"] is False
    assert "not in the catalogue" in document["baseline"]["label"]
    assert {one["new_since_baseline"] for one in document["findings"]} == {True}


def test_a_bundle_without_sbom_fails_for_each_component(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0")))
    assert {"FAIL no SBOM for component api.json", "FAIL no SBOM for component api.zip"} <= set(
        results_of(run)
    )


def test_a_broken_sbom_is_loud(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", b'{"bomFormat": "CycloneDX"}')))
    assert run.step("gate-eval").status is StepStatus.FAILED
    scans = [one for one in document_of(house, run)["scans"] if one["status"] == "FAILED"]
    assert len(scans) == 1 and "specVersion" in scans[0]["detail"]
    assert any("no SBOM" in note for note in results_of(run))


def test_what_running_targets_report_decides_about_reach(house: House) -> None:
    old = house.bundle("1.0.0", sbom("jinja2@2.9", "flask@2.0.0"))
    new = house.bundle("1.1.0", sbom("jinja2@2.10", "flask@2.2.4", "idna@3.6"))
    house.targets.facts = {
        "t-1": reports(old.digest, "jinja2@2.9", ships=("jinja2@2.9", "flask@2.0.0"))
    }
    document = document_of(house, house.judge(house.run(new, before=old.digest)))
    assert {one["purl"]: one["reach"] for one in document["findings"]} == {
        "pkg:pypi/jinja2@2.10": "RUNTIME_OBSERVED",
        "pkg:pypi/flask@2.2.4": "RUNTIME_UNOBSERVED",
        "pkg:pypi/idna@3.6": "UNKNOWN",
    }
    assert document["reachability"] == {"static_bp": 0, "runtime_bp": 3_333}
    runtime = next(one for one in document["scans"] if one["id"] == "integration:runtime")
    assert runtime["status"] == "DEGRADED" and runtime["detail"].startswith("1 of 2")


def test_a_vendors_word_reaches_the_finding(house: House) -> None:
    vex = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.com/vex/1",
        "author": "psirt@example.com",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": 1,
        "statements": [
            {
                "vulnerability": {"name": "CVE-2025-3248"},
                "products": [{"@id": "pkg:pypi/langflow@1.2.0"}],
                "status": "not_affected",
                "justification": "vulnerable_code_not_present",
            }
        ],
    }
    bundle = house.bundle("1.0.0", sbom("langflow@1.2.0"), vex=json.dumps(vex).encode())
    run = house.judge(house.run(bundle))
    assert run.step("gate-eval").status is StepStatus.SUCCEEDED
    (finding,) = document_of(house, run)["findings"]
    assert finding["vex"]["author"] == "psirt@example.com" and finding["kev"] is True


def test_a_missing_feed_fails_and_a_broken_one_counts_as_missing(house: House) -> None:
    (house.feeds / "kev" / "known_exploited_vulnerabilities.json").write_text('{"count": 3}')
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    assert "FAIL required feed KEV has no snapshot" in results_of(run)
    assert any("scan feed:KEV is FAILED" in note for note in results_of(run))


def test_a_broken_advisory_makes_its_scan_incomplete(house: House) -> None:
    (house.feeds / "osv" / "PyPI" / "PYSEC-2024-60.json").write_text('{"id": 7}')
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    scan = next(one for one in document_of(house, run)["scans"] if one["id"] == "feed:OSV")
    assert scan["status"] == "INCOMPLETE"
    assert scan["detail"].startswith("osv/PyPI/PYSEC-2024-60.json.id: expected a non-empty text")


def test_a_rule_without_an_answer_is_a_failure_that_says_so(house: House) -> None:
    text = (EXAMPLES / "release-gate.yaml").read_bytes()
    text = text.replace(b'"it.kev"', b'"1 / (now - now) == 1"')
    house.policy = load_policy(text, (EXAMPLES / "release-gate.config.json").read_bytes())
    house.desk = PolicyDesk(
        policies={"eu-prod": house.policy},
        feeds=FeedsDir(house.feeds),
        blobs=house.store.blobs,
        clock=house.clock,
    )
    run = house.judge(house.run(house.bundle("1.0.0", sbom("idna@3.6"))))
    assert run.verdict is not None
    assert (run.verdict.decision, run.verdict.error) == ("FAIL", True)
    assert "FAIL vuln.kev: the rule could not be evaluated" in results_of(run)


def test_when_nothing_can_be_asked_there_is_no_verdict(house: House) -> None:
    (house.feeds / "feeds.json").write_text("{")
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    step = run.step("gate-eval")
    assert step.status is StepStatus.ERRORED and step.attempt is not None
    assert step.attempt.cause == "adapter" and "feeds.json" in step.attempt.reason
    assert run.verdict is None


def test_a_run_is_judged_by_the_policy_it_was_requested_under(house: House) -> None:
    run = house.run(house.bundle("1.0.0", sbom(*PACKAGES)))
    pinned = house.policy.digest
    stricter = (EXAMPLES / "release-gate.yaml").read_bytes().replace(b"level: WARN", b"level: FAIL")
    config = (EXAMPLES / "release-gate.config.json").read_bytes()
    house.desk = PolicyDesk(  # as after a restart with an edited file
        policies={"eu-prod": load_policy(stricter, config)},
        feeds=FeedsDir(house.feeds),
        blobs=house.store.blobs,
        clock=house.clock,
    )
    assert house.desk.policy_digest("eu-prod") != pinned
    judged = house.judge(run)
    assert judged.verdict is not None
    assert (judged.verdict.policy, judged.verdict.decision) == (pinned, "PASS")


def test_the_same_facts_give_the_same_verdict(house: House) -> None:
    bundle = house.bundle("1.0.0", sbom(*PACKAGES))
    first = house.judge(house.run(bundle)).verdict
    second = house.judge(house.run(bundle, number=2)).verdict
    assert first is not None and second is not None
    assert first.verdict == second.verdict and first.policy_input == second.policy_input
    assert first.verdict_id != second.verdict_id and first.capsule != second.capsule


def test_an_attempt_that_is_over_is_left_alone(house: House) -> None:
    run = house.run(house.bundle("1.0.0", sbom(*PACKAGES)))
    over = StepFailed(step="gate-eval", attempt=1, result="FAIL", reason="marked by a person")
    house.store.append(run.run_id, (over,), after=run.version, actor="ana")
    after = house.judge(run)
    assert after.verdict is None and after.version == run.version + 1
    assert queries.verdict(house.store.cursor(), verdict_id="verdict-1").is_empty()


def test_a_later_attempt_has_a_verdict_of_its_own(house: House) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    again = StepStarted(step="gate-eval", attempt=2, op_id="g2")
    house.store.append(run.run_id, (again,), after=run.version, actor="engine")
    after = house.judge(house.store.run(run.run_id), attempt=2)
    assert after.verdict is not None and after.verdict.verdict_id == "verdict-1.2"
    kinds = [r.event for r in house.store.load(run.run_id) if isinstance(r.event, PolicyEvaluated)]
    assert [one.verdict_id for one in kinds] == ["verdict-1", "verdict-1.2"]


def test_the_log_tells_what_was_read(house: House) -> None:
    class Listening:
        """The store, with its log lines also kept here."""

        def __init__(self, store: Store) -> None:
            self._store, self.lines = store, list[str]()

        def logs(self, lines: Any) -> None:
            self.lines += [line.text for line in lines]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    listening = Listening(house.store)
    run = house.run(house.bundle("1.0.0", sbom(*PACKAGES, "langflow@1.2.0")))
    house.store = cast(Store, listening)
    house.judge(run)
    text = "\n".join(listening.lines)
    for part in (
        "feed NVD",
        "is 10800 s old",
        "CycloneDX 1.6, 5 packages",
        "5 packages, 1 findings (1 CRITICAL; 1 in CISA KEV)",
        "FAIL vuln.kev",
        "verdict-1: FAIL (2 FAIL",
    ):
        assert part in text


def test_feeds_are_shown_as_the_source_has_them(house: House) -> None:
    feeds: list[FeedSnapshot] = list(house.desk.feeds())
    assert [(one.name, one.as_of_s) for one in feeds] == sorted(FRESH.items())
