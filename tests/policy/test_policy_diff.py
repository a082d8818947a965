"""What changed between two policies, said in words and nothing left out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.model import Policy, load_policy, with_config
from engine.policy.policy_diff import policy_diff


def changed(policy: Policy, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Policy:
    document = copy.deepcopy(dict(policy.document))
    config = copy.deepcopy(dict(policy.config))
    change(document, config)
    return load_policy(json.dumps(document).encode(), json.dumps(config).encode())


@pytest.mark.parametrize(
    ("change", "says", "stricter"),
    [
        (
            lambda d, c: c["thresholds"]["budget"].update(HIGH=5),
            "limit thresholds.budget.HIGH: 10 → 5",
            None,
        ),
        (
            lambda d, c: c["required_feeds"].append("EPSS"),
            'list required_feeds added: "EPSS"',
            None,
        ),
        (
            lambda d, c: c["denied_licenses"].remove("SSPL-1.0"),
            'list denied_licenses removed: "SSPL-1.0"',
            None,
        ),
        (lambda d, c: c["required_feeds"].reverse(), "list required_feeds: its order →", None),
        (lambda d, c: c.update(fresh=1), "limit fresh added: 1", None),
        (lambda d, c: c["feeds"].pop("EPSS"), "limit feeds.EPSS removed: ", None),
        (
            lambda d, c: d["rules"].pop(0),
            "rule vuln.kev removed: FAIL for each of live when",
            False,
        ),
        (
            lambda d, c: d["rules"].append({**d["rules"][0], "id": "new.rule"}),
            "rule new.rule added: FAIL for each of live when it.kev",
            True,
        ),
        (
            lambda d, c: d["rules"][-1].update(level="FAIL"),
            "rule scan.incomplete level: WARN → FAIL",
            True,
        ),
        (
            lambda d, c: d["rules"][1]["all"].pop(),
            "rule vuln.critical_reachable conditions: it.new_since_baseline → ",
            True,
        ),
        (
            lambda d, c: d["rules"][0]["all"].append("it.cvss_dt > 0"),
            "rule vuln.kev conditions: it.kev → it.cvss_dt > 0",
            False,
        ),
        (lambda d, c: d["rules"][0].update(detail="it.id"), "rule vuln.kev detail: ", None),
        (lambda d, c: d["variables"].update(more="now"), "variable more added: now", None),
    ],
)
def test_each_kind_of_change_has_its_words(
    change: Callable[..., Any], says: str, stricter: bool | None, policy: Policy
) -> None:
    (line,) = policy_diff(policy, changed(policy, change))
    assert line.sentence.startswith(says)
    assert line.stricter is stricter


def test_equal_policies_do_not_differ(policy: Policy) -> None:
    assert policy_diff(policy, changed(policy, lambda d, c: None)) == ()


configs = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers(0, 3) | st.booleans() | st.lists(st.sampled_from("xyz"), max_size=3),
        lambda inner: st.dictionaries(st.sampled_from("de"), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)


@given(old=configs, new=configs)
def test_a_difference_is_told_exactly_when_there_is_one(
    old: dict[str, Any], new: dict[str, Any], policy: Policy
) -> None:
    one, other = with_config(policy, old), with_config(policy, new)
    assert bool(policy_diff(one, other)) == (one.digest != other.digest)
