"""Asks policies about very many frozen inputs: what was worked out once is not worked out again.

Rules are grouped by the facts that they read. A group that reads only facts whose digests were
asked about before, at a time that it does not read, has its answer already: the same question is
put to the engine once in a batch. Anything that goes wrong is left to `evaluate_policy`, whose
answer is the one that counts; this is a faster way to the same verdict and never another verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.kept import Kept
from engine.policy.cel import EvaluationFailed, Program, evaluate
from engine.policy.compile import CompiledPolicy, CompiledRule, compile_policy
from engine.policy.document import (
    CLOCK,
    FACETS,
    UNIQUE,
    GateDocument,
    gate_input,
    input_digest,
)
from engine.policy.evaluate import evaluate_policy, results_of
from engine.policy.model import SEVERITY_RANK, policy_from_blob
from engine.policy.strictjson import plain_texts, read_strict
from engine.policy.syntax import Ident, ListOf, Node, Select, children, facets, free_names
from engine.policy.verdict import Verdict, verdict

# Of facets their bytes as JSON, of which they take some five times as much in memory; of answers
# the results or items in them.
_FACET_BYTES_KEPT: Final = 32 << 20
_ANSWERS_KEPT: Final = 65_536
_POLICIES_KEPT: Final = 8

# A longer list is left to the ordinary way, which cuts it: the engine's time and memory grow with
# the square of the list that one evaluation makes.
_ITEMS_MAX: Final = 512

_SHAPES: Final = {
    name: TypeAdapter[Any](hint)
    for name, hint in get_type_hints(GateDocument, include_extras=True).items()
    if name in FACETS
}


@dataclass(frozen=True, slots=True)
class _Reads:
    """What an expression depends on, through the variables that it uses too."""

    facets: frozenset[str]
    now: bool

    def __or__(self, other: _Reads) -> _Reads:
        return _Reads(self.facets | other.facets, self.now or other.now)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A variable, or the rules of a group.

    Attributes:
        key: the facets that its answer depends on, sorted; `direct`: those it reads itself.
        config: the members of the policy's config that it reads.
    """

    program: Program
    reads: _Reads
    key: tuple[str, ...]
    direct: tuple[str, ...]
    config: Mapping[str, Any]
    names: frozenset[str]
    rules: tuple[CompiledRule, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """`groups` is None where an expression takes `input` as a whole, or its clock."""

    compiled: CompiledPolicy
    digest: Digest
    variables: Mapping[str, _Piece]
    groups: tuple[_Piece, ...] | None


@dataclass(frozen=True, slots=True)
class _Facet:
    """`sound`: `gate_input` would surely let the value pass, and it is short enough for one go."""

    value: Any
    sound: bool


class Asker:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._policies = Kept[Digest, _Prepared](_POLICIES_KEPT)
        self._facets = Kept[tuple[str, str], _Facet](_FACET_BYTES_KEPT)
        self._answers = Kept[tuple[Any, ...], list[Any]](_ANSWERS_KEPT)

    def compiled(self, digest: Digest, read: Callable[[Digest], bytes]) -> CompiledPolicy:
        """The policy of this digest.

        Raises:
            NotFound, Malformed: as `read` does, or the engine of today refuses the policy.
        """
        return self._prepared(digest, read).compiled

    def know(self, name: str, digest: Digest, read: Callable[[Digest], bytes]) -> _Facet:
        """Read a facet, re-hashed, unless it was read before. Raises as `read` does."""
        known = self._facets.get((name, digest.hex))
        if known is None:
            content = read(digest)
            if Digest.of(content) != digest:
                raise Malformed(f"expected {digest}, found {Digest.of(content)}", where=name)
            known = _facet(name, content)
            self._facets.put((name, digest.hex), known, len(content))
        return known

    def verdict(
        self, policy: Digest, clock: Mapping[str, Any], refs: Mapping[str, Digest],
        read: Callable[[Digest], bytes],
    ) -> Verdict:  # fmt: skip
        """The verdict of `policy` about the facts of these digests.

        Raises:
            NotFound, Malformed: a part is missing, damaged, or not of the shape of today.
        """
        prepared = self._prepared(policy, read)
        facets = {name: self.know(name, refs[name], read) for name in FACETS}
        now_s = clock.get("evaluated_at_s")
        groups = prepared.groups if all(one.sound for one in facets.values()) else None
        if groups and set(clock) == {"evaluated_at_s"} and type(now_s) is int and now_s >= 0:
            asked = _Asked(prepared, now_s, refs, facets)
            try:
                results = [
                    result
                    for place, group in enumerate(groups)
                    for result in self._answer(asked, f"rules {place}", group)
                ]
                return verdict(
                    policy=prepared.digest,
                    input_digest=input_digest(clock, refs),
                    now_s=now_s,
                    results=results,
                    error=False,
                )
            except EvaluationFailed:
                pass  # which rule it was, and what the others say, is found out below
        document = {CLOCK: dict(clock), **{name: one.value for name, one in facets.items()}}
        return evaluate_policy(
            prepared.compiled, gate_input(document, where="frozen input")
        ).verdict

    def _answer(self, asked: _Asked, name: str, piece: _Piece) -> Any:
        """Raises `EvaluationFailed`."""
        key = (
            asked.prepared.digest.hex,
            name,
            asked.now_s if piece.reads.now else None,
            *(asked.refs[facet].hex for facet in piece.key),
        )
        known = self._answers.get(key)
        if known is not None:
            return known[0]
        given: dict[str, Any] = {}
        for used in piece.names:
            match used:
                case "input":
                    given[used] = {one: asked.facets[one].value for one in piece.direct}
                case "config":
                    given[used] = piece.config
                case "now":
                    given[used] = asked.now_s
                case "rank":
                    given[used] = SEVERITY_RANK
                case _:
                    given[used] = self._answer(asked, used, asked.prepared.variables[used])
        answer = evaluate(piece.program, given)
        if piece.rules:
            answer = [
                result
                for rule, said in zip(piece.rules, answer, strict=True)
                for result in results_of(rule, said)
            ]
        # In a list, because a variable may have the answer null.
        self._answers.put(key, [answer], 1 + (len(answer) if isinstance(answer, list) else 0))
        return answer

    def _prepared(self, digest: Digest, read: Callable[[Digest], bytes]) -> _Prepared:
        known = self._policies.get(digest)
        if known is None:
            where = f"policy {digest.short}"
            content = read(digest)
            if Digest.of(content) != digest:
                raise Malformed(f"expected {digest}, found {Digest.of(content)}", where=where)
            known = _prepare(compile_policy(policy_from_blob(content, where=where), where=where))
            self._policies.put(digest, known)
        return known


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question of a batch."""

    prepared: _Prepared
    now_s: int
    refs: Mapping[str, Digest]
    facets: Mapping[str, _Facet]


def _prepare(compiled: CompiledPolicy) -> _Prepared:
    trees = [*(tree for _, tree in compiled.variables), *(rule.tree for rule in compiled.rules)]
    if not all(_by_facets(tree) for tree in trees):
        return _Prepared(compiled, compiled.policy.digest, {}, None)
    variables: dict[str, _Piece] = {}
    for name, tree in compiled.variables:
        variables[name] = _piece(compiled, tree, variables, ())
    # What reads the clock is another question at each decision, so it is asked in one go.
    grouped: dict[frozenset[str] | None, list[CompiledRule]] = {}
    for rule in compiled.rules:
        reads = _reads(rule.tree, variables)
        grouped.setdefault(None if reads.now else reads.facets, []).append(rule)
    groups = tuple(
        _piece(compiled, ListOf(at=0, items=tuple(r.tree for r in rules)), variables, tuple(rules))
        for rules in grouped.values()
    )
    return _Prepared(compiled, compiled.policy.digest, variables, groups)


def _by_facets(node: Node) -> bool:
    found = facets(node)
    return found is not None and found <= frozenset(FACETS)


def _piece(
    compiled: CompiledPolicy,
    node: Node,
    variables: Mapping[str, _Piece],
    rules: tuple[CompiledRule, ...],
) -> _Piece:
    reads = _reads(node, variables)
    return _Piece(
        program=compiled.programs.of(node),
        reads=reads,
        key=tuple(sorted(reads.facets)),
        config=_config(node, compiled.policy.config),
        direct=tuple(sorted(facets(node) or ())),
        names=free_names(node),
        rules=rules,
    )


def _config(node: Node, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Only what `node` selects by name: each evaluation hands all of it over to the engine."""
    names = _selected(node)
    return config if names is None else {n: v for n, v in config.items() if n in names}


def _selected(node: Node) -> frozenset[str] | None:
    """The members of `config` that `node` names; None when it uses `config` as a whole."""
    match node:
        case Select(operand=Ident(name="config"), field=field):
            return frozenset({field})
        case Ident(name="config"):
            return None
    below = [_selected(child) for child in children(node)]
    if None in below:
        return None
    return frozenset[str]().union(*(part for part in below if part is not None))


def _reads(node: Node, variables: Mapping[str, _Piece]) -> _Reads:
    names = free_names(node)
    own = _Reads(facets(node) or frozenset(), "now" in names)
    for name in names & variables.keys():
        own = own | variables[name].reads
    return own


def _facet(name: str, content: bytes) -> _Facet:
    """Read a facet. Bytes that are just what their value is written as hold no doubled key and no
    second way to write the same, and the shape leaves nothing but texts to be looked at.

    Raises:
        Malformed: two readers could understand the bytes differently.
    """
    try:
        # The value's fields come in the order of its shape, which is that of canonical JSON.
        value = _SHAPES[name].validate_json(content)
        if to_json(value) == content and plain_texts(content):
            short = not isinstance(value, list) or len(value) <= _ITEMS_MAX
            return _Facet(value, short and _unique(name, value))
    except ValidationError:
        pass  # said in full by `gate_input`
    return _Facet(read_strict(content, where=name), False)


def _unique(name: str, value: Any) -> bool:
    field = UNIQUE.get(name)
    return field is None or len({one[field] for one in value}) == len(value)
