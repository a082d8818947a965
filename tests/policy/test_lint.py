"""Policies that are refused before they are ever asked, with the place and the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import Malformed
from engine.policy.lint import lint
from engine.policy.model import Policy, load_policy, policy_from_blob

CONFIG = {"limits": {"a": 1, "b": 2}, "names": ["x"], "mixed": [1, "x"]}

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
