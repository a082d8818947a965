"""What changed between two policies, in words: rules, variables, limits and lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.policy.model import Policy, Rule
from engine.policy.problems import found

_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that differs.

    Attributes:
        kind: added, removed or changed.
        what: rule, variable, limit or list; `limit` is any single value of the config.
        name: of a rule its id, of a config value its dotted path.
        old, new: in short; empty where there is nothing.
        stricter: True when more would fail or warn by it, False when less, None: not known.
    """

    kind: str
    what: str
    name: str
    old: str
    new: str
    stricter: bool | None = None

    @property
    def sentence(self) -> str:
        match self.kind:
            case "added":
                return f"{self.what} {self.name} added: {self.new}"
            case "removed":
                return f"{self.what} {self.name} removed: {self.old}"
            case _:
                return f"{self.what} {self.name}: {self.old} → {self.new}"


def policy_diff(old: Policy, new: Policy) -> tuple[Line, ...]:
    """Every difference: rules first, then variables, then the config. Empty for equal policies."""
    return (*_rules(old, new), *_variables(old, new), *_config(old.config, new.config, ()))


def _rules(old: Policy, new: Policy) -> Iterator[Line]:
    before = {rule.id: rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Line(
                kind="added", what="rule", name=name, old="", new=_told(after[name]), stricter=True
            )
        elif name not in after:
            yield Line(
                kind="removed",
                what="rule",
                name=name,
                old=_told(before[name]),
                new="",
                stricter=False,
            )
        else:
            yield from _rule(before[name], after[name])


def _told(rule: Rule) -> str:
    over = f" for each of {rule.over}" if rule.over else ""
    return f"{rule.level.value}{over} when {' and '.join(rule.conditions)}"


def _rule(old: Rule, new: Rule) -> Iterator[Line]:
    if old.level is not new.level:
        yield Line(
            kind="changed",
            what="rule",
            name=f"{old.id} level",
            old=old.level.value,
            new=new.level.value,
            stricter=new.level.value == "FAIL",
        )
    # A condition fewer fires on more, one more on fewer.
    gone = [text for text in old.conditions if text not in new.conditions]
    come = [text for text in new.conditions if text not in old.conditions]
    if gone or come or old.conditions != new.conditions:
        stricter = True if gone and not come else False if come and not gone else None
        yield Line(
            kind="changed",
            what="rule",
            name=f"{old.id} conditions",
            old=" and ".join(gone or old.conditions),
            new=" and ".join(come or new.conditions),
            stricter=stricter,
        )
    for field in ("over", "subject", "detail"):
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield Line(kind="changed", what="rule", name=f"{old.id} {field}", old=before, new=after)


def _variables(old: Policy, new: Policy) -> Iterator[Line]:
    before, after = dict(old.variables), dict(new.variables)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield _line("variable", name, before.get(name, ""), after.get(name, ""))


def _config(
    old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Line]:
    for key in sorted(old.keys() | new.keys()):
        here = (*path, str(key))
        before, after = old.get(key, _MISSING), new.get(key, _MISSING)
        if before == after and type(before) is type(after):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _config(before, after, here)
        elif isinstance(before, list) and isinstance(after, list):
            yield from _entries(before, after, ".".join(here))
        else:
            yield _line("limit", ".".join(here), _value(before), _value(after))


def _entries(old: list[Any], new: list[Any], name: str) -> Iterator[Line]:
    gone = [entry for entry in old if entry not in new]
    come = [entry for entry in new if entry not in old]
    for entry in gone:
        yield Line(kind="removed", what="list", name=name, old=found(entry), new="")
    for entry in come:
        yield Line(kind="added", what="list", name=name, old="", new=found(entry))
    if not gone and not come:
        yield Line(kind="changed", what="list", name=name, old="its order", new="another order")


def _line(what: str, name: str, old: str, new: str) -> Line:
    kind = "added" if not old else "removed" if not new else "changed"
    return Line(kind=kind, what=what, name=name, old=old, new=new)


def _value(value: object) -> str:
    return "" if value is _MISSING else found(value)
