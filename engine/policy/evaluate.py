"""Compiles a policy once and asks it about documents, in one of three forms with one answer.

*Combined* is one expression for all rules: the fastest. *Per rule* keeps an error to the rule that
made it. *Host loop* goes through big lists in slices, because the engine stops at a fixed number
of steps. Whatever can't be evaluated is a FAIL; no path leads from an error to a PASS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.policy.cel import EvaluationFailed
from engine.policy.compile import CompiledPolicy, CompiledRule
from engine.policy.document import GateInput
from engine.policy.estimate import iterations, reach, sized
from engine.policy.hostloop import ITERATIONS_SAFE, UNLIMITED, HostLoop, Names
from engine.policy.model import SEVERITY_RANK
from engine.policy.syntax import free_names
from engine.policy.verdict import Result, Verdict, error_result, verdict


class Form(StrEnum):
    COMBINED = "combined"
    PER_RULE = "per-rule"
    HOST_LOOP = "host-loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Attributes:
    form: in which it was found; not part of the verdict.
    causes: (rule, the engine's own words) of rules that gave no answer; for people only.
    """

    verdict: Verdict
    form: Form
    causes: tuple[tuple[str, str], ...]


def evaluate_policy(
    compiled: CompiledPolicy, given: GateInput, *, form: Form | None = None
) -> Evaluation:
    """Ask `compiled` about `given`.

    Args:
        form: None = by estimate: combined while it surely fits, else host loop.
    """
    names = base_names(compiled, given)
    causes: dict[str, str] = {}
    chosen = form or _choose(compiled, names)
    results: list[Result] | None = None
    if chosen is Form.COMBINED:
        results = _combined(compiled, names)
        if results is None and form is None:
            chosen = Form.PER_RULE  # something failed: find out which rule, and keep the others
    if results is None:
        limit = ITERATIONS_SAFE if chosen is Form.HOST_LOOP else UNLIMITED
        results = _rule_by_rule(compiled, names, HostLoop(compiled.programs, limit), causes)
    return Evaluation(
        verdict=verdict(
            policy=compiled.policy.digest,
            input_digest=given.digest,
            now_s=given.now_s,
            results=results,
            error=bool(causes),
        ),
        form=chosen,
        causes=tuple(sorted(causes.items())),
    )


def base_names(compiled: CompiledPolicy, given: GateInput) -> Names:
    return Names(
        {
            "input": dict(given.document),
            "config": compiled.policy.config,
            "now": given.now_s,
            "rank": SEVERITY_RANK,
        }
    )


def bind_variables(
    compiled: CompiledPolicy, names: Names, loop: HostLoop
) -> tuple[Names, Mapping[str, str]]:
    """The names with the variables' values, and why a variable has none."""
    failed: dict[str, str] = {}
    for name, tree in compiled.variables:
        missing = sorted(free_names(tree) & set(failed)) if failed else []
        try:
            if missing:  # `||` could hide it: no answer rests on a variable that has none
                raise EvaluationFailed(f"{missing[0]}: {failed[missing[0]]}")
            found = loop.value(tree, names)
            names = names.with_value(name, found, sized(reach(tree, names.extents()), found))
        except EvaluationFailed as error:
            failed[name] = str(error)
    return names, failed


def _choose(compiled: CompiledPolicy, names: Names) -> Form:
    scope = dict(names.extents())
    steps = 0
    for name, tree in compiled.variables:
        steps += iterations(tree, scope)
        scope[name] = reach(tree, scope)
    steps += iterations(compiled.combined, scope)
    return Form.COMBINED if steps < ITERATIONS_SAFE else Form.HOST_LOOP


def _combined(compiled: CompiledPolicy, names: Names) -> list[Result] | None:
    """All results at once; None when anything at all went wrong."""
    loop = HostLoop(compiled.programs, UNLIMITED)
    bound, failed = bind_variables(compiled, names, loop)
    if failed:
        return None
    try:
        answers = loop.value(compiled.combined, bound)
        return [
            result
            for rule, answer in zip(compiled.rules, answers, strict=True)
            for result in results_of(rule, answer)
        ]
    except EvaluationFailed:
        return None


def _rule_by_rule(
    compiled: CompiledPolicy, names: Names, loop: HostLoop, causes: dict[str, str]
) -> list[Result]:
    bound, failed = bind_variables(compiled, names, loop)
    results: list[Result] = []
    for rule in compiled.rules:
        missing = sorted(rule.uses & set(failed))
        try:
            if missing:
                raise EvaluationFailed(f"{missing[0]}: {failed[missing[0]]}")
            results += results_of(rule, loop.value(rule.tree, bound))
        except EvaluationFailed as error:
            causes[rule.rule.id] = str(error)
            results.append(error_result(rule.rule.id))
    return results


def results_of(rule: CompiledRule, answer: Any) -> list[Result]:
    """Read what a rule's expression gave: a list of [subject, detail]."""
    if not isinstance(answer, list):
        raise EvaluationFailed("expected a list of results")
    results = []
    for pair in answer:
        match pair:
            case [str(subject), str(detail)]:
                results.append(
                    Result(level=rule.rule.level, rule=rule.rule.id, subject=subject, detail=detail)
                )
            case _:
                raise EvaluationFailed("expected texts as subject and detail")
    return results
