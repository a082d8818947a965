"""Says everything that is wrong with a policy's expressions before it is ever evaluated.

A policy with a problem is never compiled into a gate: what lint refuses would either fail at the
first evaluation or give another verdict on another day, in another process or another engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.policy.cel import CompileFailed, Environment, Program
from engine.policy.document import input_schema
from engine.policy.identity import ENGINE, requirement
from engine.policy.infer import Inference
from engine.policy.model import BASE_NAMES, ITEM, SEVERITY_RANK, Policy
from engine.policy.problems import Problem, pointer
from engine.policy.shapes import (
    UNKNOWN,
    Fields,
    Items,
    Scalar,
    Shape,
    shape_of_schema,
    shape_of_value,
)
from engine.policy.syntax import UnreadableTree, free_names

INPUT_SHAPE: Final = shape_of_schema(input_schema())


@dataclass(slots=True)
class _Linter:
    policy: Policy
    problems: list[Problem] = field(default_factory=list)

    def compile(self, environment: Environment, text: str, where: str) -> Program | None:
        try:
            program = environment.compile(text)
            _ = program.tree
        except CompileFailed as failure:
            for line, column, message in failure.problems:
                rule = "undeclared-name" if "undeclared reference" in message else "syntax"
                self.add(where, rule, f"line {line}, column {column}: {message}")
            return None
        except UnreadableTree as error:
            self.add(where, "function", f"expected a known construct, found {error}")
            return None
        return program

    def add(self, where: str, rule: str, message: str) -> None:
        self.problems.append(Problem(where=where, rule=rule, message=message))

    def inference(self, program: Program, where: str) -> Inference:
        def note(at: int, rule: str, message: str) -> None:
            before = program.text[:at]
            line = before.count("\n") + 1
            column = at - (before.rfind("\n") + 1) + 1
            self.add(where, rule, f"line {line}, column {column}: {message}")

        return Inference(note)


def lint(policy: Policy) -> tuple[Problem, ...]:
    """Every problem of the policy's expressions, sorted by place; empty when it is sound."""
    linter = _Linter(policy)
    if policy.requires != requirement(ENGINE):
        linter.add(
            pointer("engine", "require"),
            "engine",
            f"expected {requirement(ENGINE)!r}, which is installed, found {policy.requires!r}",
        )
    scope: dict[str, Shape] = {
        "input": INPUT_SHAPE,
        "config": shape_of_value(policy.config),
        "now": Scalar.INT,
        "rank": Fields(dict.fromkeys(SEVERITY_RANK, Scalar.INT)),
    }
    names = [*BASE_NAMES, *(name for name, _ in policy.variables)]
    _lint_variables(linter, Environment(names), scope)
    once, each = Environment(names), Environment([*names, ITEM])
    for n in range(len(policy.rules)):
        _lint_rule(linter, n, once, each, scope)
    return tuple(sorted(set(linter.problems)))


def _lint_variables(linter: _Linter, environment: Environment, scope: dict[str, Shape]) -> None:
    programs = {
        name: linter.compile(environment, text, pointer("variables", name))
        for name, text in linter.policy.variables
    }
    sound = {name: program for name, program in programs.items() if program is not None}
    order = variable_order(sound)
    for name in programs:
        scope[name] = UNKNOWN
        if name in sound and name not in order:
            linter.add(
                pointer("variables", name),
                "circle",
                f"expected variables that do not need each other in a circle, found {name!r}",
            )
    # The shapes are worked out first and noted down together: a later variable must not be seen
    # as a shadowed name of an earlier one's loop.
    for name in order:
        program = sound[name]
        scope[name] = linter.inference(program, pointer("variables", name)).shape(
            program.tree, scope
        )


def variable_order(programs: Mapping[str, Program]) -> Sequence[str]:
    """The names in an order in which each needs only those before it; without those in a circle."""
    order: list[str] = []
    waiting = dict(sorted(programs.items()))
    while waiting:
        ready = [
            name for name, program in waiting.items() if not free_names(program.tree) & set(waiting)
        ]
        if not ready:
            break
        order += ready
        for name in ready:
            del waiting[name]
    return order


def _lint_rule(
    linter: _Linter, n: int, once: Environment, each: Environment, scope: Mapping[str, Shape]
) -> None:
    rule = linter.policy.rules[n]
    environment, inner = once, dict(scope)
    if rule.over:
        environment = each
        where = pointer("rules", n, "over")
        program = linter.compile(once, rule.over, where)
        shape: Shape = UNKNOWN
        if program is not None:
            inference = linter.inference(program, where)
            inference.require(program.tree, scope, Items)
            shape = linter_shape(program, scope)
        inner[ITEM] = shape.of if isinstance(shape, Items) else UNKNOWN
    parts = [
        *((pointer("rules", n, "all", i), text) for i, text in enumerate(rule.conditions)),
        (pointer("rules", n, "subject"), rule.subject),
        (pointer("rules", n, "detail"), rule.detail),
    ]
    for i, (where, text) in enumerate(parts):
        program = linter.compile(environment, text, where)
        if program is not None:
            wanted = Scalar.BOOL if i < len(rule.conditions) else Scalar.TEXT
            linter.inference(program, where).require(program.tree, inner, wanted)


def linter_shape(program: Program, scope: Mapping[str, Shape]) -> Shape:
    """The shape alone; what is wrong with the expression was noted already."""
    return Inference(lambda at, rule, message: None).shape(program.tree, scope)
