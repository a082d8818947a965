"""Evaluates expressions that are too long for one evaluation, piece by piece, to the same value.

A loop is cut into slices that stay within the engine's budget, and the slices' answers are joined
as the macro would have; every judgement is still made by the engine, through `cel.evaluate`. One
that makes a list is cut short whatever the budget: the engine copies the list for each item that it
adds, so that time and memory grow with the square of its length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from engine.policy.cel import Environment, EvaluationFailed, Program, evaluate
from engine.policy.estimate import (
    NOTHING,
    Extent,
    Scope,
    built,
    extent_of,
    iterations,
    reach,
    sized,
)
from engine.policy.syntax import (
    Call,
    Ident,
    Loop,
    Macro,
    Node,
    Select,
    facets,
    free_names,
    rebuild,
)
from engine.policy.unparse import unparse

# One evaluation may take as long as it needs to fail: nothing is cut, and nothing estimated.
UNLIMITED: Final = 1 << 62

# Estimates are upper bounds, so the engine's own limit of 9,999 is never reached.
ITERATIONS_SAFE: Final = 6_000

# Items of a list that one evaluation makes; fewer cost more in calls, more cost more in copies.
BUILT_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a tree: the names that it needs, the fields of `input` that it reads, and its text."""

    names: frozenset[str]
    facets: frozenset[str] | None
    text: str


