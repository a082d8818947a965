"""One verdict for one question: three forms, two engines, policies and inputs nobody wrote."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from engine.policy import evaluate
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.crosscheck import crosscheck_verdict
from engine.policy.document import gate_input
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.lint import lint
from engine.policy.model import Policy
from engine.policy.verdict import ERROR_DETAIL, Verdict
from tests.policy import generated

Write = Callable[..., Policy]
_RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow]
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]


@pytest.fixture(scope="module")
def second() -> Iterator[ProcessPoolExecutor]:
    """A process for the second engine: it would hold the lock of this one while it works.

    A spawned process imports the main module of this one, which is a page once a page was tested.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        pool.submit(int).result()
        yield pool


def _first(compiled: CompiledPolicy, document: dict[str, Any], limit: int) -> list[Verdict]:
    asked = gate_input(document)
    with pytest.MonkeyPatch.context() as patch:
        # Every loop is cut into slices, however short it is.
        patch.setattr(evaluate, "ITERATIONS_SAFE", limit)
        return [evaluate_policy(compiled, asked, form=form).verdict for form in Form]


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, phases=_PHASES, suppress_health_check=_RELAXED
    )


def _generated_agree(
    rules: list[dict[str, Any]],
    document: dict[str, Any],
    limit: int,
    write_policy: Write,
    second: ProcessPoolExecutor,
) -> None:
    policy = write_policy(*rules, variables=generated.VARIABLES, config=generated.CONFIG)
    assume(not lint(policy))
    verdicts = _first(compile_policy(policy), document, limit)
    verdicts += second.submit(_second, policy.blob, document, tuple(Form)).result()
    assert len({verdict.digest for verdict in verdicts}) == 1, [v.document() for v in verdicts]


_RULES = st.lists(generated.rules(), min_size=1, max_size=3)


@_settings(10)
@given(rules=_RULES, document=generated.documents(), limit=st.integers(0, 20))
def test_generated_policies_have_one_verdict(
    rules: Any, document: Any, limit: int, write_policy: Write, second: ProcessPoolExecutor
) -> None:
    _generated_agree(rules, document, limit, write_policy, second)


@pytest.mark.long
@_settings(400)
@given(rules=_RULES, document=generated.documents(), limit=st.integers(0, 20))
def test_many_generated_policies_have_one_verdict(
    rules: Any, document: Any, limit: int, write_policy: Write, second: ProcessPoolExecutor
) -> None:
    _generated_agree(rules, document, limit, write_policy, second)


@_settings(10)
@given(document=generated.documents(), limit=st.integers(0, 40))
def test_the_shipped_policy_has_one_verdict_on_any_input(
    document: dict[str, Any],
    limit: int,
    compiled: CompiledPolicy,
    second: ProcessPoolExecutor,
) -> None:
    verdicts = _first(compiled, document, limit)
    verdicts += second.submit(
        _second, compiled.policy.blob, document, (Form.COMBINED, Form.PER_RULE)
    ).result()
    assert not verdicts[0].error
    assert len({verdict.digest for verdict in verdicts}) == 1


def _second(blob: bytes, document: dict[str, Any], forms: tuple[Form, ...]) -> list[Verdict]:
    return [crosscheck_verdict(blob, document, form=form) for form in forms]


ERRORS = [
    {"all": ["1 / (now - now) == 1"]},
    {"over": "input.components", "all": ["it.licenses[7] == 'MIT'"]},
    {"all": ["true"], "detail": "string(input.components[99].found_in[0])"},
    {"all": ["now * now * now > 0"]},
    {"all": ["size(broken) > 0"]},
    {"all": ["1 == 2", "size(broken) > 0"]},
    {"all": ["hidden"]},
]


@pytest.mark.parametrize("rule", ERRORS, ids=str)
def test_an_error_is_the_same_failure_in_every_form_and_engine(
    rule: dict[str, Any], write_policy: Write, case: dict[str, Any], second: ProcessPoolExecutor
) -> None:
    policy = write_policy(
        {"all": ["true"]},
        rule,
        variables={
            "broken": "input.sboms.filter(s, 1 / (now - now) == 1)",
            "hidden": "now == 0 || size(broken) == 0",
        },
    )
    verdicts = _first(compile_policy(policy), case, 0)
    verdicts += second.submit(_second, policy.blob, case, tuple(Form)).result()
    assert len({verdict.digest for verdict in verdicts}) == 1
    found = verdicts[0]
    assert (found.decision, found.error, found.fail, found.warn) == ("FAIL", True, 1, 1)
    assert found.results[0].detail == ERROR_DETAIL


def test_beyond_the_budget_no_form_passes(write_policy: Write, case: dict[str, Any]) -> None:
    """The budget of one evaluation is a FAIL with constant text; only slices get an answer."""
    one = case["scans"][0]
    case["scans"] = [{**one, "id": f"s{n}"} for n in range(150)]
    policy = write_policy(
        {"over": "input.scans", "all": ["input.scans.all(s, s.id != it.detail)", "1 == 2"]}
    )
    compiled, asked = compile_policy(policy), gate_input(case)
    by_form = {form: evaluate_policy(compiled, asked, form=form).verdict for form in Form}
    for form in (Form.COMBINED, Form.PER_RULE):
        assert by_form[form].decision == "FAIL" and by_form[form].error
        assert [one.detail for one in by_form[form].results] == [ERROR_DETAIL]
    assert by_form[Form.HOST_LOOP].word == "PASS"
    assert evaluate_policy(compiled, asked).form is Form.HOST_LOOP
