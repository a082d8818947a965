"""Whether an expression may have no answer on a document that fits its schema.

CEL lets a value hide an error: `true || broken` is true, and in one engine `exists` finds an item
although the one before it was broken, in another one it does not. So whatever stands where an
error could be hidden must not be able to fail; everywhere else a failure is a FAIL, and welcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from engine.policy.shapes import Fields, Items, Scalar, Shape, Unknown, Words
from engine.policy.syntax import Call, Const, Ident, Loop, Node, Select, children

# Integers of a document have 53 bits at most, those of the engines 63 and a sign.
_BITS_OF_DOCUMENT: Final = 53
_BITS_MAX: Final = 63
_BITS_OF_SIZE: Final = 32

Scope: TypeAlias = Mapping[str, Shape]
ShapeOf: TypeAlias = Callable[[Node, Scope], Shape]
Inner: TypeAlias = Callable[[Loop, Scope], Scope]


@dataclass(frozen=True, slots=True)
class Risk:
    """`at`: offset in the text; `why`: what could go wrong there."""

    at: int
    why: str


def may_fail(node: Node, scope: Scope, shape_of: ShapeOf, inner: Inner) -> Risk | None:
    """The first part of `node` that may have no answer; None when it always has one.

    Args:
        shape_of: the shape of an expression in a scope.
        inner: the scope within a loop's body.
    """

    def below(part: Node, within: Scope) -> Risk | None:
        return may_fail(part, within, shape_of, inner)

    if isinstance(node, Loop):
        body = inner(node, scope)
        parts = [p for p in (node.predicate, node.transform) if p is not None]
        risks = [below(node.over, scope), *(below(part, body) for part in parts)]
    else:
        risks = [below(child, scope) for child in children(node)]
    found = next((risk for risk in risks if risk is not None), None)
    if found is not None:
        return found
    why = _why(node, scope, shape_of)
    return None if why is None else Risk(node.at, why)


def _why(node: Node, scope: Scope, shape_of: ShapeOf) -> str | None:
    """What `node` itself adds to the risks of its parts."""
    match node:
        case Select(operand=operand, field=name):
            known = shape_of(operand, scope)
            fits = isinstance(known, Fields) and name in known.known
            return None if fits else f"field {name!r} may be missing"
        case Loop(over=over):
            known = shape_of(over, scope)
            return None if isinstance(known, Items) else "what is gone through may be no list"
        case Call(function="_[_]"):
            return _why_no_item(node, scope, shape_of)
        case Call(function="_/_" | "_%_", args=(_, by)):
            safe = isinstance(by, Const) and by.kind == "int" and by.value not in (0, -1)
            return None if safe else "the divisor may be 0"
        case Call(args=args) if any(isinstance(shape_of(a, scope), Unknown) for a in args):
            # Membership and equality take values of any kind; nothing else does.
            fine = node.function in {"_==_", "_!=_"} or (
                node.function == "@in" and not isinstance(shape_of(args[1], scope), Unknown)
            )
            return None if fine else "a value may be of another kind"
        case Call() if _bits(node, scope, shape_of) > _BITS_MAX:
            return "the number may be too large"
    return None


def _why_no_item(node: Call, scope: Scope, shape_of: ShapeOf) -> str | None:
    container, key = node.args
    by = shape_of(key, scope)
    match shape_of(container, scope):
        case Items(row=row):
            safe = isinstance(key, Const) and key.kind == "int" and 0 <= key.value < len(row)
            return None if safe else "the list may be shorter"
        case Fields(known=known):
            safe = isinstance(by, Words) and by.values <= set(known)
            return None if safe else "the key may be missing"
    return "there may be no such item"


def _bits(node: Node, scope: Scope, shape_of: ShapeOf) -> int:
    """Upper bound of the bits of an integer's value; 0 for what is none."""
    match node:
        case Const(kind="int", value=value):
            return int(value).bit_length()
        case Call(function="_+_" | "_-_", args=(left, right)):
            return 1 + max(_bits(left, scope, shape_of), _bits(right, scope, shape_of))
        case Call(function="_*_", args=(left, right)):
            return _bits(left, scope, shape_of) + _bits(right, scope, shape_of)
        case Call(function="-_", args=(value,)):
            return _bits(value, scope, shape_of)
        case Call(function="_/_" | "_%_", args=(left, _)):
            return _bits(left, scope, shape_of)
        case Call(function="_?_:_", args=(_, left, right)):
            return max(_bits(left, scope, shape_of), _bits(right, scope, shape_of))
        case Call(function="size"):
            return _BITS_OF_SIZE
        case Call(function="int"):
            return _BITS_MAX
        case Ident() | Select() | Call(function="_[_]"):
            return _BITS_OF_DOCUMENT if shape_of(node, scope) is Scalar.INT else 0
    return 0
