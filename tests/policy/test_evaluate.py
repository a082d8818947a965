"""One answer in every form, errors that can only fail, and one place that evaluates."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.policy import cel
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import gate_input
from engine.policy.estimate import extent_of, iterations
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.explain import explain_policy
from engine.policy.hostloop import HostLoop, Names, Programs
from engine.policy.model import Policy
from engine.policy.strictjson import read_strict
from engine.policy.verdict import ERROR_DETAIL

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[..., Policy]
Case = dict[str, Any]


# --- errors -------------------------------------------------------------------------------------

BROKEN = [
    pytest.param({"all": ["input.components[99].name == 'x'"]}, id="index"),
    pytest.param({"all": ["config.gone[input.promotion.target.region] == 1"]}, id="key"),
    pytest.param({"all": ["1 / (now - now) == 1"]}, id="division"),
    pytest.param({"all": ["now * 9223372036854775807 > 0"]}, id="overflow"),
    pytest.param({"all": ["true"], "detail": "string(input.components[99].name)"}, id="detail"),
    pytest.param({"over": "input.components", "all": ["it.licenses[7] == 'MIT'"]}, id="in-an-item"),
]


@pytest.mark.parametrize("form", [None, *Form])
@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_evaluated_is_a_failure(
    broken: dict[str, Any], form: Form | None, write_policy: Write, case: Case
) -> None:
    config = {"gone": {"b": 1}}
    policy = write_policy({"all": ["true"]}, broken, {"all": ["1 == 2"]}, config=config)
    found = evaluate_policy(compile_policy(policy), gate_input(case), form=form)
    assert (found.verdict.decision, found.verdict.error) == ("FAIL", True)
    assert [(one.rule, one.level, one.subject, one.detail) for one in found.verdict.results] == [
        ("r1", "FAIL", "", ERROR_DETAIL),
        ("r0", "WARN", "s", "d"),  # the sound rules are heard all the same
    ]
    assert [rule for rule, _ in found.causes] == ["r1"]
    assert found.verdict.word == "FAIL (1 FAIL, 1 WARN)"


def test_the_words_of_an_engine_are_in_no_hashed_byte(write_policy: Write, case: Case) -> None:
    policy = write_policy({"all": ["input.components[99].name == 'x'"]})
    found = evaluate_policy(compile_policy(policy), gate_input(case))
    (cause,) = found.causes
    assert cause[1] and cause[1].encode() not in found.verdict.blob


def test_an_error_is_not_hidden_by_a_false_beside_it(write_policy: Write, case: Case) -> None:
    """`&&` of CEL would answer false here; asked in order, the first condition has no answer."""
    policy = write_policy({"over": "input.sboms", "all": ["it.components / 0 > 1", "1 == 2"]})
    for form in Form:
        assert evaluate_policy(compile_policy(policy), gate_input(case), form=form).verdict.error


def test_a_condition_guards_those_behind_it(write_policy: Write, case: Case) -> None:
    policy = write_policy({"over": "input.sboms", "all": ["it.components > 1000", "1 / 0 > 1"]})
    for form in Form:
        found = evaluate_policy(compile_policy(policy), gate_input(case), form=form)
        assert (found.verdict.decision, found.verdict.error) == ("PASS", False)


def test_a_variable_without_a_value_fails_every_rule_that_needs_it(
    write_policy: Write, case: Case
) -> None:
    policy = write_policy(
        {"all": ["size(two) > 0"]},
        {"all": ["1 == 2"]},
        {"over": "one", "all": ["it.name == ''"]},
        variables={
            "one": "input.components.filter(c, 1 / (now - now) == 1)",
            "two": "one.map(c, c.name)",
        },
    )
    found = evaluate_policy(compile_policy(policy), gate_input(case))
    assert [rule for rule, _ in found.causes] == ["r0", "r2"]
    assert found.verdict.fail == 2
    assert [one.error for one in explain_policy(compile_policy(policy), gate_input(case))] == [
        True,
        False,
        True,
    ]


def test_beyond_the_budget_of_the_engine_is_a_failure(write_policy: Write, case: Case) -> None:
    case["components"] = [
        {**case["components"][0], "purl": f"pkg:pypi/p{n}@1"} for n in range(10_001)
    ]
    policy = write_policy({"over": "input.components", "all": ["it.name == 'none'"]})
    asked = gate_input(case)
    compiled = compile_policy(policy)
    assert evaluate_policy(compiled, asked, form=Form.PER_RULE).verdict.error
    assert evaluate_policy(compiled, asked, form=Form.COMBINED).verdict.error
    chosen = evaluate_policy(compiled, asked)
    assert (chosen.form, chosen.verdict.decision) == (Form.HOST_LOOP, "PASS")


# --- forms --------------------------------------------------------------------------------------


def test_the_form_follows_the_size(compiled: CompiledPolicy, case: Case) -> None:
    assert evaluate_policy(compiled, gate_input(case)).form is Form.COMBINED
    case["components"] = [
        {**case["components"][0], "purl": f"pkg:pypi/p{n}@1"} for n in range(2_000)
    ]
    assert evaluate_policy(compiled, gate_input(case)).form is Form.HOST_LOOP


def test_big_inputs_are_judged_item_by_item(compiled: CompiledPolicy, case: Case) -> None:
    """10,000 packages and 2,000 findings: too many for one evaluation, and none may be lost."""
    component, finding = case["components"][0], case["findings"][0]
    case["components"] = [
        {
            **component,
            "purl": f"pkg:pypi/p{n}@1",
            "licenses": ["SSPL-1.0"] if n == 9_999 else ["MIT"],
        }
        for n in range(10_000)
    ]
    case["findings"] = [
        {**finding, "key": f"F-{n}", "id": f"F-{n}", "severity": "LOW", "kev": n in {0, 1_999}}
        for n in range(2_000)
    ]
    verdict = evaluate_policy(compiled, gate_input(case)).verdict
    fired = [(one.rule, one.subject) for one in verdict.results if one.level == "FAIL"]
    assert fired == [
        ("license.denied", "pkg:pypi/p9999@1"),
        ("vuln.budget", "LOW"),
        ("vuln.kev", "F-0"),
        ("vuln.kev", "F-1999"),
    ]


WORDS = [
    "x.filter(i, i > 2)",
    "x.map(i, i * 2)",
    "x.all(i, i < 9)",
    "x.exists(i, i == 3)",
    "x.exists_one(i, i == 3)",
    "x.filter(i, y.exists(j, j == i))",
    "size(x.filter(i, i > 0)) + 1",
    "x.filter(i, i > 2).map(i, [i, y.filter(j, j > i)])",
    "x.exists(i, i == 1) && y.all(j, j > 0)",
    "x.exists(i, 1 / i == 1) || y.exists(j, j == 4)",
    "x.all(i, 6 / i > 0)",
    "x.exists(i, i > 1) ? x.map(i, i) : y.map(j, j)",
    "x.map(i, i > 2, i)",
]


@settings(max_examples=40, deadline=None)
@given(
    text=st.sampled_from(WORDS),
    x=st.lists(st.integers(0, 9), max_size=9),
    y=st.lists(st.integers(0, 9), max_size=9),
    limit=st.integers(0, 12),
)
def test_slices_give_what_the_whole_gives(
    text: str, x: list[int], y: list[int], limit: int
) -> None:
    """Whatever the limit, a loop that is cut answers as the engine does in one go."""
    tree = cel.Environment(["x", "y"]).compile(text).tree
    names = {"x": x, "y": y}

    def answer(limit: int) -> Any:
        try:
            return HostLoop(Programs(), limit).value(tree, Names(names))
        except cel.EvaluationFailed:
            return "no answer"

    assert answer(limit) == answer(1_000_000)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 30), min_size=2, max_size=2))
def test_estimates_are_upper_bounds(sizes: list[int]) -> None:
    """The engine counts no more than we do: 9,999 steps pass, one more does not."""
    x, y = sizes
    tree = cel.Environment(["x", "y"]).compile("x.filter(i, y.exists(j, j == i))").tree
    scope = {"x": extent_of([-1] * x), "y": extent_of([0] * y)}
    assert iterations(tree, scope) == x * (1 + y)


def test_the_budget_is_where_we_think_it_is() -> None:
    program = cel.Environment(["x"]).compile("x.all(i, true)")
    assert cel.evaluate(program, {"x": [0] * cel.ITERATIONS_MAX}) is True
    with pytest.raises(cel.EvaluationFailed):
        cel.evaluate(program, {"x": [0] * (cel.ITERATIONS_MAX + 1)})


# --- digests ------------------------------------------------------------------------------------

_FRESH = """
import json, sys
from engine.policy.compile import compile_policy
from engine.policy.document import gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.model import load_policy
policy, config, case = (open(path, "rb").read() for path in sys.argv[1:])
compiled = compile_policy(load_policy(policy, config))
print(evaluate_policy(compiled, gate_input(json.loads(case))).verdict.digest)
"""


def test_fresh_processes_agree(examples: Path) -> None:
    files = ["release-gate.yaml", "release-gate.config.json", "release-gate.input.json"]
    paths = [str(examples / name) for name in files]
    seen = {
        subprocess.run(
            [sys.executable, "-c", _FRESH, *paths],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert len(seen) == 1 and seen.pop().startswith("sha256:")


def test_the_digest_rests_on_facts_alone(compiled: CompiledPolicy, case: Case) -> None:
    first = evaluate_policy(compiled, gate_input(case)).verdict
    turned = json.loads(json.dumps(case, sort_keys=True))
    assert evaluate_policy(compiled, gate_input(turned)).verdict.digest == first.digest
    case["clock"]["evaluated_at_s"] += 1
    assert evaluate_policy(compiled, gate_input(case)).verdict.digest != first.digest


# --- another engine -----------------------------------------------------------------------------

_RUST = """
import json, sys
import cel
policy, case = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
names = {"input": case, "config": policy["config"], "now": case["clock"]["evaluated_at_s"],
         "rank": policy["rank"]}
