"""Which names could stand in a list of a config: those that its rules compare its entries with.

Read off the rules' own expressions: a list that is gone through takes names like the keys of an
object that its rule looks them up in; one that is searched takes the values of the field that is
searched for. A list that no rule uses takes none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from engine.policy.compile import CompiledPolicy
from engine.policy.document import GateInput
from engine.policy.model import ITEM
from engine.policy.syntax import Call, Ident, Loop, Node, Select, children

Path: TypeAlias = tuple[str, ...]


def entries_for(compiled: CompiledPolicy, given: GateInput) -> dict[Path, list[str]]:
    """Names by the path of a list in the config, each sorted."""
    found: dict[Path, set[str]] = {}
    for rule in compiled.rules:
        over = config_path(rule.over) if rule.over is not None else None
        if over is None:
            continue
        for condition in rule.conditions:
            for item, container in _memberships(condition):
                looked_up = config_path(container)
                if looked_up is not None and item == ITEM:
                    keys = _at(compiled.policy.config, looked_up)
                    if isinstance(keys, Mapping):
                        found.setdefault(over, set()).update(map(str, keys))
    trees = [tree for _, tree in compiled.variables]
    trees += [part for rule in compiled.rules for part in rule.conditions]
    for tree in trees:
        for path, field in _searched(tree, {}):
            found.setdefault(path, set()).update(_values(dict(given.document), field))
    return {path: sorted(names) for path, names in found.items()}


def config_path(node: Node) -> Path | None:
    """`("feeds",)` of `config.feeds`; None for anything else."""
    match node:
        case Select(operand=Ident(name="config"), field=field, test=False):
            return (field,)
        case Select(operand=Select() as above, field=field, test=False):
            path = config_path(above)
            return None if path is None else (*path, field)
    return None


def _memberships(node: Node) -> Iterator[tuple[str, Node]]:
    """Every `name in CONTAINER` below `node`."""
    match node:
        case Call(function="@in", args=(Ident(name=name), container)):
            yield name, container
    for child in children(node):
        yield from _memberships(child)


def _searched(node: Node, fields: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Every `x in config.list`: the list, and the field of the document that `x` comes from.

    Args:
        fields: of a loop's variable the field that it goes through.
    """
    match node:
        case Call(function="@in", args=(item, container)):
            path = config_path(container)
            field = _field(item, fields)
            if path is not None and field:
                yield path, field
        case Loop(over=over, variable=variable):
            inner = {**fields, variable: _field(over, fields)}
            for part in (node.predicate, node.transform):
                if part is not None:
                    yield from _searched(part, inner)
            yield from _searched(over, fields)
            return
    for child in children(node):
        yield from _searched(child, fields)


def _field(node: Node, fields: Mapping[str, str]) -> str:
    match node:
        case Select(field=field):
            return field
        case Ident(name=name):
            return fields.get(name, "")
    return ""


def _values(value: Any, field: str) -> Iterator[str]:
    """Every text that stands under `field` anywhere in a document, also within a list."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, field)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        if key == field:
            texts = inner if isinstance(inner, list) else [inner]
            yield from (text for text in texts if isinstance(text, str) and text)
        yield from _values(inner, field)


def _at(config: Any, path: Path) -> Any:
    for part in path:
        config = config[part]
    return config
