"""Typed values to JSON documents and back: every event and every row, driven by their annotations.

Generic on purpose: a new event or row is one dataclass, and nothing here changes. A document that
does not fit (unknown kind or field, missing field, wrong type) is `Malformed` and names both; a
field that a newer version added with a default may be missing in what an older one wrote.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias, cast

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.events import EVENT_TYPES, Event
from engine.core.hook_rows import HookMessage, HookTry
from engine.core.jcs import canonical
from engine.core.replays import ReplayRequest, ReplayRow
from engine.core.rows import (
    CommandRow,
    GateTick,
    Retired,
    Row,
    Segment,
    TlogEntry,
    TlogHead,
    VerdictRow,
)

Document: TypeAlias = dict[str, Any]
_Read: TypeAlias = Callable[[Any, str], Any]
_Write: TypeAlias = Callable[[Any], Any]

# The record types of the journal that are not events, under the names in which they are stored.
ROW_TYPES: Final[Mapping[str, type[Row]]] = {
    "gate_tick": GateTick,
    "tlog_entry": TlogEntry,
    "tlog_head": TlogHead,
    "verdict": VerdictRow,
    "command": CommandRow,
    "segment": Segment,
    "retired": Retired,
    "replay_request": ReplayRequest,
    "replay": ReplayRow,
    "hook_message": HookMessage,
    "hook_try": HookTry,
}
ROW_KINDS: Final = {cls: kind for kind, cls in ROW_TYPES.items()}


def to_document(value: Event | Row) -> Document:
    """The fields of an event or a row as JSON values; its kind is not among them."""
    return cast(Document, _writer(cast(Any, type(value)))(value))


def canonical_body(value: Event | Row) -> str:
    """The canonical JSON text of `to_document(value)`.

    Raises:
        Malformed: a number or a text in it cannot be written exactly; names the event.
    """
    try:
        return canonical(to_document(value)).decode()
    except (ValueError, TypeError) as error:  # UnicodeEncodeError is a ValueError
        raise Malformed(str(error), where=kind_of(value)) from None


def kind_of(value: Event | Row) -> str:
    """`run.requested/1` for an event, `gate_tick` for a row."""
    row_kind = ROW_KINDS.get(cast("type[Row]", type(value)))
    return row_kind if row_kind is not None else cast(Event, value).TYPE


def from_document(kind: str, body: Any) -> Event:
    """Read an event. Raises `Malformed` naming the event and the field."""
    cls = EVENT_TYPES.get(kind)
    if cls is None:
        raise Malformed("expected a known kind of event", where=f"event {kind!r}")
    return cast(Event, _reader(cast(Any, cls))(body, kind))


def row_from_document(kind: str, body: Any) -> Row:
    """Read a row of a type in `ROW_TYPES`. Raises `Malformed` naming the row and the field."""
    cls = ROW_TYPES.get(kind)
    if cls is None:
        raise Malformed("expected a known kind of row", where=f"row {kind!r}")
    return cast(Row, _reader(cast(Any, cls))(body, kind))


@functools.cache
def _writer(annotation: Any) -> _Write:
    """How values of this annotation are written. Built once per annotation."""
    if annotation in {str, int, bool}:
        return lambda value: value
    if annotation is Digest:
        return str
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return lambda value: value.value
    if typing.get_origin(annotation) is tuple:
        item = _writer(typing.get_args(annotation)[0])
        return lambda values: [item(value) for value in values]
    if _is_optional(annotation):
        inner = _writer(_inner(annotation))
        return lambda value: None if value is None else inner(value)
    if dataclasses.is_dataclass(annotation):
        fields = [(name, _writer(hint)) for name, hint, _ in _fields(annotation)]
        return lambda value: {name: write(getattr(value, name)) for name, write in fields}
    raise TypeError(f"no codec for {annotation!r}")


@functools.cache
def _reader(annotation: Any) -> _Read:
    """How values of this annotation are read: (document, where) -> value."""
    if annotation in {str, int, bool}:
        return functools.partial(_plain, annotation)
    if annotation is Digest:
        return _digest
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return functools.partial(_enum, annotation)
    if typing.get_origin(annotation) is tuple:
        return functools.partial(_tuple, _reader(typing.get_args(annotation)[0]))
    if _is_optional(annotation):
        inner = _reader(_inner(annotation))
        return lambda value, where: None if value is None else inner(value, where)
    if dataclasses.is_dataclass(annotation):
        fields = {name: (_reader(hint), required) for name, hint, required in _fields(annotation)}
        return functools.partial(_dataclass, annotation, fields)
    raise TypeError(f"no codec for {annotation!r}")


def _plain(expected: type, value: Any, where: str) -> Any:
    # By type and not isinstance: True must not pass as the number 1.
    if type(value) is not expected:
        raise _wrong(expected.__name__, value, where)
    return value


def _digest(value: Any, where: str) -> Digest:
    if type(value) is not str:
        raise _wrong("a digest", value, where)
    try:
        return Digest.parse(value)
    except Malformed:
        raise _wrong("a digest", value, where) from None


def _enum(cls: type[Enum], value: Any, where: str) -> Enum:
    try:
        return cls(value)
    except ValueError:
        names = ", ".join(str(member.value) for member in cls)
        raise _wrong(f"one of {names}", value, where) from None


def _tuple(item: _Read, value: Any, where: str) -> tuple[Any, ...]:
    if type(value) is not list:
        raise _wrong("a list", value, where)
    return tuple(item(one, f"{where}[{index}]") for index, one in enumerate(value))


def _dataclass(cls: Any, fields: Mapping[str, tuple[_Read, bool]], value: Any, where: str) -> Any:
    if type(value) is not dict:
        raise _wrong("an object", value, where)
    for name in value:
        if name not in fields:
            raise Malformed("expected no such field", where=f"{where}.{name}")
    given: dict[str, Any] = {}
    for name, (read, required) in fields.items():
        if name in value:
            given[name] = read(value[name], f"{where}.{name}")
        elif required:
            raise Malformed("expected this field, found none", where=f"{where}.{name}")
    return cls(**given)


def _fields(cls: Any) -> list[tuple[str, Any, bool]]:
    """Name, annotation and whether it is required, in order of declaration."""
    hints = typing.get_type_hints(cls)
    return [
        (
            field.name,
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    ]


def _is_optional(annotation: Any) -> bool:
    return typing.get_origin(annotation) in {types.UnionType, typing.Union} and type(
        None
    ) in typing.get_args(annotation)


def _inner(annotation: Any) -> Any:
    (inner,) = (arg for arg in typing.get_args(annotation) if arg is not type(None))
    return inner


def _wrong(expected: str, value: Any, where: str) -> Malformed:
    found = repr(value)
    shown = found if len(found) <= 80 else f"{found[:77]}..."
    return Malformed(f"expected {expected}, found {shown}", where=where)
