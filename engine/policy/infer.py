"""Walks an expression, works out its shape and notes everything that could make a verdict differ.

The hazards: maps are gone through in an order that changes from process to process; `size` of a
text counts characters in one engine and bytes in another; floats print differently; regular
expressions, times and time zones are read differently or depend on the machine; so are texts that
are read as numbers. And an error beside `&&`, `||`, `all` or `exists` may be hidden by a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from engine.policy.fallible import may_fail
from engine.policy.shapes import (
    UNKNOWN,
    Fields,
    Items,
    Scalar,
    Shape,
    Unknown,
    Words,
    is_text,
    join,
    join_all,
)
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
_CONVERSIONS: Final = frozenset({"string", "int"})
_FUNCTIONS: Final = {
    "startsWith": Scalar.BOOL,
    "endsWith": Scalar.BOOL,
    "contains": Scalar.BOOL,
}
_EQUALITY: Final = frozenset({"_==_", "_!=_"})
_ORDER: Final = frozenset({"_<_", "_<=_", "_>_", "_>=_"})
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
                row = tuple(self.shape(item, scope) for item in node.items)
                return Items(join_all(row), row)
            case MapOf():
                return self._map(node, scope)
            case Loop():
                return self._loop(node, scope)
            case Call():
                return self._call(node, scope)

    def require(self, node: Node, scope: Mapping[str, Shape], wanted: Scalar | type[Items]) -> None:
        """Note it when `node` is surely not what its place wants."""
        found = self.shape(node, scope)
        if wanted is Items:
            fits = isinstance(found, Items)
        else:
            fits = is_text(found) if wanted is Scalar.TEXT else found == wanted
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
                return Words(frozenset({str(node.value)}))
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
            if node.macro in {Macro.ALL, Macro.EXISTS}:
                self._hidden(node.predicate, inner, node.macro.value)
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
                return self._member(node, scope)
            case "_+_":
                return self._sum(node, scope)
            case name if name in _EQUALITY:
                self._spelled(node.at, *self._alike(node, scope))
                return Scalar.BOOL
            case name if name in _ORDER:
                return self._order(node, scope)
            case name if name in _LOGIC or name in _ARITHMETIC:
                wanted = Scalar.BOOL if name in _LOGIC else Scalar.INT
                for arg in node.args:
                    self.require(arg, scope, wanted)
                    if name in {"_&&_", "_||_"}:
                        self._hidden(arg, scope, name.strip("_"))
                return wanted
            case name if name in _CONVERSIONS:
                return self._convert(node, scope)
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
            allowed = ", ".join(sorted({*_FUNCTIONS, *_CONVERSIONS, "size"}))
            self.note(node.at, "function", f"expected one of {allowed}, found {name}")

    def _size(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        match self.shape(node.args[0], scope):
            case Items():
                pass
            case other if is_text(other):
                self.note(node.at, "text-size", "engines count a text differently; size a list")
            case other:
                self.note(node.at, "text-size", f"expected a list to size, found {other}")
        return Scalar.INT

    def _convert(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        """`string` of integers and texts, `int` of what such a `string` gave: nothing else reads
        alike. One engine takes `int(' 5')` or `string(true)`, another one does not."""
        found = [self.shape(arg, scope) for arg in node.args]
        one = found[0] if len(found) == 1 else UNKNOWN
        if node.function == "string":
            if one == Scalar.INT:
                return Scalar.NUMERAL
            if not is_text(one):
                self.note(node.at, "conversion", f"expected an integer or a text, found {one}")
            return one if is_text(one) else Scalar.TEXT
        if one not in (Scalar.INT, Scalar.NUMERAL):
            self.note(
                node.at,
                "conversion",
                f"expected an integer or string() of one, found {one}; engines read numbers in "
                "a text differently",
            )
        return Scalar.INT

    def _index(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        container, key = node.args
        by = self.shape(key, scope)
        match self.shape(container, scope):
            case Items(row=row) if isinstance(key, Const) and key.kind == "int" and row:
                if 0 <= key.value < len(row):
                    return row[int(key.value)]
                self.note(key.at, "type", f"expected an index below {len(row)}, found {key.value}")
                return UNKNOWN
            case Items(of=item):
                return item
            case Fields(known=known) if isinstance(by, Words):
                gone = sorted(by.values - set(known))
                if gone:
                    names = ", ".join(sorted(known)) or "none"
                    said = ", ".join(map(repr, gone))
                    self.note(key.at, "unknown-field", f"expected one of {names}, found {said}")
                return join_all(known[name] for name in sorted(by.values & set(known)))
            case Fields(known=known):
                return join_all(known.values())
            case Unknown():
                return UNKNOWN
            case other:
                self.note(node.at, "type", f"expected a list or a map, found {other}")
                return UNKNOWN

    def _sum(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        left, right = self._alike(node, scope)
        match left, right:
            case Items(of=one), Items(of=other):
                return Items(join(one, other))
            case _ if is_text(left) and is_text(right):
                return Scalar.TEXT
        return right if isinstance(left, Unknown) else join(left, right)

    def _member(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        item, container = (self.shape(arg, scope) for arg in node.args)
        if isinstance(container, Items):
            self._spelled(node.at, item, container.of)
        return Scalar.BOOL

    def _order(self, node: Call, scope: Mapping[str, Shape]) -> Shape:
        """Only integers among themselves and texts among themselves stand in one total order."""
        left, right = (self.shape(arg, scope) for arg in node.args)
        if not (left == right == Scalar.INT or (is_text(left) and is_text(right))):
            self.note(
                node.at, "order", f"expected two integers or two texts, found {left} and {right}"
            )
        return Scalar.BOOL

    def _alike(self, node: Call, scope: Mapping[str, Shape]) -> tuple[Shape, Shape]:
        """Both sides have to be of one kind; a comparison of two kinds is never true."""
        left, right = (self.shape(arg, scope) for arg in node.args)
        if _kind(left) != _kind(right) and "" not in (_kind(left), _kind(right)):
            self.note(node.at, "type", f"expected two of a kind, found {left} and {right}")
        return left, right

    def _spelled(self, at: int, one: Shape, other: Shape) -> None:
        """A word of a closed list compared with words that are not in it: a slip of the pen."""
        if not (isinstance(one, Words) and isinstance(other, Words)):
            return
        if (one.closed or other.closed) and not one.values & other.values:
            closed, said = (one, other) if one.closed else (other, one)
            expected = ", ".join(sorted(word for word in closed.values if word))
            self.note(
                at, "word", f"expected one of {expected}, found {', '.join(sorted(said.values))}"
            )

    def _hidden(self, part: Node, scope: Mapping[str, Shape], by: str) -> None:
        silent = Inference(lambda at, rule, message: None)
        risk = may_fail(part, scope, silent.shape, silent.item)
        if risk is not None:
            self.note(
                risk.at,
                "hidden-error",
                f"{risk.why}, and {by} could hide that; make it a condition of its own",
            )

    def item(self, loop: Loop, scope: Mapping[str, Shape]) -> Mapping[str, Shape]:
        """The scope within a loop's body."""
        over = self.shape(loop.over, scope)
        return {**scope, loop.variable: over.of if isinstance(over, Items) else UNKNOWN}


def _kind(shape: Shape) -> str:
    """What a comparison tells apart; empty for what can't be known, and for null."""
    match shape:
        case Unknown() | Scalar.NULL:
            return ""
        case _ if is_text(shape):
            return "text"
        case Items():
            return "list"
        case Fields():
            return "map"
        case _:
            return str(shape)
