"""Reads the syntax tree of a compiled expression.

The tree is the engine's own: it is read from the bytes that cel-cpp serializes (`CheckedExpr` of
cel-spec, syntax.proto and checked.proto), so that lint and estimates never disagree with what is
evaluated. Comprehensions come back as the macros that people wrote.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import (  # type: ignore[import-untyped]
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    message_factory,
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
    UnreadableTree,
)

# descriptor.proto: TYPE_MESSAGE, TYPE_INT64, TYPE_STRING
_MESSAGE, _I64, _TEXT = 11, 3, 9

# Of each message that is read here: (field, number, type, message type, repeated).
_FIELDS: Final[dict[str, list[tuple[str, int, int, str, bool]]]] = {
    "Constant": [
        ("null_value", 1, _I64, "", False),
        ("bool_value", 2, 8, "", False),
        ("int64_value", 3, _I64, "", False),
        ("uint64_value", 4, 4, "", False),
        ("double_value", 5, 1, "", False),
        ("string_value", 6, _TEXT, "", False),
        ("bytes_value", 7, 12, "", False),
    ],
    "Ident": [("name", 1, _TEXT, "", False)],
    "Select": [
        ("operand", 1, _MESSAGE, "Expr", False),
        ("field", 2, _TEXT, "", False),
        ("test_only", 3, 8, "", False),
    ],
    "Call": [
        ("target", 1, _MESSAGE, "Expr", False),
        ("function", 2, _TEXT, "", False),
        ("args", 3, _MESSAGE, "Expr", True),
    ],
    "CreateList": [("elements", 1, _MESSAGE, "Expr", True)],
    "Entry": [
        ("field_key", 2, _TEXT, "", False),
        ("map_key", 3, _MESSAGE, "Expr", False),
        ("value", 4, _MESSAGE, "Expr", False),
    ],
    "CreateStruct": [
        ("message_name", 1, _TEXT, "", False),
        ("entries", 2, _MESSAGE, "Entry", True),
    ],
    "Comprehension": [
        ("iter_var", 1, _TEXT, "", False),
        ("iter_range", 2, _MESSAGE, "Expr", False),
        ("accu_var", 3, _TEXT, "", False),
        ("accu_init", 4, _MESSAGE, "Expr", False),
        ("loop_condition", 5, _MESSAGE, "Expr", False),
        ("loop_step", 6, _MESSAGE, "Expr", False),
        ("result", 7, _MESSAGE, "Expr", False),
        ("iter_var2", 8, _TEXT, "", False),
    ],
    "Position": [("key", 1, _I64, "", False), ("value", 2, 5, "", False)],
    "SourceInfo": [("positions", 4, _MESSAGE, "Position", True)],
    "CheckedExpr": [
        ("expr", 4, _MESSAGE, "Expr", False),
        ("source_info", 5, _MESSAGE, "SourceInfo", False),
    ],
}


def _checked_expr() -> type[Any]:
    """The message class for `CheckedExpr`, with the fields that are read here."""
    file = descriptor_pb2.FileDescriptorProto(
        name="releaseline/cel_tree.proto", package="releaseline.cel", syntax="proto3"
    )
    for name, fields in _FIELDS.items():
        _declare(file.message_type.add(name=name), fields, oneof="")
    kinds = ("const", "ident", "select", "call", "list", "struct", "comprehension")
    types = ("Constant", "Ident", "Select", "Call", "CreateList", "CreateStruct", "Comprehension")
    expr = file.message_type.add(name="Expr")
    _declare(expr, [("id", 2, _I64, "", False)], oneof="")
    _declare(
        expr,
        [
            (kind, number, _MESSAGE, type_, False)
            for number, (kind, type_) in enumerate(zip(kinds, types, strict=True), start=3)
        ],
        oneof="kind",
    )
    constant = next(m for m in file.message_type if m.name == "Constant")
    constant.oneof_decl.add(name="kind")
    for field in constant.field:
        field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Any] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("releaseline.cel.CheckedExpr")
    )
    return found


def _declare(message: Any, fields: list[tuple[str, int, int, str, bool]], *, oneof: str) -> None:
    if oneof:
        message.oneof_decl.add(name=oneof)
    for name, number, kind, type_name, repeated in fields:
        field = message.field.add(name=name, number=number, type=kind, label=3 if repeated else 1)
        if type_name:
            field.type_name = f".releaseline.cel.{type_name}"
        if oneof:
            field.oneof_index = 0


_CHECKED_EXPR: Final = _checked_expr()


def read_tree(serialized: bytes) -> Node:
    """The tree of a serialized expression. `at` are offsets in its text, 0 where unknown.

    Raises:
        UnreadableTree: the bytes hold something that this file does not know.
    """
    checked = _CHECKED_EXPR()
    checked.ParseFromString(any_pb2.Any.FromString(serialized).value)
    at = {position.key: position.value for position in checked.source_info.positions}
    return _node(checked.expr, at)


def _node(expr: Any, at: dict[int, int]) -> Node:
    here = at.get(expr.id, 0)
    match expr.WhichOneof("kind"):
        case "const":
            kind = expr.const.WhichOneof("kind") or "unknown"
            value = None if kind == "null_value" else getattr(expr.const, kind, None)
            return Const(at=here, kind=_constant_kind(kind), value=value)
        case "ident":
            return Ident(at=here, name=expr.ident.name)
        case "select":
            part = expr.select
            return Select(
                at=here,
                operand=_node(part.operand, at),
                field=part.field,
                test=part.test_only,
            )
        case "call":
            call = expr.call
            method = call.HasField("target")
            receiver = (_node(call.target, at),) if method else ()
            return Call(
                at=here,
                function=call.function,
                method=method,
                args=receiver + tuple(_node(arg, at) for arg in call.args),
            )
        case "list":
            return ListOf(at=here, items=tuple(_node(item, at) for item in expr.list.elements))
        case "struct" if not expr.struct.message_name:
            return MapOf(
                at=here,
                entries=tuple(
                    (_node(entry.map_key, at), _node(entry.value, at))
                    for entry in expr.struct.entries
                ),
            )
        case "comprehension":
            return _loop(expr.comprehension, here, at)
        case other:
            raise UnreadableTree(f"unknown kind of expression {other!r}")


def _constant_kind(field: str) -> str:
    return field.removesuffix("_value").removesuffix("64")


def _loop(fold: Any, here: int, at: dict[int, int]) -> Loop:
    """Recognise the fold that cel-cpp makes of a macro (cel-spec, "Macros")."""
    if fold.iter_var2:
        raise UnreadableTree("a comprehension over keys and values")
    step, init = _node(fold.loop_step, at), _node(fold.accu_init, at)
    result = _node(fold.result, at)

    def loop(macro: Macro, predicate: Node | None, transform: Node | None = None) -> Loop:
        return Loop(
            at=here,
            macro=macro,
            over=_node(fold.iter_range, at),
            variable=fold.iter_var,
            predicate=predicate,
            transform=transform,
        )

    def is_accu(node: Node) -> bool:
        return isinstance(node, Ident) and node.name == fold.accu_var

    def added(node: Node) -> Node | None:
        """The x of `accu + [x]`."""
        if isinstance(node, Call) and node.function == "_+_" and is_accu(node.args[0]):
            grown = node.args[1]
            if isinstance(grown, ListOf) and len(grown.items) == 1:
                return grown.items[0]
        return None

    match init, step:
        case Const(value=True), Call(function="_&&_", args=(accu, predicate)) if is_accu(accu):
            return loop(Macro.ALL, predicate)
        case Const(value=False), Call(function="_||_", args=(accu, predicate)) if is_accu(accu):
            return loop(Macro.EXISTS, predicate)
        case Const(kind="int"), Call(function="_?_:_", args=(predicate, _, _)) if not is_accu(
            result
        ):
            return loop(Macro.EXISTS_ONE, predicate)
        case ListOf(items=()), Call(function="_?_:_", args=(predicate, grown, accu)) if is_accu(
            accu
        ):
            transform = added(grown)
            if isinstance(transform, Ident) and transform.name == fold.iter_var:
                return loop(Macro.FILTER, predicate)
            if transform is not None:
                return loop(Macro.MAP, predicate, transform)
        case ListOf(items=()), Call(function="_+_"):
            transform = added(step)
            if transform is not None:
                return loop(Macro.MAP, None, transform)
    raise UnreadableTree("a comprehension that is none of the known macros")
