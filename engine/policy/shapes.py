"""What kind of value an expression gives, as far as it can be known before evaluation.

CEL sees dynamic values only. But the input document has a schema and the config is at hand, so
that most shapes are known, and lint can prove that a loop goes over a list, that a field exists
and that `size` counts items. What is not known is `Unknown`, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import Any, Final, TypeAlias


class Scalar(StrEnum):
    NULL = "null"
    BOOL = "a truth value"
    INT = "an integer"
    TEXT = "a text"
    NUMERAL = "a numeral"  # what string() makes of an integer: it reads back alike everywhere


@dataclass(frozen=True, slots=True)
class Words:
    """A text that is one of `values`. `closed`: by a schema, so that no other can ever come."""

    values: frozenset[str]
    closed: bool = False

    def __str__(self) -> str:
        return "a text"


@dataclass(frozen=True, slots=True)
class Unknown:
    def __str__(self) -> str:
        return "a value of unknown kind"


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `of` is the shape of every item, `row` of each one when their number is known."""

    of: Shape
    row: tuple[Shape, ...] = ()

    def __str__(self) -> str:
        return "a list"


@dataclass(frozen=True, slots=True)
class Fields:
    """An object with exactly these fields."""

    known: Mapping[str, Shape]

    def __str__(self) -> str:
        return "a map"


Shape: TypeAlias = Scalar | Words | Unknown | Items | Fields

UNKNOWN: Final = Unknown()

_SCALARS: Final = {
    "null": Scalar.NULL,
    "boolean": Scalar.BOOL,
    "integer": Scalar.INT,
    "string": Scalar.TEXT,
}


def join(one: Shape, other: Shape) -> Shape:
    """The shape of a value that may be either."""
    if one == other:
        return one
    match one, other:
        case Items(of=a, row=p), Items(of=b, row=q):
            same = tuple(map(join, p, q)) if len(p) == len(q) else ()
            return Items(join(a, b), same)
        case Words(values=a, closed=p), Words(values=b, closed=q):
            return Words(a | b, p and q)
        case _ if is_text(one) and is_text(other):
            return Scalar.TEXT
        case Fields(known=a), Fields(known=b) if set(a) == set(b):
            return Fields({name: join(a[name], b[name]) for name in a})
    return UNKNOWN


def is_text(shape: Shape) -> bool:
    return isinstance(shape, Words) or shape is Scalar.TEXT or shape is Scalar.NUMERAL


def join_all(shapes: Iterable[Shape]) -> Shape:
    """`Unknown` for no shapes at all."""
    found = list(shapes)
    return reduce(join, found) if found else UNKNOWN


def shape_of_value(value: object) -> Shape:
    """The shape of a JSON value."""
    match value:
        case None:
            return Scalar.NULL
        case bool():
            return Scalar.BOOL
        case int():
            return Scalar.INT
        case str():
            return Words(frozenset({value}))
        case list() | tuple():
            return Items(join_all(map(shape_of_value, value)))
        case Mapping():
            return Fields({str(name): shape_of_value(item) for name, item in value.items()})
        case _:
            return UNKNOWN


def shape_of_schema(schema: Mapping[str, Any]) -> Shape:
    """The shape that a JSON Schema describes (the part of it that our own schemas use)."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})

    def shape(part: Mapping[str, Any]) -> Shape:
        if "$ref" in part:
            return shape(definitions[part["$ref"].removeprefix("#/$defs/")])
        if isinstance(part.get("enum"), list) and all(isinstance(w, str) for w in part["enum"]):
            return Words(frozenset(part["enum"]), closed=True)
        match part.get("type"):
            case "object" if "properties" in part:
                return Fields({name: shape(item) for name, item in part["properties"].items()})
            case "array":
                return Items(shape(part.get("items", {})))
            case str(kind) if kind in _SCALARS:
                return _SCALARS[kind]
        return UNKNOWN

    return shape(schema)
