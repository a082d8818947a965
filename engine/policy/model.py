"""A release gate policy as it was written: rules in YAML, limits in a config, one digest.

Reading checks form only; whether the expressions are good is said by `lint`, and their answers by
`evaluate`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.policy.problems import Problem, pointer, refuse, shape_problems
from engine.policy.strictjson import read_strict, value_problems

_SIZE_MAX: Final = 1 << 20

# The names that an expression may use besides the policy's own variables and, in a rule with
# `over`, the item `it`.
BASE_NAMES: Final = ("input", "config", "now", "rank")
ITEM: Final = "it"

SEVERITY_RANK: Final = {
    "UNKNOWN": 0,
    "NONE": 0,
    "LOW": 1,
    "MEDIUM": 2,
    "HIGH": 3,
    "CRITICAL": 4,
}


class Level(StrEnum):
    FAIL = "FAIL"
    WARN = "WARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule fires for each item of `over` for which every condition holds, in order.

    Attributes:
        over: expression that gives a list; empty: asked once, without `it`.
        conditions: at least one; a condition is asked only when those before it hold.
        subject: expression for what the result is about.
        detail: expression for the sentence of the result.
    """

    id: str
    level: Level
    over: str
    conditions: tuple[str, ...]
    subject: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Attributes:
    variables: (name, expression) by name; they may use one another, but not in a circle.
    document, config: as parsed, plain JSON values; not to be changed.
    blob: canonical bytes of both; their SHA-256 is the policy's digest, so that comments and
        white space do not matter.
    """

    name: str
    version: str
    requires: str
    variables: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    document: Mapping[str, Any]
    config: Mapping[str, Any]
    blob: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.blob)


Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*$")]
Expression = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Metadata(_Part):
    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]


class _Engine(_Part):
    language: Literal["cel"]
    require: Annotated[str, Field(min_length=1)]
    crosscheck: Annotated[str, Field(min_length=1)] = ""


class _Rule(_Part):
    id: RuleId
    level: Literal["FAIL", "WARN"]
    over: Expression = ""
    all: Annotated[list[Expression], Field(min_length=1)]
    subject: Expression
    detail: Expression


class _Document(_Part):
    apiVersion: Literal["releaseline/v1"]
    kind: Literal["ReleaseGatePolicy"]
    metadata: _Metadata
    engine: _Engine
    variables: dict[Identifier, Expression] = {}
    # A policy without rules would read as PASS, the one mistake that a gate must not make.
    rules: Annotated[list[_Rule], Field(min_length=1)]


_SHAPE: Final = TypeAdapter(_Document)


def load_policy(
    policy: bytes,
    config: bytes,
    *,
    policy_where: str = "policy",
    config_where: str = "config",
) -> Policy:
    """Read a policy (YAML) and its config (JSON).

    Raises:
        Malformed: naming file, field, expected and found, all problems of a file at once.
    """
    document = read_yaml(policy, where=policy_where)
    refuse(value_problems(document) or _document_problems(document), where=policy_where)
    limits = read_strict(config, where=config_where)
    assert isinstance(document, dict)
    if not isinstance(limits, dict):
        raise Malformed("expected an object", where=config_where)
    return _build(document, limits)


def with_config(policy: Policy, config: Mapping[str, Any]) -> Policy:
    """The same rules under other limits. Whether the rules can work with them says `lint`."""
    return _build(dict(policy.document), dict(config))


def policy_from_blob(blob: bytes, *, where: str = "policy blob") -> Policy:
    """The policy back from its canonical bytes, as a replay needs it."""
    both = read_strict(blob, where=where)
    if not isinstance(both, dict) or set(both) != {"policy", "config"}:
        raise Malformed("expected an object with policy and config", where=where)
    refuse(_document_problems(both["policy"]), where=where)
    if not isinstance(both["config"], dict):
        raise Malformed("expected an object in config", where=where)
    return _build(both["policy"], both["config"])


def _build(document: dict[str, Any], config: dict[str, Any]) -> Policy:
    return Policy(
        name=document["metadata"]["name"],
        version=document["metadata"]["version"],
        requires=document["engine"]["require"],
        variables=tuple(sorted(document.get("variables", {}).items())),
        rules=tuple(
            Rule(
                id=rule["id"],
                level=Level(rule["level"]),
                over=rule.get("over", ""),
                conditions=tuple(rule["all"]),
                subject=rule["subject"],
                detail=rule["detail"],
            )
            for rule in document["rules"]
        ),
        document=document,
        config=config,
        blob=canonical({"policy": document, "config": config}),
    )


def _document_problems(document: object) -> list[Problem]:
    problems = shape_problems(_SHAPE, document)
    if problems:
        return problems
    assert isinstance(document, dict)
    seen: set[str] = set()
    for n, rule in enumerate(document["rules"]):
        if rule["id"] in seen:
            problems.append(
                Problem(
                    where=pointer("rules", n, "id"),
                    rule="doubled",
                    message=f"expected each rule id once, found {rule['id']!r} again",
                )
            )
        seen.add(rule["id"])
    for name in document.get("variables", {}):
        if name in {*BASE_NAMES, ITEM}:
            problems.append(
                Problem(
                    where=pointer("variables", name),
                    rule="shadowed-name",
                    message=f"expected a new name, found {name!r}, which means something already",
                )
            )
    return problems


class _StrictLoader(yaml.SafeLoader):
    """YAML without what makes one text mean two things: doubled keys, aliases, odd types."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not allowed",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(content: bytes, *, where: str) -> object:
    """Parse YAML that has one meaning only. Raises `Malformed` with line and column."""
    if len(content) > _SIZE_MAX:
        raise Malformed(f"expected at most {_SIZE_MAX} bytes, found {len(content)}", where=where)
    try:
        return yaml.load(content.decode("utf-8"), Loader=_StrictLoader)  # noqa: S506
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        what = getattr(error, "problem", None) or str(error)
        raise Malformed(f"expected YAML, found {what}{line}", where=where) from error
    except RecursionError as error:
        raise Malformed("expected YAML, found too many levels", where=where) from error
