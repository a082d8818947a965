"""Why a rule fired or did not: how many items it looked at, which condition stopped the rest, and
the facts of the item that came nearest to firing."""

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
from engine.policy.syntax import Call, Const, Ident, ListOf, Loop, Macro, Node, walk
from engine.policy.unparse import unparse

# Version 2 has `nearest`.
SCHEMA: Final = "releaseline.explain/2"

# Of so many stopped items the nearest one is looked for; more would only cost time.
_LOOKED_AT_MAX: Final = 200
_TEXT_MAX: Final = 200
_ITEMS: Final = "__items"
_ORDER: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
_JUDGES: Final = _ORDER | {"_==_", "_!=_", "@in", "startsWith", "endsWith", "contains"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The stopped item that came furthest; of numbers the one closest to the limit.

    Attributes:
        subject: as a result would name it; empty when that can't be said.
        condition: the one that stopped it.
        facts: (expression, value) of what the condition compared; a list's value is its length.
    """

    subject: str
    condition: str
    facts: tuple[tuple[str, str], ...]

    def document(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "condition": self.condition,
            "facts": [{"expression": text, "value": value} for text, value in self.facts],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExplained:
    """Attributes:
    considered: items of `over`; 1 for a rule that is asked once.
    fired: items for which every condition held.
    stopped_by: (condition, items for which it was the first that did not hold), in order.
    nearest: None when no item was stopped.
    error: the rule gave no answer; the figures go as far as it came.
    """

    rule: str
    level: str
    considered: int
    fired: int
    stopped_by: tuple[tuple[str, int], ...]
    nearest: Nearest | None
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
            "nearest": None if self.nearest is None else self.nearest.document(),
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
    nearest: Nearest | None = None
    error = bool(rule.uses & set(failed))
    if not error:
        try:
            items = [None] if rule.over is None else loop.value(rule.over, names)
            considered = len(items)
            for text, condition in zip(rule.rule.conditions, rule.conditions, strict=True):
                held = _holding(condition, items, rule, loop, names)
                if len(held) < len(items):
                    stopped.append((text, len(items) - len(held)))
                    fallen = _holding(_not(condition), items, rule, loop, names)
                    nearest = _nearest(text, condition, fallen, rule, loop, names)
                items = held
        except EvaluationFailed:
            error, items = True, []
    return RuleExplained(
        rule=rule.rule.id,
        level=rule.rule.level.value,
        considered=considered,
        fired=len(items),
        stopped_by=tuple(stopped),
        nearest=nearest,
        error=error,
    )


def _holding(
    condition: Node, items: list[Any], rule: CompiledRule, loop: HostLoop, names: Names
) -> list[Any]:
    """The items for which `condition` holds."""
    if rule.over is None:
        return items if items and loop.value(condition, names) is True else []
    kept = loop.value(_over_items(Macro.FILTER, condition, None), _with_items(names, items))
    assert isinstance(kept, list)
    return kept


def _nearest(
    text: str,
    condition: Node,
    fallen: list[Any],
    rule: CompiledRule,
    loop: HostLoop,
    names: Names,
) -> Nearest:
    """Of the items that `condition` stopped the one that came closest, with what it compared."""
    read = _compared(condition)
    fallen = fallen[:_LOOKED_AT_MAX]
    wanted = ListOf(at=0, items=tuple(read))
    try:
        if rule.over is None:
            found = [loop.value(wanted, names)]
        else:
            found = loop.value(_over_items(Macro.MAP, None, wanted), _with_items(names, fallen))
    except EvaluationFailed:  # what stands behind `&&` may have no value for an item
        found = [[] for _ in fallen]
    at = min(range(len(found)), key=lambda n: _distance(condition, found[n]))
    return Nearest(
        subject=_subject(rule, fallen[at], loop, names),
        condition=text,
        facts=tuple(
            (_bare(unparse(node)), _shown(value))
            for node, value in zip(read, found[at], strict=False)
            if not isinstance(node, Const)
        ),
    )


def _compared(condition: Node) -> list[Node]:
    """What the condition compares with what: the sides of each comparison, each once.

    Within a loop only what it goes through can be told: its variable has no value out here.
    """
    found: list[Node] = []
    match condition:
        case Loop(over=over):
            found = [over, *_items_of(condition)]
        case Call(function=name, args=args) if name in _JUDGES:
            found = [arg for arg in args if not isinstance(arg, ListOf)]
            found += [key for arg in args for key in _keys(arg)]
        case Call(function="_&&_" | "_||_" | "!_" | "_?_:_", args=args):
            found = [node for arg in args for node in _compared(arg)]
        case Const():
            found = []
        case _:
            found = [condition]
    return list({unparse(node): node for node in found}.values())


def _keys(side: Node) -> list[Node]:
    """`it.severity` of `rank[it.severity]`: what was looked up says more than what was found."""
    match side:
        case Call(function="_[_]", args=(_, key)) if not isinstance(key, Const):
            return [key]
    return []


def _items_of(loop: Loop) -> list[Node]:
    """`it` or a field of it, where a loop's body compares with the item of the rule."""
    parts = [part for part in (loop.predicate, loop.transform) if part is not None]
    names = {node.name for part in parts for node in walk(part) if isinstance(node, Ident)}
    return [Ident(at=0, name=ITEM)] if ITEM in names else []


def _distance(condition: Node, values: list[Any]) -> tuple[int, int]:
    """How far a comparison of two integers is from turning; without one all are alike."""
    match condition, values:
        case Call(function=name), [int(left), int(right), *_] if name in _ORDER:
            return 0, abs(left - right)
    return 1, 0


def _subject(rule: CompiledRule, item: Any, loop: HostLoop, names: Names) -> str:
    inner = names if rule.over is None else names.with_value(ITEM, item, extent_of(item))
    try:
        found = loop.value(rule.subject, inner)
    except EvaluationFailed:
        return ""
    return found if isinstance(found, str) else ""


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case list():
            return f"{len(value)} item" if len(value) == 1 else f"{len(value)} items"
        case dict():
            return f"{len(value)} field" if len(value) == 1 else f"{len(value)} fields"
        case _:
            text = str(value)
            return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


def _bare(text: str) -> str:
    """Without the parentheses that enclose the whole of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for n, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if depth == 0 and n < len(text) - 1:
            return text
    return text[1:-1]


def _not(condition: Node) -> Node:
    return Call(at=0, function="!_", method=False, args=(condition,))


def _over_items(macro: Macro, predicate: Node | None, transform: Node | None) -> Loop:
    return Loop(
        at=0,
        macro=macro,
        over=Ident(at=0, name=_ITEMS),
        variable=ITEM,
        predicate=predicate,
        transform=transform,
    )


def _with_items(names: Names, items: list[Any]) -> Names:
    return names.with_value(_ITEMS, items, extent_of(items))