class Programs:
    """Compiled expressions by the names they use and their text. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._environments: dict[frozenset[str], Environment] = {}
        self._programs: dict[tuple[frozenset[str], str], Program] = {}
        self._kept: dict[int, tuple[Node, Facts]] = {}

    def keep(self, node: Node) -> None:
        """Work out once what is asked of a tree that lives as long as its policy."""
        # By identity: hashing a tree takes as long as walking it. The node is held, so that its
        # identity stays its own.
        self._kept[id(node)] = node, Facts(free_names(node), facets(node), unparse(node))

    def facts(self, node: Node) -> Facts:
        kept = self._kept.get(id(node))
        if kept is not None and kept[0] is node:
            return kept[1]
        return Facts(free_names(node), facets(node), unparse(node))

    def of(self, node: Node) -> Program:
        return self.program(self.facts(node))

    def program(self, facts: Facts) -> Program:
        names, text = facts.names, facts.text
        with self._lock:
            if (names, text) not in self._programs:
                environment = self._environments.setdefault(names, Environment(names))
                self._programs[names, text] = environment.compile(text)
            return self._programs[names, text]


@dataclass(frozen=True, slots=True)
class Names:
    """Values by name, with their extents worked out when first asked for."""

    values: Mapping[str, Any]
    _extents: dict[str, Extent] = field(default_factory=dict)

    def extents(self) -> Scope:
        for name, value in self.values.items():
            if name not in self._extents:
                self._extents[name] = extent_of(value)
        return self._extents

    def with_value(self, name: str, value: Any, extent: Extent) -> Names:
        """The names and one more, of which `extent` is known to hold."""
        return Names({**self.values, name: value}, {**self.extents(), name: extent})

    def bindings(self, facts: Facts) -> dict[str, Any]:
        """Only what a tree reads: each evaluation hands all of it over to the engine."""
        bound = {name: self.values[name] for name in facts.names if name in self.values}
        if "input" in bound:
            read = facts.facets
            if read is not None:
                whole = bound["input"]  # without a field the engine has no answer, and says so
                bound["input"] = {name: whole[name] for name in read if name in whole}
        return bound


@dataclass(frozen=True, slots=True)
class HostLoop:
    """Attributes:
    limit: estimated steps up to which an expression is evaluated in one go, `UNLIMITED` = always.
    """

    programs: Programs
    limit: int = ITERATIONS_SAFE

    def value(self, node: Node, names: Names) -> Any:
        """The value of `node`. Raises `EvaluationFailed`."""
        if self._fits(node, names):
            return self._at_once(node, names)
        match node:
            case Loop():
                return self._loop(node, names)
            case Call(function="_&&_", args=(left, right)):
                return self._either(left, right, names, decisive=False)
            case Call(function="_||_", args=(left, right)):
                return self._either(left, right, names, decisive=True)
            case Call(function="_?_:_", args=(condition, yes, no)):
                chosen = _truth(self.value(condition, names))
                return self.value(yes if chosen else no, names)
        return self._in_parts(node, names)

    def _fits(self, node: Node, names: Names) -> bool:
        if self.limit >= UNLIMITED:
            return True
        scope = names.extents()
        return iterations(node, scope) <= self.limit and built(node, scope) <= BUILT_MAX

    def _at_once(self, node: Node, names: Names) -> Any:
        facts = self.programs.facts(node)
        return evaluate(self.programs.program(facts), names.bindings(facts))

    def _in_parts(self, node: Node, names: Names) -> Any:
        """Work out the children that are too long, and `node` from their values."""
        scope = names.extents()
        inner = names

        def part(child: Node) -> Node:
            if not iterations(child, scope):
                return child
            nonlocal inner
            name = f"__part_{len(inner.values)}"
            found = self.value(child, names)
            inner = inner.with_value(name, found, sized(reach(child, scope), found))
            return Ident(at=child.at, name=name)

        smaller = rebuild(node, part)
        return self._at_once(smaller, inner)

    def _either(self, left: Node, right: Node, names: Names, *, decisive: bool) -> bool:
        """`&&` and `||`: the decisive value wins over an error on the other side (cel-spec)."""
        return _any_decides(
            [partial(self.value, left, names), partial(self.value, right, names)], decisive
        )

    def _loop(self, loop: Loop, names: Names) -> Any:
        items = _at_hand(loop.over, names.values)
        if items is None:
            items = self.value(loop.over, names)
        if not isinstance(items, list):
            raise EvaluationFailed("no list to go through")
        each = reach(loop.over, names.extents()).item or NOTHING
        slices = self._slices(loop, items, names, each)
        match loop.macro:
            case Macro.ALL:
                return _any_decides(slices, False)
            case Macro.EXISTS:
                return _any_decides(slices, True)
            case Macro.EXISTS_ONE:
                return sum(len(slice_()) for slice_ in slices) == 1
            case Macro.FILTER | Macro.MAP:
                return [item for slice_ in slices for item in slice_()]

    def _slices(
        self, loop: Loop, items: list[Any], names: Names, each: Extent
    ) -> list[Callable[[], Any]]:
        """What gives the answers for a slice after the other; of EXISTS_ONE the items found."""
        name = f"__slice_{len(names.values)}"
        macro = Macro.FILTER if loop.macro is Macro.EXISTS_ONE else loop.macro
        whole = replace(loop, macro=macro, over=Ident(at=loop.at, name=name))
        step = self._step(loop, names, each)
        inner = names.with_value(name, items[:step], Extent(step, each))
        fits = self._fits(whole, inner)
        facts = self.programs.facts(whole)

        def answer(part: list[Any]) -> Any:
            if not fits:
                return self._one_by_one(whole, part, names, each)
            bound = inner.with_value(name, part, Extent(len(part), each)).bindings(facts)
            return evaluate(self.programs.program(facts), bound)

        return [partial(answer, items[n : n + step]) for n in range(0, len(items), step)]

    def _step(self, loop: Loop, names: Names, item: Extent) -> int:
        """How many items a slice may have to stay within the limits; at least one."""
        inner = {**names.extents(), loop.variable: item}
        bodies = (loop.predicate, loop.transform)
        body = sum(iterations(part, inner) for part in bodies if part is not None)
        most = self.limit // (1 + body)
        if loop.macro not in {Macro.ALL, Macro.EXISTS}:
            most = min(most, BUILT_MAX)
        return max(1, most)

    def _one_by_one(self, loop: Loop, items: list[Any], names: Names, each: Extent) -> Any:
        """A loop whose body alone is too long: the body is evaluated for each item in turn."""
        kept: list[Any] = []
        answers: list[Callable[[], Any]] = []
        for item in items:
            inner = names.with_value(loop.variable, item, each)
            predicate, transform = loop.predicate, loop.transform
            if loop.macro in {Macro.ALL, Macro.EXISTS}:
                assert predicate is not None
                answers.append(partial(self.value, predicate, inner))
            elif predicate is None or _truth(self.value(predicate, inner)):
                kept.append(item if transform is None else self.value(transform, inner))
        if loop.macro in {Macro.ALL, Macro.EXISTS}:
            return _any_decides(answers, loop.macro is Macro.EXISTS)
        return kept


def _at_hand(node: Node, values: Mapping[str, Any]) -> Any:
    """What a name or a field of one stands for: the engine would copy it. None = ask the engine."""
    match node:
        case Ident(name=name):
            return values.get(name)
        case Select(operand=operand, field=name, test=False):
            holder = _at_hand(operand, values)
            return holder.get(name) if isinstance(holder, dict) else None
    return None


def _any_decides(answers: list[Callable[[], Any]], decisive: bool) -> bool:
    failed: EvaluationFailed | None = None
    for answer in answers:
        try:
            if _truth(answer()) is decisive:
                return decisive
        except EvaluationFailed as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not decisive


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise EvaluationFailed("no truth value")
    return value
