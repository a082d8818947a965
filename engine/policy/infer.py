"""Walks an expression, works out its shape and notes everything that could make a verdict differ.

The hazards: maps are gone through in an order that changes from process to process; `size` of a
text counts characters in one engine and bytes in another; floats print differently; regular
expressions, times and time zones are read differently or depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.policy.shapes import UNKNOWN, Fields, Items, Scalar, Shape, Unknown, join, join_all
from engine.policy.syntax import (
    Call,
    Const,
    Ident,
    ListOf,
    Loop,
    Macro,
    MapOf,
    Node,
    Select,
)
from engine.policy.unparse import OPERATORS

# Why a function is not allowed: (rule, reason). What is neither here nor used below is refused too.
_REFUSED: Final = {
    "double": ("float", "floats print differently in different engines; use integers"),
    "uint": ("float", "unsigned integers are not JSON; use int"),
    "bytes": ("text-size", "bytes are not JSON; use text"),
    "timestamp": ("time", "times depend on the engine; use seconds since the epoch"),
    "duration": ("time", "durations depend on the engine; use seconds"),
    "matches": ("regex", "regular expressions differ between engines; use contains, startsWith"),
}
_FUNCTIONS: Final = {
    "string": Scalar.TEXT,
    "int": Scalar.INT,
    "startsWith": Scalar.BOOL,
    "endsWith": Scalar.BOOL,
    "contains": Scalar.BOOL,
}
_COMPARISONS: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_ARITHMETIC: Final = frozenset({"_-_", "_*_", "_/_", "_%_", "-_"})
_LOGIC: Final = frozenset({"_&&_", "_||_", "!_"})

Note = Callable[[int, str, str], None]


@dataclass(frozen=True, slots=True)
class Inference:
    """Attributes:
    note: called with (offset in the text, rule, sentence) for each thing that is wrong.
    """

    note: Note

    def shape(self, node: Node, scope: Mapping[str, Shape]) -> Shape:
        """The shape of `node`. `scope`: the shapes of the names that it may use."""
        match node:
            case Const():
                return self._constant(node)
            case Ident():
                return scope.get(node.name, UNKNOWN)
            case Select():
                return self._select(node, scope)
            case ListOf():
                return Items(join_all(self.shape(item, scope) for item in node.items))
            case MapOf():
                return self._map(node, scope)
            case Loop():
                return self._loop(node, scope)
            case Call():
                return self._call(node, scope)

    def require(self, node: Node, scope: Mapping[str, Shape], wanted: Scalar | type[Items]) -> None:
        """Note it when `node` is surely not what its place wants."""
        found = self.shape(node, scope)
        fits = isinstance(found, Items) if wanted is Items else found == wanted
        if not fits and not isinstance(found, Unknown):
            expected = "a list" if wanted is Items else str(wanted)
            self.note(node.at, "type", f"expected {expected}, found {found}")

    def _constant(self, node: Const) -> Shape:
        match node.kind:
            case "null":
                return Scalar.NULL
            case "bool":
                return Scalar.BOOL
            case "int":
                return Scalar.INT
            case "string":
                return Scalar.TEXT
            case kind:
                self.note(node.at, "float", f"expected integers and texts only, found a {kind}")
                return UNKNOWN

    def _select(self, node: Select, scope: Mapping[str, Shape]) -> Shape:
        operand = self.shape(node.operand, scope)
        found = self._field(node, operand)
        return Scalar.BOOL if node.test else found

    def _field(self, node: Select, operand: Shape) -> Shape:
        match operand:
            case Unknown():
                return UNKNOWN
            case Fields(known=known) if node.field in known:
                return known[node.field]
            case Fields(known=known):
                names = ", ".join(sorted(known)) or "none"
                self.note(
                    node.at, "unknown-field", f"expected one of {names}, found {node.field!r}"
                )
            case other:
                self.note(node.at, "type", f"expected a map with {node.field!r}, found {other}")
        return UNKNOWN

    def _map(self, node: MapOf, scope: Mapping[str, Shape]) -> Shape:
        known: dict[str, Shape] = {}
        named = True
        for key, value in node.entries:
            found = self.shape(value, scope)
            if isinstance(key, Const) and key.kind == "string":
                known[str(key.value)] = found
            else:
                self.shape(key, scope)
                named = False
        return Fields(known) if named else UNKNOWN

    def _loop(self, node: Loop, scope: Mapping[str, Shape]) -> Shape:
        over = self.shape(node.over, scope)
        if node.variable in scope:
            self.note(
                node.at,
                "shadowed-name",
                f"expected a new name, found {node.variable!r}, which means something already",
            )
        item: Shape = UNKNOWN
        match over:
            case Items(of=item):
                pass
            case Fields():
                self.note(
                    node.at, "map-order", "expected a list, found a map, which has no fixed order"
                )
            case Unknown():
                self.note(
                    node.at,
                    "map-order",
                    "expected a list, found a value that may be a map, which has no fixed order",
                )
            case other:
                self.note(node.at, "type", f"expected a list, found {other}")
        inner = {**scope, node.variable: item}
        if node.predicate is not None:
            self.require(node.predicate, inner, Scalar.BOOL)
        if node.macro is Macro.FILTER:
            return Items(item)
        if node.transform is not None:
            return Items(self.shape(node.transform, inner))
        return Scalar.BOOL

    def _call(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        match node.function:
            case "size":
                return self._size(node, scope)
            case "_?_:_":
                self.require(node.args[0], scope, Scalar.BOOL)
                return join(self.shape(node.args[1], scope), self.shape(node.args[2], scope))
            case "_[_]":
                return self._index(node, scope)
            case "@in":
                for arg in node.args:
                    self.shape(arg, scope)
                return Scalar.BOOL
            case "_+_":
                return self._alike(node, scope)
            case name if name in _COMPARISONS:
                self._alike(node, scope)
                return Scalar.BOOL
            case name if name in _LOGIC or name in _ARITHMETIC:
                wanted = Scalar.BOOL if name in _LOGIC else Scalar.INT
                for arg in node.args:
                    self.require(arg, scope, wanted)
                return wanted
            case name if name in _FUNCTIONS:
                for arg in node.args:
                    self.shape(arg, scope)
                return _FUNCTIONS[name]
            case name:
                self._refused(node, name)
                for arg in node.args:
                    self.shape(arg, scope)
                return UNKNOWN

    def _refused(self, node: Call, name: str) -> None:
        assert name not in OPERATORS, name
        if name in _REFUSED:
            self.note(node.at, *_REFUSED[name])
        elif name.startswith("get"):
            self.note(node.at, "time", "times and time zones depend on the machine; use seconds")
        else:
            allowed = ", ".join(sorted({*_FUNCTIONS, "size"}))
            self.note(node.at, "function", f"expected one of {allowed}, found {name}")

    def _size(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        match self.shape(node.args[0], scope):
            case Items():
                pass
            case Scalar.TEXT:
                self.note(node.at, "text-size", "engines count a text differently; size a list")
            case other:
                self.note(node.at, "text-size", f"expected a list to size, found {other}")
        return Scalar.INT

    def _index(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        container, key = node.args
        self.shape(key, scope)
        match self.shape(container, scope):
            case Items(of=item):
                return item
            case Fields(known=known):
                if isinstance(key, Const) and key.kind == "string":
                    text = str(key.value)
                    if text in known:
                        return known[text]
                    names = ", ".join(sorted(known)) or "none"
                    self.note(key.at, "unknown-field", f"expected one of {names}, found {text!r}")
                    return UNKNOWN
                return join_all(known.values())
            case Unknown():
                return UNKNOWN
            case other:
                self.note(node.at, "type", f"expected a list or a map, found {other}")
                return UNKNOWN

    def _alike(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        """Both sides have to be of one kind; a comparison of two kinds is never true."""
        left, right = (self.shape(arg, scope) for arg in node.args)
        scalars = isinstance(left, Scalar) and isinstance(right, Scalar)
        if scalars and left != right and Scalar.NULL not in (left, right):
            self.note(node.at, "type", f"expected two of a kind, found {left} and {right}")
        return right if isinstance(left, Unknown) else join(left, right)
