"""YAML text to plain values that remember where they stand.

Only what means the same to every reader is accepted: text keys, no doubled keys, no tags, and the
plain scalars of YAML 1.2 (`on` and `yes` are texts, `010` is refused, `1:30` is a text). Anchors,
aliases and `<<` work; an alias that would grow the document out of hand is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import yaml

from engine.core.health_criteria import shown

KeyPath: TypeAlias = tuple[str | int, ...]

_DEPTH_MAX: Final = 40
_VALUES_MAX: Final = 30_000
_INT_DIGITS_MAX: Final = 15
_MERGE: Final = "tag:yaml.org,2002:merge"
_SCALARS: Final = (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~\0"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
    ("octal", r"[-+]?0[0-9_]+", "-+0"),
    ("merge", r"<<", "<"),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong in a settings file. `line` counts from 1; 0 = the file itself."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Spot:
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Located:
    """A plain value, and where each part of it stands, by the path of keys to it."""

    value: Any
    spots: dict[KeyPath, Spot] = field(default_factory=dict)

    def spot(self, path: KeyPath) -> Spot:
        """Where `path` stands; for a part that is missing, where the rest of it would be."""
        while path and path not in self.spots:
            path = path[:-1]
        return self.spots.get(path, Spot("", 0))


def key_text(path: KeyPath) -> str:
    """`environments[1].targets`, as the sentences write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def problem_at(document: Located, path: KeyPath, message: str) -> Problem:
    spot = document.spot(path)
    return Problem(file=spot.file, line=spot.line, key=key_text(path), message=message)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; values are made here."""


_Loader.yaml_implicit_resolvers = {}

for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}",
        re.compile(rf"(?:{_pattern})\Z", re.ASCII),
        ["" if letter == "\0" else letter for letter in _first],
    )


def read_yaml(text: str, file: str) -> tuple[Located, list[Problem]]:
    """Read one document. What could not be read is left out of the value and said."""
    try:
        node = _loader(text, file).get_single_node()
    except _UNREADABLE as error:
        return Located(None), [_unreadable(error, text, file)]
    return _located(node, file)


def read_documents(text: str, file: str) -> tuple[list[Located], list[Problem]]:
    """Read every document of a stream; empty ones are passed over."""
    documents, problems = list[Located](), list[Problem]()
    try:
        loader = _loader(text, file)
        while loader.check_node():
            document, wrong = _located(loader.get_node(), file)
            documents.append(document)
            problems += wrong
    except _UNREADABLE as error:
        problems.append(_unreadable(error, text, file))
    return [one for one in documents if one.value is not None], problems


# The last two: an escape beyond Unicode, in PyYAML's scanner.
_UNREADABLE: Final = (
    yaml.MarkedYAMLError,
    yaml.reader.ReaderError,
    RecursionError,
    ValueError,
    OverflowError,
)


def _loader(text: str, file: str) -> _Loader:
    loader = _Loader(text)
    loader.name = file
    return loader


def _located(node: yaml.Node | None, file: str) -> tuple[Located, list[Problem]]:
    if node is None:
        return Located(None, {(): Spot(file, 1)}), []
    reading = _Reading(file)
    value = reading.value(node, ())
    return Located(value, reading.spots), reading.problems


def _unreadable(error: BaseException, text: str, file: str) -> Problem:
    line = 0
    match error:
        case yaml.MarkedYAMLError():
            return _of_error(error, file)
        case yaml.reader.ReaderError():
            line = text.count("\n", 0, int(error.position)) + 1
            message = f"expected printable text, found character {shown(error.character)}"
        case RecursionError():
            message = f"expected at most {_DEPTH_MAX} levels, found more"
        case _:
            message = f"expected YAML, found {error}"
    return Problem(file=file, line=line, key="", message=message)


def _of_error(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = " ".join(part for part in (error.context, error.problem) if part)
    if "found another document" in said:
        said = "a second document"
    line = 0 if mark is None else mark.line + 1
    return Problem(file=file, line=line, key="", message=f"expected YAML, found: {said}")


class _Reading:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[int] = []
        self._count = 0
        self.spots: dict[KeyPath, Spot] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.spots.setdefault(path, self._spot(node))
        self._count += 1
        if self._count > _VALUES_MAX:
            if self._count == _VALUES_MAX + 1:
                self._problem(node, path, f"expected at most {_VALUES_MAX} values, found more")
            return None
        if id(node) in self._open:
            self._problem(node, path, "expected a value, found an alias to what it stands in")
            return None
        if len(self._open) > _DEPTH_MAX:
            self._problem(node, path, f"expected at most {_DEPTH_MAX} levels, found more")
            return None
        self._open.append(id(node))
        try:
            return self._made(node, path)
        finally:
            self._open.pop()

    def _made(self, node: yaml.Node, path: KeyPath) -> Any:
        match node:
            case yaml.ScalarNode():
                return self._scalar(node, path)
            case yaml.SequenceNode() if self._plain(node, path, "seq"):
                return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
            case yaml.MappingNode() if self._plain(node, path, "map"):
                return self._mapping(node, path)
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        own: dict[str, int] = {}
        result: dict[str, Any] = {}
        for name, key, value in self._pairs(node, path, own):
            # Keys of the mapping itself come first; what `<<` brings fills in the rest.
            if name in result:
                continue
            self.spots[(*path, name)] = self._spot(key)
            result[name] = self.value(value, (*path, name))
        return result

    def _pairs(
        self, node: yaml.MappingNode, path: KeyPath, own: dict[str, int] | None
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith(":str"):
                what = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a collection"
                self._problem(key, path, f"expected a text as key, found {what}")
                continue
            if own is not None:
                if key.value in own:
                    self._problem(
                        key,
                        (*path, key.value),
                        f"expected this key once, found it in line {own[key.value]} already",
                    )
                    continue
                own[key.value] = key.start_mark.line + 1
            yield key.value, key, value
        for source in merged:
            if not isinstance(source, yaml.MappingNode) or id(source) in self._open:
                self._problem(source, (*path, "<<"), "expected an alias to a mapping")
                continue
            self._count += 1  # merges of merges multiply like aliases do
            if self._count > _VALUES_MAX:
                return
            self._open.append(id(source))
            try:
                yield from self._pairs(source, path, None)
            finally:
                self._open.pop()

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        text = node.value
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self._problem(node, path, f"expected Unicode text, found {shown(text)}")
            return None
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text == "true"
            case "int" if len(text) <= _INT_DIGITS_MAX:
                return int(text)
            case "float" if math.isfinite(number := float(text)):
                return number
            case "int" | "float" | "octal":
                message = f"expected a plain number, found {shown(text)}"
            case "merge":
                message = "expected a value, found <<"
            case _:
                message = f"expected a plain value, found the tag {shown(node.tag)}"
        self._problem(node, path, message)
        return None

    def _plain(self, node: yaml.Node, path: KeyPath, kind: str) -> bool:
        if node.tag == f"tag:yaml.org,2002:{kind}":
            return True
        self._problem(node, path, f"expected a plain value, found the tag {shown(node.tag)}")
        return False

    def _spot(self, node: yaml.Node) -> Spot:
        return Spot(self._file, node.start_mark.line + 1)

    def _problem(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        spot = self._spot(node)
        self.problems.append(
            Problem(file=spot.file, line=spot.line, key=key_text(path), message=message)
        )
