"""Policies that are refused before they are ever asked, with the place and the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import Malformed
from engine.policy.compile import compile_policy
from engine.policy.document import gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.lint import lint
from engine.policy.model import Policy, load_policy, policy_from_blob

CONFIG = {
    "limits": {"a": 1, "b": 2},
    "names": ["x"],
    "mixed": [1, "x"],
    "words": {"fail": "HIGH", "wrong": "HGH"},
}

REFUSED = [
    ({"all": ["config.limits.exists(k, k == 'a')"]}, "map-order"),
    ({"all": ["config.limits.all(k, k != '')"]}, "map-order"),
    ({"over": "config.limits", "all": ["true"]}, "type"),
    ({"all": ["{'a': 1}.exists(k, k == 'a')"]}, "map-order"),
    ({"all": ["size('text') > 1"]}, "text-size"),
    ({"all": ["size(input.promotion.target.env) > 1"]}, "text-size"),
    ({"all": ["size(config.limits) > 1"]}, "text-size"),
    ({"all": ["1.5 > 1.0"]}, "float"),
    ({"all": ["double(now) > double(1)"]}, "float"),
    ({"all": ["timestamp('2026-01-01T00:00:00Z') > timestamp(now)"]}, "time"),
    ({"all": ["duration('1h') > duration('1s')"]}, "time"),
    ({"all": ["input.promotion.target.env.matches('eu-.*')"]}, "regex"),
    ({"all": ["input.gone == 1"]}, "unknown-field"),
    ({"all": ["config.limits.c > 1"]}, "unknown-field"),
    ({"over": "input.findings", "all": ["it.sevrity == 'HIGH'"]}, "unknown-field"),
    ({"all": ["nobody == 1"]}, "undeclared-name"),
    ({"all": ["it == 1"]}, "undeclared-name"),
    ({"all": ["now >"]}, "syntax"),
    ({"all": ["now"]}, "type"),
    ({"all": ["now == 'today'"]}, "type"),
    ({"all": ["true"], "subject": "now"}, "type"),
    ({"all": ["true"], "detail": "['a']"}, "type"),
    ({"all": ["input.findings.exists(input, true)"]}, "shadowed-name"),
    # One engine reads it, another one does not.
    ({"all": ["int(' 5') == 5"]}, "conversion"),
    ({"all": ["int(input.promotion.target.env) == 5"]}, "conversion"),
    ({"all": ["true"], "detail": "string(now > 1)"}, "conversion"),
    ({"all": ["true"], "detail": "string(config.mixed)"}, "conversion"),
    # No total order: mixed kinds, truth values, lists.
    ({"over": "config.mixed", "all": ["it < 3"]}, "order"),
    ({"all": ["true < (now > 1)"]}, "order"),
    ({"all": ["config.names < config.names"]}, "order"),
    # Words that no document can hold.
    ({"over": "input.findings", "all": ["it.severity == 'SEVERE'"]}, "word"),
    ({"over": "input.findings", "all": ["it.reach in ['REACHABLE']"]}, "word"),
    ({"over": "input.findings", "all": ["it.reach == config.words.wrong"]}, "word"),
    ({"all": ["rank[config.words.wrong] > 1"]}, "unknown-field"),
    ({"all": ["['a', 'c'].all(w, config.limits[w] > 0)"]}, "unknown-field"),
    ({"all": ["['a', 'b'][2] == 'a'"]}, "type"),
    # An error beside them would be hidden, and not by every engine.
    ({"all": ["1 / input.reachability.runtime_bp > 1 || now > 1"]}, "hidden-error"),
    ({"all": ["now > 1 && config.names[3] == 'x'"]}, "hidden-error"),
    ({"all": ["input.sboms.exists(s, now % s.components == 1)"]}, "hidden-error"),
    ({"all": ["input.sboms.all(s, config.mixed[0] == 1 && s.components > 1)"]}, "hidden-error"),
    ({"all": ["now > 1 || config.limits[input.promotion.target.env] > 1"]}, "hidden-error"),
    ({"all": ["now > 1 || now * now * now > 1"]}, "hidden-error"),
    ({"all": ["now > 1 || config.mixed.exists(m, m + 1 > now)"]}, "hidden-error"),
]


@pytest.mark.parametrize(("rule", "problem"), REFUSED, ids=[str(r[0]) for r in REFUSED])
def test_what_could_differ_or_fail_is_refused(
    rule: dict[str, Any], problem: str, write_policy: Callable[..., Policy]
) -> None:
    found = lint(write_policy({"all": ["true"]}, rule, config=CONFIG))
    assert problem in {one.rule for one in found}
    assert all(one.where.startswith("/rules/1/") for one in found)


def test_a_sound_policy_has_no_problem(policy: Policy, write_policy: Callable[..., Policy]) -> None:
    assert lint(policy) == ()
    sound = {
        "over": "config.names.map(n, [n, string(size(input.findings))])",
        "all": ["it[0] in config.names", "config.limits['a'] < 2", "it[1].startsWith('1')"],
    }
    assert lint(write_policy(sound, config=CONFIG)) == ()


SOUND = [
    "rank[config.words.fail] > 2 && now > 1",  # a key that is known to be there
    "input.findings.exists(f, rank[f.severity] >= rank[config.words.fail])",
    "input.findings.all(f, f.severity != 'LOW' || f.reach == 'UNKNOWN')",
    "['a', 'b'].exists(w, config.limits[w] > 1)",
    "[[string(now), 'x']].exists(p, int(p[0]) > 1)",
    "now > 1 || (now - input.clock.evaluated_at_s) * 2 > 1",
    "now > 1 || now / 2 > 1",
    "input.promotion.target.env < 'z'",
    "has(input.baseline.label) && input.baseline.label == ''",
    "config.words.fail == 'strict'",  # a config may say so one day
]


@pytest.mark.parametrize("condition", SOUND)
def test_what_cannot_fail_may_stand_where_errors_would_be_hidden(
    condition: str, write_policy: Callable[..., Policy], case: dict[str, Any]
) -> None:
    policy = write_policy({"all": [condition]}, config=CONFIG)
    assert lint(policy) == ()
    assert not evaluate_policy(compile_policy(policy), gate_input(case)).verdict.error


def test_variables_in_a_circle_are_refused(write_policy: Callable[..., Policy]) -> None:
    policy = write_policy({"all": ["true"]}, variables={"a": "b", "b": "a", "c": "now"})
    assert [(one.where, one.rule) for one in lint(policy)] == [
        ("/variables/a", "circle"),
        ("/variables/b", "circle"),
    ]


def test_another_engine_than_the_installed_one_is_refused(
    write_policy: Callable[..., Policy],
) -> None:
    (problem,) = lint(write_policy({"all": ["true"]}, require="cel-cpp==0.1.2"))
    assert problem.where == "/engine/require" and "'cel-cpp==0.1.2'" in problem.message


def test_every_problem_is_said_at_once(write_policy: Callable[..., Policy]) -> None:
    found = lint(
        write_policy({"all": ["nobody == 1"]}, {"all": ["1.5 > 1.0"]}, {"all": ["size('a') > 0"]})
    )
    assert {one.where for one in found} == {"/rules/0/all/0", "/rules/1/all/0", "/rules/2/all/0"}


BAD_FILES = [
    (b"rules: [", "expected YAML"),
    (b"a: 1\na: 2", "stands twice in line 2"),
    (b"a: &x 1\nb: *x", "aliases are not allowed"),
    (b"\xff\xfe", "expected UTF-8"),
    (b"a: 1.5", "/a: expected an integer"),
    (b"{}", "/rules: expected this field"),
    (b"a: 2026-01-01", "expected a JSON value"),
]


@pytest.mark.parametrize(("text", "says"), BAD_FILES)
def test_a_broken_policy_file_is_named(text: bytes, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        load_policy(text, b"{}", policy_where="gate.yaml")
    assert "gate.yaml" in str(refused.value) and says in str(refused.value)


def test_a_policy_without_rules_is_refused(examples: Path) -> None:
    """It would read as PASS, the one mistake that a gate must not make."""
    text = (examples / "release-gate.yaml").read_text().partition("rules:")[0] + "rules: []\n"
    with pytest.raises(Malformed, match="/rules: expected"):
        load_policy(text.encode(), b"{}")


def test_comments_do_not_change_the_digest(examples: Path, policy: Policy) -> None:
    text = (examples / "release-gate.yaml").read_bytes()
    config = (examples / "release-gate.config.json").read_bytes()
    assert load_policy(b"# another day\n" + text, config).digest == policy.digest
    assert (
        load_policy(text.replace(b"level: FAIL", b"level: WARN", 1), config).digest != policy.digest
    )
    assert load_policy(text, config.replace(b"604800", b"604801", 1)).digest != policy.digest
    assert policy_from_blob(policy.blob) == policy
