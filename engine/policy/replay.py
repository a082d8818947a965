"""Asks a frozen question again and says whether the answer is the same, and if not, why.

This is the shallow replay: from the frozen gate input to the verdict. It proves the decision.
The causes are tried in a fixed order, so that the same damage always gets the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.policy.capsule import POLICY, OpenedCapsule, open_capsule
from engine.policy.compile import compile_policy
from engine.policy.document import CLOCK, FACETS, gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.identity import ENGINE
from engine.policy.model import policy_from_blob
from engine.policy.problems import found, pointer
from engine.policy.strictjson import read_strict
from engine.policy.verdict import Verdict


class Cause(StrEnum):
    """Why a replay does not match; in the order in which they are tried."""

    INPUT_MISSING = "INPUT_MISSING"
    INPUT_TAMPERED = "INPUT_TAMPERED"
    VERDICT_TAMPERED = "VERDICT_TAMPERED"
    ENGINE_CHANGED = "ENGINE_CHANGED"
    UNEXPLAINED = "UNEXPLAINED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Attributes:
    cause: None when the answer is the same.
    sentence: what was found, for people.
    verdict: what came out now; None when the question could not be asked again.
    diff: `pointer: old -> new` of each field that differs; results by [rule, subject].
    """

    verdict_id: str
    cause: Cause | None
    sentence: str
    verdict: Verdict | None
    diff: tuple[str, ...]

    @property
    def matches(self) -> bool:
        return self.cause is None

    @property
    def result(self) -> str:
        return "MATCH" if self.matches else "MISMATCH"

    def document(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict_id,
            "mode": "shallow",
            "result": self.result,
            "cause": "" if self.cause is None else self.cause.value,
            "sentence": self.sentence,
            "diff": list(self.diff),
        }


def replay_capsule(
    blob: bytes, read: Callable[[Digest], bytes], *, recorded: Digest | None = None
) -> Replay:
    """Replay the capsule in `blob`.

    Args:
        read: gives a blob; raises `NotFound`, or `Malformed` when it lost its digest.
        recorded: the verdict digest as it stands in the run's log, when there is one.

    Raises:
        Malformed: `blob` is no capsule.
    """
    capsule = open_capsule(blob)
    parts: dict[str, bytes] = {}
    for name, digest in sorted(capsule.refs.items()):
        try:
            parts[name] = read(digest)
        except NotFound:
            return _unasked(capsule, Cause.INPUT_MISSING, f"{name} ({digest}) is not here")
        except Malformed as error:
            return _unasked(capsule, Cause.INPUT_TAMPERED, f"{name}: {error}")
    for name, content in sorted(parts.items()):
        if Digest.of(content) != capsule.refs[name]:
            return _unasked(
                capsule,
                Cause.INPUT_TAMPERED,
                f"{name}: expected {capsule.refs[name]}, found {Digest.of(content)}",
            )
    try:
        again = _ask(capsule, parts)
    except Malformed as error:
        # The bytes are those that were frozen, so it is this engine that reads them differently.
        return _unasked(capsule, Cause.ENGINE_CHANGED, f"{ENGINE} can't evaluate it: {error}")
    return _compare(capsule, again, recorded)


def _ask(capsule: OpenedCapsule, parts: Mapping[str, bytes]) -> Verdict:
    document = {CLOCK: dict(capsule.clock)}
    for name in FACETS:
        document[name] = read_strict(parts[name], where=name)
    compiled = compile_policy(policy_from_blob(parts[POLICY]), where="frozen policy")
    return evaluate_policy(compiled, gate_input(document, where="frozen input")).verdict


def _compare(capsule: OpenedCapsule, again: Verdict, recorded: Digest | None) -> Replay:
    stored = Digest.of(canonical(capsule.verdict))
    diff = verdict_diff(capsule.verdict, again.document())
    promised = recorded or capsule.verdict_digest
    cause: Cause | None = None
    if stored != capsule.verdict_digest or stored != promised:
        cause = Cause.VERDICT_TAMPERED
        sentence = f"the stored verdict has {stored}, recorded was {promised}"
    elif again.digest == stored:
        sentence = f"{again.word} again, {again.digest}"
    elif capsule.engine != ENGINE:
        cause = Cause.ENGINE_CHANGED
        sentence = f"{ENGINE} answers {again.word}, {capsule.engine} did not"
    else:
        cause = Cause.UNEXPLAINED
        sentence = f"same policy, input and engine, but now {again.word}"
    return Replay(
        verdict_id=capsule.verdict_id, cause=cause, sentence=sentence, verdict=again, diff=diff
    )


def _unasked(capsule: OpenedCapsule, cause: Cause, sentence: str) -> Replay:
    return Replay(
        verdict_id=capsule.verdict_id, cause=cause, sentence=sentence, verdict=None, diff=()
    )


def verdict_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """`/decision: "PASS" -> "FAIL"` for each field that differs, sorted by place."""
    before, after = _flat(old), _flat(new)
    return tuple(
        f"{place}: {_shown(before, place)} -> {_shown(after, place)}"
        for place in sorted(before.keys() | after.keys())
        if before.get(place) != after.get(place)
    )


def _flat(verdict: Mapping[str, Any]) -> dict[str, Any]:
    flat = {pointer(name): value for name, value in verdict.items() if name != "results"}
    results = verdict.get("results")
    for n, result in enumerate(results if isinstance(results, list) else []):
        if not isinstance(result, Mapping):
            flat[pointer("results", n)] = result
            continue
        key = f"[{found(result.get('rule'))},{found(result.get('subject'))}]"
        for name in ("level", "detail"):
            place = pointer("results", key, name)
            while place in flat:  # a rule may fire twice on one subject
                place += "'"
            flat[place] = result.get(name)
    return flat


def _shown(flat: Mapping[str, Any], place: str) -> str:
    return found(flat[place]) if place in flat else "nothing"