for name, text in policy["variables"]:
    names[name] = cel.evaluate(text, names)
fired = []
for rule in policy["rules"]:
    items = cel.evaluate(rule["over"], names) if rule["over"] else [None]
    for item in items:
        inner = names if not rule["over"] else {**names, "it": item}
        if all(cel.evaluate(text, inner) for text in rule["conditions"]):
            fired.append([rule["level"], rule["id"], cel.evaluate(rule["subject"], inner),
                          cel.evaluate(rule["detail"], inner)])
print(json.dumps(sorted(fired)))
"""


def test_an_independent_engine_fires_the_same_rules(
    compiled: CompiledPolicy, case: Case, tmp_path: Path
) -> None:
    """In a process of its own: the other engine would hold this one's lock while it works."""
    case["findings"][0] |= {"kev": True, "severity": "CRITICAL", "reach": "RUNTIME_OBSERVED"}
    case["findings"][0]["new_since_baseline"] = True
    case["sboms"].pop()
    rules = [
        {
            "id": one.rule.id,
            "level": one.rule.level.value,
            "over": one.rule.over,
            "conditions": one.rule.conditions,
            "subject": one.rule.subject,
            "detail": one.rule.detail,
        }
        for one in compiled.rules
    ]
    policy = {
        "config": compiled.policy.config,
        "variables": compiled.policy.variables,
        "rank": {"UNKNOWN": 0, "NONE": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4},
        "rules": rules,
    }
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    (tmp_path / "case.json").write_text(json.dumps(case))
    there = subprocess.run(
        [sys.executable, "-c", _RUST, str(tmp_path / "policy.json"), str(tmp_path / "case.json")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert there.returncode == 0, there.stderr
    here = evaluate_policy(compiled, gate_input(case)).verdict
    assert here.fail >= 3
    assert json.loads(there.stdout) == [
        [one.level.value, one.rule, one.subject, one.detail] for one in here.results
    ]


# --- the house rule -----------------------------------------------------------------------------


def test_cel_is_evaluated_in_one_place_only() -> None:
    """Nobody else imports an engine, and nobody else calls `eval` on what one compiled."""
    offenders = []
    for path in [
        *(ROOT / "engine").rglob("*.py"),
        *(ROOT / "data").rglob("*.py"),
        *(ROOT / "pages").rglob("*.py"),
    ]:
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    modules = [alias.name for alias in names]
                case ast.ImportFrom(module=str(module)):
                    modules = [module]
                case ast.Call(
                    func=ast.Attribute(attr="import_module"),
                    args=[ast.Constant(value=str(module))],
                ):
                    modules = [module]
                case ast.Call(func=ast.Attribute(attr="eval" | "plain_value")):
                    modules = ["cel_expr_python"]
                case ast.Attribute(attr="_expression"):
                    modules = ["cel_expr_python"]
                case _:
                    continue
            engines = {"cel_expr_python", "common_expression_language", "cel", "celpy"}
            if any(module.partition(".")[0] in engines for module in modules):
                offenders.append(place)
    assert set(offenders) == {"engine/policy/cel.py", "engine/policy/crosscheck.py"}


def test_a_text_ends_for_the_engine_at_nul() -> None:
    """What the door guards against: to the engine this is the very name of an approver."""
    program = cel.Environment(["x"]).compile("x == 'ciso'")
    assert cel.evaluate(program, {"x": "ciso\0x"}) is True
    with pytest.raises(Malformed, match=r"U\+0000"):
        value_check("ciso\0x")


def value_check(text: str) -> None:
    read_strict(json.dumps({"x": text}).encode(), where="t")


def test_an_error_is_a_value_of_the_engine_but_never_of_ours() -> None:
    """What this house guards against: the engine's own answer to a failure counts as true."""
    program = cel.Environment(["x"]).compile("x.gone == 1")
    raw = program._expression.eval(data={"x": {}})
    assert raw.plain_value()  # truthy: whoever asked the engine directly would let it pass
    with pytest.raises(cel.EvaluationFailed):
        cel.evaluate(program, {"x": {}})


def test_a_policy_with_a_problem_is_not_compiled(write_policy: Write) -> None:
    policy = write_policy({"all": ["config.x.exists(k, k == 'a')"]}, config={"x": {"a": 1}})
    with pytest.raises(Malformed, match="map-order"):
        compile_policy(policy)
