"""The second engine: an independent implementation of CEL asked the same question.

It parses and evaluates the policy's own texts, nothing of the first engine's trees is handed over:
equal verdicts mean that two implementations agree. It is slow and holds the interpreter's lock
while it works: ask it in a process of its own, never in the server. It decides nothing.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, Final

from engine.policy.cel import EvaluationFailed
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import gate_input
from engine.policy.evaluate import Form
from engine.policy.model import ITEM, SEVERITY_RANK, Policy, Rule, policy_from_blob
from engine.policy.syntax import free_names
from engine.policy.verdict import Result, Verdict, error_result, verdict

_SCALARS: Final = (str, int, bool, type(None))


def crosscheck_verdict(
    policy_blob: bytes, document: Mapping[str, Any], *, form: Form = Form.PER_RULE
) -> Verdict:
    """The verdict of the second engine.

    Args:
        document: a gate input; checked as for the first engine.
        form: COMBINED: one expression for all rules; PER_RULE: one for each; HOST_LOOP: the items
            of each rule one by one.

    Raises:
        Malformed: policy or document are not what they should be.
    """
    policy, given = policy_from_blob(policy_blob), gate_input(dict(document))
    names: dict[str, Any] = {
        "input": dict(given.document),
        "config": dict(policy.config),
        "now": given.now_s,
        "rank": SEVERITY_RANK,
    }
    compiled = compile_policy(policy)  # says who needs whom, and nothing else
    broken = _bind_variables(compiled, names)
    failed = {one.rule.id for one in compiled.rules if one.uses & broken}
    asked = _combined(policy, names) if form is Form.COMBINED and not failed else None
    results: list[Result] = []
    error = False
    for rule in policy.rules:
        try:
            if rule.id in failed:
                raise EvaluationFailed("a variable that it needs has no value")
            found = asked[rule.id] if asked is not None else _rule(rule, names, form)
            results += _results(rule, found)
        except EvaluationFailed:
            error = True
            results.append(error_result(rule.id))
    return verdict(
        policy=policy.digest,
        input_digest=given.digest,
        now_s=given.now_s,
        results=results,
        error=error,
    )


@functools.cache
def _second() -> Any:
    """Imported when it is first asked: its package brings a console of its own along, half a second
    that every command would wait for."""
    return importlib.import_module("cel")


def _bind_variables(compiled: CompiledPolicy, names: dict[str, Any]) -> frozenset[str]:
    """Add the variables' values to `names`; return those that have none.

    In an order in which each finds what it needs; whoever needs one without a value has none.
    """
    texts = dict(compiled.policy.variables)
    broken: set[str] = set()
    for name, tree in compiled.variables:
        try:
            if free_names(tree) & broken:
                raise EvaluationFailed("a variable that it needs has no value")
            names[name] = _ask(texts[name], names)
        except EvaluationFailed:
            broken.add(name)
    return frozenset(broken)


def _combined(policy: Policy, names: dict[str, Any]) -> dict[str, Any] | None:
    """Every rule's answer at once; None when anything went wrong."""
    text = "[" + ",\n".join(_text(rule) for rule in policy.rules) + "\n]"
    try:
        found = _ask(text, names)
    except EvaluationFailed:
        return None
    return {rule.id: one for rule, one in zip(policy.rules, found, strict=True)}


def _rule(rule: Rule, names: dict[str, Any], form: Form) -> Any:
    if form is not Form.HOST_LOOP or not rule.over:
        return _ask(_text(rule), names)
    items = _ask(rule.over, names)
    if not isinstance(items, list):
        raise EvaluationFailed("no list to go through")
    found = []
    for item in items:
        inner = {**names, ITEM: item}
        if all(_truth(_ask(condition, inner)) for condition in rule.conditions):
            found.append([_ask(rule.subject, inner), _ask(rule.detail, inner)])
    return found


def _text(rule: Rule) -> str:
    """The rule as one expression. Parts stand on lines of their own: they may end in a comment."""
    held = "true"
    for condition in reversed(rule.conditions):
        held = f"((\n{condition}\n) ? {held} : false)"
    pair = f"[(\n{rule.subject}\n), (\n{rule.detail}\n)]"
    if not rule.over:
        return f"({held} ? [{pair}] : [])"
    return f"(\n{rule.over}\n).filter({ITEM}, {held}).map({ITEM}, {pair})"


def _ask(text: str, names: Mapping[str, Any]) -> Any:
    """One evaluation. Every way in which the engine can fail is one of no answer."""
    try:
        answer = _second().evaluate(text, dict(names))
    except Exception as error:  # it raises nearly every built-in kind, according to the cause
        raise EvaluationFailed(f"{type(error).__name__}: {error}") from error
    _require_plain(answer)
    return answer


def _require_plain(value: Any) -> None:
    match value:
        case list():
            for item in value:
                _require_plain(item)
        case dict():
            for item in value.values():
                _require_plain(item)
        case _ if not isinstance(value, _SCALARS):
            raise EvaluationFailed(f"a value of type {type(value).__name__}")


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise EvaluationFailed("no truth value")
    return value


def _results(rule: Rule, found: Any) -> list[Result]:
    if not isinstance(found, list):
        raise EvaluationFailed("expected a list of results")
    results = []
    for pair in found:
        match pair:
            case [str(subject), str(detail)]:
                results.append(
                    Result(level=rule.level, rule=rule.id, subject=subject, detail=detail)
                )
            case _:
                raise EvaluationFailed("expected texts as subject and detail")
    return results
