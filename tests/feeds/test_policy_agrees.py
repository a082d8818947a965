"""What pages and command line call stale is what the shipped policy says of the same feed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from engine.core.feeds import LEVELS, NAMES, freshness, limits_of
from engine.policy.compile import compile_policy
from engine.policy.document import gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.model import load_policy

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", [one for one in NAMES if one != "GHSA"])
def test_every_edge_of_every_limit(name: str) -> None:
    policy = load_policy(
        (EXAMPLES / "release-gate.yaml").read_bytes(),
        (EXAMPLES / "release-gate.config.json").read_bytes(),
    )
    compiled = compile_policy(policy)
    case = json.loads((EXAMPLES / "release-gate.input.json").read_text())
    now_s = case["clock"]["evaluated_at_s"]
    limits = limits_of(policy.config, name)
    assert limits is not None
    for edge in (0, limits.warn_s, limits.fail_s):
        for age_s in (edge - 1, edge, edge + 1):
            document = copy.deepcopy(case)
            kept = [one for one in document["feeds"] if one["name"] != name]
            one = dict(document["feeds"][0], name=name, as_of_s=now_s - age_s)
            document["feeds"] = sorted([*kept, one], key=lambda feed: str(feed["name"]))
            said = {
                result.level
                for result in evaluate_policy(compiled, gate_input(document)).verdict.results
                if result.subject == name and result.rule.startswith("feed.")
            }
            word = freshness(now_s - age_s, limits, now_s=now_s)
            assert said == ({LEVELS[word]} - {"OK"}), (age_s, word, said)
