"""Asks policies about very many frozen inputs: what was worked out once is not worked out again.

Rules are grouped by the facts that they read. A group that reads only facts whose digests were
asked about before, at a time that it does not read, has its answer already: the same question is
put to the engine once in a batch. Anything that goes wrong is left to `evaluate_policy`, whose
answer is the one that counts; this is a faster way to the same verdict and never another verdict.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.policy.canonjson import read_canonical
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
from engine.policy.syntax import Ident, ListOf, Node, Select, children, facets, free_names
from engine.policy.verdict import Verdict, verdict

_FACETS_KEPT: Final = 4_096
_ANSWERS_KEPT: Final = 65_536
_POLICIES_KEPT: Final = 8

_SHAPES: Final = {
    name: TypeAdapter[Any](hint)
    for name, hint in get_type_hints(GateDocument).items()
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


class Asker:
    """Not for several threads at once."""

    def __init__(self) -> None:
        self._policies: OrderedDict[Digest, _Prepared] = OrderedDict()
        self._facets: OrderedDict[tuple[str, Digest], Any] = OrderedDict()
        self._answers: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    def compiled(self, digest: Digest, read: Callable[[Digest], bytes]) -> CompiledPolicy:
        """The policy of this digest.

        Raises:
            NotFound, Malformed: as `read` does, or the engine of today refuses the policy.
        """
        return self._prepared(digest, read).compiled

    def know(self, name: str, digest: Digest, read: Callable[[Digest], bytes]) -> None:
        """Read a facet, re-hashed, unless it was read before. Raises as `read` does."""
        if (name, digest) in self._facets:
            self._facets.move_to_end((name, digest))
            return
        content = read(digest)
        if Digest.of(content) != digest:
            raise Malformed(f"expected {digest}, found {Digest.of(content)}", where=name)
        _put(self._facets, (name, digest), _facet(name, content), _FACETS_KEPT)

    def verdict(
        self, policy: Digest, clock: Mapping[str, Any], refs: Mapping[str, Digest],
        read: Callable[[Digest], bytes],
    ) -> Verdict:  # fmt: skip
        """The verdict of `policy` about the facts of these digests.

        Raises:
            NotFound, Malformed: a part is missing, damaged, or not of the shape of today.
        """
        prepared = self._prepared(policy, read)
        for name in FACETS:
            self.know(name, refs[name], read)
        now_s = clock.get("evaluated_at_s")
        sound = all(self._facets[name, refs[name]][1] for name in FACETS)
        groups = prepared.groups if sound else None
        if groups and set(clock) == {"evaluated_at_s"} and type(now_s) is int and now_s >= 0:
            try:
                results = [
                    result
                    for place, group in enumerate(groups)
                    for result in self._answer(prepared, f"rules {place}", group, now_s, refs)
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
        document = {
            CLOCK: dict(clock),
            **{name: self._facets[name, refs[name]][0] for name in FACETS},
        }
        return evaluate_policy(
            prepared.compiled, gate_input(document, where="frozen input")
        ).verdict

    def _answer(
        self, prepared: _Prepared, name: str, piece: _Piece, now_s: int, refs: Mapping[str, Digest]
    ) -> Any:
        """Raises `EvaluationFailed`."""
        key = (
            prepared.digest.hex,
            name,
            now_s if piece.reads.now else None,
            *(refs[facet].hex for facet in piece.key),
        )
        if key in self._answers:
            return self._answers[key]
        given: dict[str, Any] = {}
        for used in piece.names:
            match used:
                case "input":
                    given[used] = {one: self._facets[one, refs[one]][0] for one in piece.direct}
                case "config":
                    given[used] = piece.config
                case "now":
                    given[used] = now_s
                case "rank":
                    given[used] = SEVERITY_RANK
                case _:
                    variable = prepared.variables[used]
                    given[used] = self._answer(prepared, used, variable, now_s, refs)
        answer = evaluate(piece.program, given)
        if piece.rules:
            answer = [
                result
                for rule, said in zip(piece.rules, answer, strict=True)
                for result in results_of(rule, said)
            ]
        _put(self._answers, key, answer, _ANSWERS_KEPT)
        return answer

    def _prepared(self, digest: Digest, read: Callable[[Digest], bytes]) -> _Prepared:
        if digest not in self._policies:
            where = f"policy {digest.short}"
            content = read(digest)
            if Digest.of(content) != digest:
                raise Malformed(f"expected {digest}, found {Digest.of(content)}", where=where)
            compiled = compile_policy(policy_from_blob(content, where=where), where=where)
            _put(self._policies, digest, _prepare(compiled), _POLICIES_KEPT)
        return self._policies[digest]


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


def _facet(name: str, content: bytes) -> tuple[Any, bool]:
    """The facet's value, and whether it is surely what `gate_input` lets pass.

    Raises:
        Malformed: two readers could understand the bytes differently.
    """
    value, canonical = read_canonical(content, where=name)
    if not canonical:
        return value, False
    try:
        _SHAPES[name].validate_json(content, strict=True)
    except ValidationError:
        return value, False  # said in full by `gate_input`
    return value, _unique(name, value)


def _unique(name: str, value: Any) -> bool:
    field = UNIQUE.get(name)
    return field is None or len({one[field] for one in value}) == len(value)


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
