"""Why a rule did not fire: the condition, the nearest item, and what was compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings

from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.explain import RuleExplained, explain_document, explain_policy
from engine.policy.model import Policy
from tests.policy import generated

Case = dict[str, Any]


def explained(compiled: CompiledPolicy, case: Case, rule: str) -> RuleExplained:
    return next(one for one in explain_policy(compiled, gate_input(case)) if one.rule == rule)


def test_the_nearest_item_is_the_one_closest_to_the_limit(
    compiled: CompiledPolicy, case: Case
) -> None:
    one = explained(compiled, case, "feed.stale.fail")
    assert (one.considered, one.fired) == (3, 0)
    assert one.nearest is not None and one.nearest.subject == "NVD"
    assert one.nearest.facts[:2] == (
        ("now - it.as_of_s", "10800"),
        ("config.feeds[it.name].fail_s", "86400"),
    )


def test_the_nearest_item_is_the_one_that_came_furthest(
    compiled: CompiledPolicy, case: Case
) -> None:
    first = case["findings"][0]
    far = {**first, "key": "B", "severity": "CRITICAL", "reach": "CONFIRMED_REACHABLE"}
    case["findings"] = [{**first, "key": "A"}, far]
    one = explained(compiled, case, "vuln.critical_reachable")
    assert one.stopped_by == (
        ("rank[it.severity] >= rank[config.thresholds.fail_severity]", 1),
        ("it.new_since_baseline", 1),
    )
    assert one.nearest is not None and one.nearest.subject == "B"
    assert one.nearest.condition == "it.new_since_baseline"
    assert one.nearest.facts == (("it.new_since_baseline", "false"),)


def test_a_lookup_shows_what_was_looked_up(compiled: CompiledPolicy, case: Case) -> None:
    nearest = explained(compiled, case, "vuln.critical_reachable").nearest
    assert nearest is not None
    assert dict(nearest.facts)["it.severity"] == "MEDIUM"
    assert dict(nearest.facts)["config.thresholds.fail_severity"] == "CRITICAL"


def test_a_rule_that_is_asked_once_has_facts_too(
    write_policy: Callable[..., Policy], case: Case
) -> None:
    policy = write_policy(
        {"all": ["input.reachability.runtime_bp < 100"], "subject": "input.promotion.target.env"},
        {"all": ["true"]},
        {"over": "input.approvals", "all": ["true"]},
    )
    first, second, third = explain_policy(compile_policy(policy), gate_input(case))
    assert first.nearest is not None
    assert (first.nearest.subject, first.nearest.facts) == (
        "eu-prod",
        (("input.reachability.runtime_bp", "3500"),),
    )
    assert second.nearest is None and third.nearest is None
    assert (third.considered, third.fired) == (0, 0)


def test_facts_that_have_no_value_are_left_out(
    write_policy: Callable[..., Policy], case: Case
) -> None:
    """The second side may have no answer for the very items that the first one stopped."""
    guarded = "it.components > 99 ? 7 / (it.components - 3) > 0 : false"
    policy = write_policy({"over": "input.sboms", "all": [guarded], "subject": "it.component"})
    (one,) = explain_policy(compile_policy(policy), gate_input(case))
    assert not one.error and one.nearest is not None
    assert (one.nearest.subject, one.nearest.facts) == ("api.zip", ())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=generated.documents())
def test_explanations_add_up_on_any_input(document: Case, compiled: CompiledPolicy) -> None:
    asked = gate_input(document)
    verdict = evaluate_policy(compiled, asked).verdict
    rules = explain_policy(compiled, asked)
    for one in rules:
        fired = sum(result.rule == one.rule for result in verdict.results)
        assert one.fired == fired and not one.error
        stopped = sum(count for _, count in one.stopped_by)
        assert one.considered == fired + stopped
        assert (one.nearest is None) == (stopped == 0)
        if one.nearest is not None:
            assert one.nearest.condition == one.stopped_by[-1][0] and one.nearest.facts
    assert explain_document(rules)["schema"] == "releaseline.explain/2"
