"""What would have blocked a promotion: exact to the second, and asked about the good runs too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.policy.blockers import (
    Blocker,
    Kind,
    Search,
    boundary,
    changed_config,
    search,
    verdict_under,
    with_good_runs,
)
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import gate_input
from engine.policy.entries import entries_for
from engine.policy.model import Policy
from tests.policy import generated

Case = dict[str, Any]


@given(
    now=st.integers(0, 1_000),
    end=st.integers(0, 1_000),
    turn=st.integers(0, 1_000),
    below=st.booleans(),
)
def test_the_boundary_is_exact(now: int, end: int, turn: int, below: bool) -> None:
    """Against every value tried one by one."""

    def fails(value: int) -> bool:
        return value < turn if below else value > turn

    if fails(now) or now == end:
        return
    step = 1 if end > now else -1
    expected = next((v for v in range(now, end + step, step) if fails(v)), None)
    assert boundary(fails, now, end) == expected


def by_where(found: Search) -> dict[tuple[str, str], Blocker]:
    return {(one.change.where, str(one.change.new)): one for one in found.blockers}


def test_the_example_could_have_been_stopped_like_this(
    compiled: CompiledPolicy, case: Case
) -> None:
    found = search(compiled, gate_input(case))
    assert found.word == "PASS (2 WARN)"
    told = [
        (o.change.kind.value, o.change.where, o.change.old, o.change.new) for o in found.blockers
    ]
    assert told == [
        ("limit", "/feeds/NVD/fail_s", 86_400, 10_799),
        ("limit", "/feeds/KEV/fail_s", 604_800, 3_459),
        ("limit", "/feeds/OSV/fail_s", 86_400, 459),
        ("limit", "/thresholds/sbom_fail_s", 2_592_000, 3_459),
        ("added", "/denied_licenses", "", "BSD-3-Clause"),
        ("added", "/required_feeds", "", "EPSS"),
        ("limit", "/thresholds/budget/MEDIUM", 60, 0),
        ("level", "feed.stale.warn", "WARN", "FAIL"),
        ("level", "reach.runtime_coverage", "WARN", "FAIL"),
    ]
    nvd = found.blockers[0]
    assert nvd.change.size_bp == 8_750  # 12.5 % of the limit are left
    assert nvd.because == (("feed.stale.fail", "NVD", "feed NVD is 10800 s old (limit 10799 s)"),)


def test_a_word_an_entry_and_a_budget_can_be_it(compiled: CompiledPolicy, case: Case) -> None:
    case["findings"][0] |= {
        "severity": "HIGH",
        "reach": "CONFIRMED_REACHABLE",
        "new_since_baseline": True,
    }
    kev = {**case["findings"][0], "key": "K", "id": "K", "kev": True, "severity": "LOW"}
    kev["vex"] = {"status": "fixed", "justification": "updated", "author": "psirt@example.com"}
    case["findings"].append(kev)
    found = by_where(search(compiled, gate_input(case)))
    word = found["/thresholds/fail_severity", "HIGH"]
    assert (word.change.kind, word.change.old, word.change.size_bp) == (
        Kind.WORD,
        "CRITICAL",
        10_000,
    )
    assert word.because[0][0] == "vuln.critical_reachable"
    trusted = found["/trusted_vex_authors", ""]
    assert trusted.change.kind is Kind.REMOVED and trusted.change.old == "psirt@example.com"
    assert trusted.because[0][:2] == ("vuln.kev", "K")
    assert found["/thresholds/budget/HIGH", "0"].change.size_bp == 10_000


def test_what_failed_was_blocked_already(compiled: CompiledPolicy, case: Case) -> None:
    case["findings"][0]["kev"] = True
    found = search(compiled, gate_input(case))
    assert found.word.startswith("FAIL") and found.blockers == ()


def test_good_runs_that_a_change_would_also_stop(compiled: CompiledPolicy, case: Case) -> None:
    def with_nvd(age_s: int) -> Case:
        other: Case = json.loads(json.dumps(case))
        other["feeds"][1]["as_of_s"] = generated.NOW - age_s
        return other

    failing = with_nvd(90_000)
    good = [("run-1", with_nvd(10_799)), ("run-2", with_nvd(10_800)), ("run-3", failing)]
    found = with_good_runs(
        search(compiled, gate_input(case)), compiled, [(run, gate_input(g)) for run, g in good]
    )
    assert (found.good, found.already) == (3, ("run-3",))
    stops = {key: one.stops for key, one in by_where(found).items()}
    assert stops["/feeds/NVD/fail_s", "10799"] == ("run-2",)
    assert stops["feed.stale.warn", "FAIL"] == ("run-1", "run-2")
    assert stops["/required_feeds", "EPSS"] == ("run-1", "run-2")


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=generated.documents())
def test_every_blocker_blocks_and_a_step_back_does_not(
    document: Case, compiled: CompiledPolicy
) -> None:
    asked = gate_input(document)
    for one in search(compiled, asked).blockers:
        change = one.change
        if change.kind is Kind.LEVEL:
            continue
        assert verdict_under(compiled, asked, change).decision == "FAIL"
        if change.kind is Kind.LIMIT:
            assert isinstance(change.old, int) and isinstance(change.new, int)
            back = change.new + (1 if change.old > change.new else -1)

            assert verdict_under(compiled, asked, replace(change, new=back)).decision == "PASS"


def test_names_are_taken_from_what_the_rules_compare(
    compiled: CompiledPolicy, write_policy: Callable[..., Policy], case: Case
) -> None:
    assert entries_for(compiled, gate_input(case)) == {
        ("required_feeds",): ["EPSS", "KEV", "NVD", "OSV"],
        ("denied_licenses",): ["BSD-3-Clause"],
        ("trusted_vex_authors",): [],
        ("exception_approvers",): [],
    }
    policy = write_policy(
        {"over": "input.scans", "all": ["it.status in config.bad.scans"]},
        config={"bad": {"scans": ["FAILED"]}, "unused": ["x"]},
    )
    assert entries_for(compile_policy(policy), gate_input(case)) == {("bad", "scans"): ["COMPLETE"]}


@pytest.mark.parametrize("name", ["a/b", "a~b"])
def test_a_key_may_hold_what_a_pointer_escapes(
    name: str, write_policy: Callable[..., Policy], case: Case
) -> None:
    policy = write_policy(
        {"all": [f"config.limits['{name}'] < 5"], "level": "FAIL"}, config={"limits": {name: 7}}
    )
    (one,) = search(compile_policy(policy), gate_input(case)).blockers
    assert changed_config(policy.config, one.change) == {"limits": {name: 4}}
