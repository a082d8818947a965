"""From a policy's texts to what is evaluated: one expression per rule, and one for all of them.

A policy is compiled once and then asked many times, from any thread. One that lint complains
about is never compiled: it would fail at its first evaluation, or answer differently elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.policy.cel import Environment
from engine.policy.hostloop import Programs
from engine.policy.lint import lint, variable_order
from engine.policy.model import BASE_NAMES, ITEM, Policy, Rule
from engine.policy.problems import refuse
from engine.policy.syntax import Call, Const, ListOf, Loop, Macro, Node, free_names


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """Attributes:
    over: None for a rule that is asked once, without an item.
    tree: gives the list of [subject, detail] of everything that the rule fires on.
    uses: names that the tree needs.
    """

    rule: Rule
    over: Node | None
    conditions: tuple[Node, ...]
    subject: Node
    tree: Node
    uses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """Attributes:
    variables: (name, expression) in an order in which each needs only those before it.
    combined: gives the list of every rule's list, in the order of the policy.
    """

    policy: Policy
    variables: tuple[tuple[str, Node], ...]
    rules: tuple[CompiledRule, ...]
    combined: Node
    programs: Programs


def compile_policy(policy: Policy, *, where: str = "policy") -> CompiledPolicy:
    """Compile `policy`.

    Raises:
        Malformed: naming every problem that lint finds.
    """
    refuse(lint(policy), where=where)
    names = [*BASE_NAMES, *(name for name, _ in policy.variables)]
    once, each = Environment(names), Environment([*names, ITEM])
    variables = {name: once.compile(text) for name, text in policy.variables}
    rules = tuple(_rule(rule, once, each) for rule in policy.rules)
    programs = Programs()
    compiled = CompiledPolicy(
        policy=policy,
        variables=tuple((name, variables[name].tree) for name in variable_order(variables)),
        rules=rules,
        combined=ListOf(at=0, items=tuple(rule.tree for rule in rules)),
        programs=programs,
    )
    trees = [tree for _, tree in compiled.variables] + [rule.tree for rule in rules]
    for tree in (compiled.combined, *trees):
        programs.keep(tree)
    return compiled


def _rule(rule: Rule, once: Environment, each: Environment) -> CompiledRule:
    environment = each if rule.over else once
    conditions = tuple(environment.compile(text).tree for text in rule.conditions)
    subject = environment.compile(rule.subject).tree
    pair = ListOf(at=0, items=(subject, environment.compile(rule.detail).tree))
    over = once.compile(rule.over).tree if rule.over else None
    if over is None:
        tree: Node = _choice(_in_order(conditions), ListOf(at=0, items=(pair,)), _empty())
    else:
        tree = Loop(
            at=0,
            macro=Macro.MAP,
            over=over,
            variable=ITEM,
            predicate=_in_order(conditions),
            transform=pair,
        )
    return CompiledRule(
        rule=rule,
        over=over,
        conditions=conditions,
        subject=subject,
        tree=tree,
        uses=free_names(tree),
    )


def _in_order(conditions: tuple[Node, ...]) -> Node:
    """All of them, each asked only when those before it hold.

    `&&` would not do: CEL lets a false on the right hide an error on the left, so that the
    answer would depend on whether the conditions are asked together or one by one.
    """
    *before, last = conditions
    tree = last
    for condition in reversed(before):
        tree = _choice(condition, tree, Const(at=0, kind="bool", value=False))
    return tree


def _choice(condition: Node, yes: Node, no: Node) -> Node:
    return Call(at=0, function="_?_:_", method=False, args=(condition, yes, no))


def _empty() -> Node:
    return ListOf(at=0, items=())
