"""Writes a syntax tree as CEL text that compiles to the same tree again."""

from __future__ import annotations

import json
from typing import Final

from engine.policy.syntax import (
    Call,
    Const,
    Ident,
    ListOf,
    Loop,
    MapOf,
    Node,
    Select,
    UnreadableTree,
)

_INFIX: Final = {
    "_&&_": "&&",
    "_||_": "||",
    "_==_": "==",
    "_!=_": "!=",
    "_<_": "<",
    "_<=_": "<=",
    "_>_": ">",
    "_>=_": ">=",
    "_+_": "+",
    "_-_": "-",
    "_*_": "*",
    "_/_": "/",
    "_%_": "%",
    "@in": "in",
}
_PREFIX: Final = {"!_": "!", "-_": "-"}

OPERATORS: Final = frozenset({*_INFIX, *_PREFIX, "_?_:_", "_[_]"})


def unparse(node: Node) -> str:
    """CEL text that compiles to `node` again; every operator in parentheses."""
    match node:
        case Const():
            return _literal(node)
        case Ident():
            return node.name
        case Select():
            text = f"{unparse(node.operand)}.{node.field}"
            return f"has({text})" if node.test else text
        case Call():
            return _call(node)
        case ListOf():
            return "[" + ", ".join(map(unparse, node.items)) + "]"
        case MapOf():
            pairs = (f"{unparse(key)}: {unparse(value)}" for key, value in node.entries)
            return "{" + ", ".join(pairs) + "}"
        case Loop():
            parts = (node.predicate, node.transform)
            body = ", ".join(unparse(part) for part in parts if part is not None)
            return f"{unparse(node.over)}.{node.macro}({node.variable}, {body})"


def _call(node: Call) -> str:
    args = [unparse(arg) for arg in node.args]
    match node.function:
        case "_?_:_":
            return f"({args[0]} ? {args[1]} : {args[2]})"
        case "_[_]":
            return f"{args[0]}[{args[1]}]"
        case infix if infix in _INFIX:
            return f"({args[0]} {_INFIX[infix]} {args[1]})"
        case prefix if prefix in _PREFIX:
            return f"({_PREFIX[prefix]}{args[0]})"
        case name if node.method:
            return f"{args[0]}.{name}({', '.join(args[1:])})"
        case name:
            return f"{name}({', '.join(args)})"


def _literal(node: Const) -> str:
    match node.kind:
        case "null":
            return "null"
        case "bool":
            return "true" if node.value else "false"
        case "int":
            return str(node.value) if node.value >= 0 else f"({node.value})"
        case "string":
            # The escapes of JSON are a part of those of CEL.
            return json.dumps(node.value, ensure_ascii=False)
        case other:
            raise UnreadableTree(f"a literal of kind {other}")
