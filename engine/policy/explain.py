"""Why a rule fired or did not: how many items it looked at and which condition stopped the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.policy.cel import EvaluationFailed
from engine.policy.compile import CompiledPolicy, CompiledRule
from engine.policy.document import GateInput
from engine.policy.estimate import extent_of
from engine.policy.evaluate import base_names, bind_variables
from engine.policy.hostloop import HostLoop, Names
from engine.policy.model import ITEM
from engine.policy.syntax import Ident, Loop, Macro, Node

SCHEMA: Final = "releaseline.explain/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplained:
    """Attributes:
    considered: items of `over`; 1 for a rule that is asked once.
    fired: items for which every condition held.
    stopped_by: (condition, items for which it was the first that did not hold), in order.
    error: the rule gave no answer; the figures go as far as it came.
    """

    rule: str
    level: str
    considered: int
    fired: int
    stopped_by: tuple[tuple[str, int], ...]
    error: bool

    def document(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "level": self.level,
            "considered": self.considered,
            "fired": self.fired,
            "stopped_by": [
                {"condition": condition, "count": count} for condition, count in self.stopped_by
            ],
            "error": self.error,
        }


def explain_policy(compiled: CompiledPolicy, given: GateInput) -> tuple[RuleExplained, ...]:
    """One entry per rule, in the order of the policy."""
    loop = HostLoop(compiled.programs)
    names, failed = bind_variables(compiled, base_names(compiled, given), loop)
    return tuple(_rule(rule, loop, names, failed) for rule in compiled.rules)


def explain_document(rules: tuple[RuleExplained, ...]) -> dict[str, Any]:
    return {"schema": SCHEMA, "rules": [rule.document() for rule in rules]}


def _rule(
    rule: CompiledRule, loop: HostLoop, names: Names, failed: Mapping[str, str]
) -> RuleExplained:
    considered = 0
    items: list[Any] = []
    stopped: list[tuple[str, int]] = []
    error = bool(rule.uses & set(failed))
    if not error:
        try:
            items = [None] if rule.over is None else loop.value(rule.over, names)
            considered = len(items)
            for text, condition in zip(rule.rule.conditions, rule.conditions, strict=True):
                held = _holding(condition, items, rule, loop, names)
                if len(held) < len(items):
                    stopped.append((text, len(items) - len(held)))
                items = held
        except EvaluationFailed:
            error, items = True, []
    return RuleExplained(
        rule=rule.rule.id,
        level=rule.rule.level.value,
        considered=considered,
        fired=len(items),
        stopped_by=tuple(stopped),
        error=error,
    )


def _holding(
    condition: Node, items: list[Any], rule: CompiledRule, loop: HostLoop, names: Names
) -> list[Any]:
    """The items for which `condition` holds."""
    if rule.over is None:
        return items if items and loop.value(condition, names) is True else []
    name = "__items"
    kept = loop.value(
        Loop(
            at=0,
            macro=Macro.FILTER,
            over=Ident(at=0, name=name),
            variable=ITEM,
            predicate=condition,
            transform=None,
        ),
        names.with_value(name, items, extent_of(items)),
    )
    assert isinstance(kept, list)
    return kept
