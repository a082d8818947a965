"""The syntax tree of an expression: its nodes and the ways to walk them. No judgement here.

How a tree comes out of the engine is in `engine.policy.tree`, how it becomes text again in
`engine.policy.unparse`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias


class Macro(StrEnum):
    ALL = "all"
    EXISTS = "exists"
    EXISTS_ONE = "exists_one"
    FILTER = "filter"
    MAP = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Const:
    """`kind` is null, bool, int, uint, double, string, bytes or another that CEL knows."""

    at: int
    kind: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ident:
    at: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """`operand.field`; with `test` the macro `has(operand.field)`."""

    at: int
    operand: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An operator such as `_+_` or a function; a method's receiver is the first argument."""

    at: int
    function: str
    method: bool
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    at: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    at: int
    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A comprehension, read back as the macro that it was written as.

    Attributes:
        over: what is gone through.
        variable: the name of an item in `predicate` and `transform`.
        predicate: None only in a `map` of two arguments.
        transform: None except in `map`.
    """

    at: int
    macro: Macro
    over: Node
    variable: str
    predicate: Node | None
    transform: Node | None


Node: TypeAlias = Const | Ident | Select | Call | ListOf | MapOf | Loop


class UnreadableTree(Exception):
    """The engine gave a tree that this file does not know: another engine version."""


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Const() | Ident():
            return ()
        case Select():
            return (node.operand,)
        case Call():
            return node.args
        case ListOf():
            return node.items
        case MapOf():
            return tuple(part for entry in node.entries for part in entry)
        case Loop():
            parts = (node.over, node.predicate, node.transform)
            return tuple(part for part in parts if part is not None)


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def free_names(node: Node) -> frozenset[str]:
    """The names that `node` uses without binding them itself."""
    match node:
        case Ident():
            return frozenset({node.name})
        case Loop():
            inner = frozenset[str]().union(
                *(free_names(part) for part in (node.predicate, node.transform) if part is not None)
            )
            return free_names(node.over) | (inner - {node.variable})
        case _:
            return frozenset[str]().union(*map(free_names, children(node)))


def facets(node: Node) -> frozenset[str] | None:
    """The fields of `input` that `node` reads; None when it uses `input` as a whole."""
    if isinstance(node, Select) and isinstance(node.operand, Ident):
        if node.operand.name == "input":
            return frozenset({node.field})
        return frozenset()
    if isinstance(node, Ident):
        return None if node.name == "input" else frozenset()
    below = [facets(child) for child in children(node)]
    if None in below:
        return None
    return frozenset[str]().union(*(part for part in below if part is not None))


def rebuild(node: Node, change: Callable[[Node], Node]) -> Node:
    """`node` with `change` applied to each direct child that is always evaluated.

    The branches of `&&`, `||` and `?:` and the body of a loop are left as they are: what stands
    there may never be evaluated, and must not fail in advance.
    """
    match node:
        case Const() | Ident():
            return node
        case Select():
            return replace(node, operand=change(node.operand))
        case Call(function="_&&_" | "_||_"):
            return node
        case Call(function="_?_:_", args=(condition, *branches)):
            return replace(node, args=(change(condition), *branches))
        case Call():
            return replace(node, args=tuple(map(change, node.args)))
        case ListOf():
            return replace(node, items=tuple(map(change, node.items)))
        case MapOf():
            return replace(
                node, entries=tuple((change(key), change(value)) for key, value in node.entries)
            )
        case Loop():
            return replace(node, over=change(node.over))
