"""How many comprehension steps an expression may take on a given input, before it is evaluated.

The engine stops at a fixed budget, so the form of evaluation is chosen by this figure. It is an
upper bound from the lengths of the lists at hand; a condition that ends a loop early is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.policy.syntax import Call, Const, Ident, ListOf, Loop, Macro, Node, Select, children


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a value can be.

    Attributes:
        length: items of a list; 0 for anything else.
        item: the largest of the items' extents, place by place.
        fields: of an object; a field that holds no list anywhere is left out.
    """

    length: int = 0
    item: Extent | None = None
    fields: Mapping[str, Extent] = field(default_factory=dict)


NOTHING: Final = Extent()
_LEAVES: Final = frozenset({str, int, bool, type(None)})


def extent_of(value: Any) -> Extent:
    return _extent((value,))


def _extent(values: Iterable[Any]) -> Extent:
    """An extent that holds each of the values, found by going through them level by level."""
    length, items, lists = 0, list[Any](), False
    columns: dict[str, list[Any]] = {}
    for value in values:
        if isinstance(value, list | tuple):
            lists, length = True, max(length, len(value))
            items += [item for item in value if type(item) not in _LEAVES]
        elif isinstance(value, dict | Mapping):  # most are dicts, and those are told faster
            for name, item in value.items():
                if type(item) not in _LEAVES:
                    columns.setdefault(name, []).append(item)
    inner = ((name, _extent(column)) for name, column in columns.items())
    fields = {name: extent for name, extent in inner if extent is not NOTHING}
    if lists:
        return Extent(length, _extent(items), fields)
    return Extent(fields=fields) if fields else NOTHING


def sized(bound: Extent, value: Any) -> Extent:
    """`bound` of a value that is now at hand: its length is known exactly."""
    return Extent(len(value), bound.item, bound.fields) if isinstance(value, list) else bound


def largest(extents: Iterable[Extent]) -> Extent:
    """An extent that holds each of them."""
    found = list({id(extent): extent for extent in extents if extent is not NOTHING}.values())
    if len(found) < 2:
        return found[0] if found else NOTHING
    names = sorted({name for extent in found for name in extent.fields})
    items = [extent.item for extent in found if extent.item is not None]
    return Extent(
        length=max(extent.length for extent in found),
        item=largest(items) if items else None,
        fields={
            name: largest(extent.fields[name] for extent in found if name in extent.fields)
            for name in names
        },
    )


Scope = Mapping[str, Extent]


def reach(node: Node, scope: Scope) -> Extent:
    """The extent of what `node` gives, given those of the names that it uses."""
    match node:
        case Ident(name=name):
            return scope.get(name, NOTHING)
        case Select(operand=operand, field=name):
            return reach(operand, scope).fields.get(name, NOTHING)
        case ListOf(items=items):
            return Extent(len(items), largest(reach(item, scope) for item in items))
        case Loop(macro=Macro.FILTER, over=over):
            return reach(over, scope)
        case Loop(macro=Macro.MAP, over=over, transform=transform) if transform is not None:
            source = reach(over, scope)
            return Extent(source.length, reach(transform, _inner(node, source, scope)))
        case Call(function="_+_", args=(left, right)):
            one, other = reach(left, scope), reach(right, scope)
            return Extent(one.length + other.length, largest(_items(one, other)))
        case Call(function="_?_:_", args=(_, left, right)):
            return largest((reach(left, scope), reach(right, scope)))
        case Call(function="_[_]", args=(container, key)):
            return _indexed(reach(container, scope), key)
        case _:
            return NOTHING


def iterations(node: Node, scope: Scope) -> int:
    """Upper bound of the comprehension steps of one evaluation of `node`."""
    if not isinstance(node, Loop):
        return sum(iterations(child, scope) for child in children(node))
    source = reach(node.over, scope)
    inner = _inner(node, source, scope)
    body = sum(
        iterations(part, inner) for part in (node.predicate, node.transform) if part is not None
    )
    return iterations(node.over, scope) + source.length * (1 + body)


def built(node: Node, scope: Scope) -> int:
    """Upper bound of the items that a comprehension of `node` puts one by one into a list."""
    if not isinstance(node, Loop):
        return max((built(child, scope) for child in children(node)), default=0)
    source = reach(node.over, scope)
    inner = _inner(node, source, scope)
    bodies = (part for part in (node.predicate, node.transform) if part is not None)
    own = source.length if node.macro in {Macro.FILTER, Macro.MAP} else 0
    return max(own, built(node.over, scope), *(built(part, inner) for part in bodies))


def _inner(loop: Loop, source: Extent, scope: Scope) -> Scope:
    return {**scope, loop.variable: source.item or NOTHING}


def _items(*extents: Extent) -> list[Extent]:
    return [extent.item for extent in extents if extent.item is not None]


def _indexed(container: Extent, key: Node) -> Extent:
    if container.item is not None:
        return container.item
    if isinstance(key, Const) and key.kind == "string":
        return container.fields.get(str(key.value), NOTHING)
    return largest(container.fields.values())
