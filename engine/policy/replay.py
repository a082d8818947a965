"""Asks a frozen question again and says whether the answer is the same, and if not, why.

This is the shallow replay: from the frozen gate input to the verdict. It proves the decision.
The causes are tried in a fixed order, so that the same damage always gets the same name. There is
no tolerance: two verdicts are the same when their bytes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.core.replays import Cause
from engine.policy.asking import Asker
from engine.policy.attribution import answer_digest
from engine.policy.capsule import OpenedCapsule, open_capsule
from engine.policy.document import FACETS, input_digest
from engine.policy.evaluate import evaluate_policy
from engine.policy.frozen import Read, frozen_input, frozen_policy
from engine.policy.identity import ENGINE, identity
from engine.policy.problems import found, pointer
from engine.policy.verdict import Verdict

CAPSULE: Final = "capsule"
VERDICT: Final = "verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A place where two verdicts differ. `at`: JSON pointer, results by [rule, subject]."""

    at: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.at}: {self.then} -> {self.now}"

    def document(self) -> dict[str, str]:
        return {"at": self.at, "then": self.then, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Attributes:
    cause: None when the answer is the same.
    facet: what the cause is about; empty when it is about no single part.
    sentence: what was found, for people.
    then: the stored verdict, as it stands in the capsule.
    verdict: what came out now; None when the question could not be asked again.
    diff: each field that differs.
    """

    capsule: OpenedCapsule
    cause: Cause | None
    facet: str
    sentence: str
    verdict: Verdict | None
    diff: tuple[Change, ...]

    @property
    def verdict_id(self) -> str:
        return self.capsule.verdict_id

    @property
    def then(self) -> Mapping[str, Any]:
        return self.capsule.verdict

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
            "diff": [str(one) for one in self.diff],
        }


def replay_capsule(
    blob: bytes,
    read: Read,
    *,
    recorded: Digest | None = None,
    asker: Asker | None = None,
) -> Replay:
    """Replay the capsule in `blob`.

    Args:
        read: gives a blob; raises `NotFound`, or `Malformed` when it lost its digest.
        recorded: the verdict digest as it stands in the run's log, when there is one.
        asker: of a batch, that remembers what it read; None = all of it is read and asked anew.

    Raises:
        Malformed: `blob` is no capsule.
    """
    capsule = open_capsule(blob)
    parts: dict[str, bytes] = {}
    try:
        for name, digest in sorted(capsule.refs.items()):
            facet = name
            if asker is None:
                parts[name] = read_part(name, digest, read)
            elif name in FACETS:
                asker.know(name, digest, _reading(name, read))
    except NotFound:
        return _unasked(capsule, Cause.INPUT_MISSING, facet, f"{facet} ({digest}) is not here")
    except _Damaged as error:
        return _unasked(capsule, Cause.INPUT_TAMPERED, facet, str(error))
    except Malformed:
        pass  # the bytes are those that were frozen: the engine has its say below
    try:
        if asker is None:
            again = _ask(capsule, parts)
        else:
            policy = _reading("policy", read)
            asker.compiled(capsule.policy, policy)
            again = asker.verdict(capsule.policy, capsule.clock, capsule.refs, read)
    except NotFound:
        return _unasked(
            capsule, Cause.INPUT_MISSING, "policy", f"policy ({capsule.policy}) is not here"
        )
    except _Damaged as error:
        return _unasked(capsule, Cause.INPUT_TAMPERED, "policy", str(error))
    except Malformed as error:
        # The bytes are those that were frozen, so it is this engine that reads them differently.
        sentence = f"{ENGINE} can't evaluate it: {error}"
        return _unasked(capsule, Cause.ENGINE_CHANGED, "engine", sentence)
    return _compare(capsule, again, recorded)


class _Damaged(Malformed):
    """The bytes are not those that the digest was made of."""


def read_part(name: str, digest: Digest, read: Read) -> bytes:
    """A part's bytes, re-hashed. Raises `NotFound`, or `Malformed` for other bytes."""
    try:
        content = read(digest)
    except Malformed as error:
        raise _Damaged(str(error), where=name) from error
    if Digest.of(content) != digest:
        raise _Damaged(f"expected {digest}, found {Digest.of(content)}", where=name)
    return content


def _reading(name: str, read: Read) -> Read:
    return lambda digest: read_part(name, digest, read)


def unreadable(error: NotFound | Malformed, digest: Digest) -> tuple[Cause, str]:
    """The cause and the sentence for a capsule whose own bytes can't be had."""
    if isinstance(error, NotFound):
        return Cause.INPUT_MISSING, f"the capsule ({digest}) is not here"
    return Cause.INPUT_TAMPERED, f"the capsule: {error}"


def _ask(capsule: OpenedCapsule, parts: Mapping[str, bytes]) -> Verdict:
    read = {capsule.refs[name]: content for name, content in parts.items()}.__getitem__
    return evaluate_policy(frozen_policy(capsule, read), frozen_input(capsule, read)).verdict


def _compare(capsule: OpenedCapsule, again: Verdict, recorded: Digest | None) -> Replay:
    stored = Digest.of(canonical(capsule.verdict))
    promised = recorded or capsule.verdict_digest
    cause: Cause | None = None
    facet = ""
    if stored != capsule.verdict_digest or stored != promised:
        cause, facet = Cause.VERDICT_TAMPERED, VERDICT
        sentence = f"the stored verdict has {stored}, recorded was {promised}"
    elif again.digest == stored:
        sentence = f"{again.word} again, {again.digest}"
    elif str(input_digest(capsule.clock, capsule.refs)) != capsule.verdict.get("input"):
        cause, facet = Cause.INPUT_TAMPERED, "clock or refs"
        given = input_digest(capsule.clock, capsule.refs)
        sentence = f"the verdict is about input {capsule.verdict.get('input')}, these are {given}"
    else:
        cause, facet, sentence = _other_answer(capsule, again)
    diff = verdict_diff(capsule.verdict, again.document()) if cause is not None else ()
    return Replay(
        capsule=capsule, cause=cause, facet=facet, sentence=sentence, verdict=again, diff=diff
    )


def policy_cause(replay: Replay, now: Verdict) -> Cause | None:
    """What another policy changed of a recorded answer; None when it gives the same."""
    if answer_digest(replay.then) == answer_digest(now.document()):
        return None
    return _policy_cause(replay.then["decision"], now.decision)


def _policy_cause(then: object, now: object) -> Cause:
    return Cause.POLICY_CHANGED_SAME_DECISION if then == now else Cause.POLICY_CHANGED


def _other_answer(capsule: OpenedCapsule, again: Verdict) -> tuple[Cause, str, str]:
    """Why an untouched question about untouched facts has another answer now."""
    if str(again.policy) != capsule.verdict.get("policy"):
        policies = f"judged by {capsule.verdict.get('policy')}, asked again by {again.policy}"
        cause = _policy_cause(capsule.verdict.get("decision"), again.decision)
        same = cause is Cause.POLICY_CHANGED_SAME_DECISION
        said = f"{again.decision} as before, but" if same else f"now {again.word}:"
        return cause, "policy", f"{said} {policies}"
    here = identity()
    code = capsule.env.get("engine_code")
    if capsule.engine != ENGINE:
        sentence = f"{ENGINE} answers {again.word}, {capsule.engine} did not"
        return Cause.ENGINE_CHANGED, "engine", sentence
    if code is not None and code != str(here.engine_code):
        sentence = f"{ENGINE} built as {here.engine_code} answers {again.word}, {code} did not"
        return Cause.ENGINE_CHANGED, "engine", sentence
    sentence = f"same policy, input and engine, but now {again.word}"
    return Cause.UNEXPLAINED, "", sentence


def _unasked(capsule: OpenedCapsule, cause: Cause, facet: str, sentence: str) -> Replay:
    return Replay(
        capsule=capsule, cause=cause, facet=facet, sentence=sentence, verdict=None, diff=()
    )


def verdict_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Each field that differs, sorted by place."""
    before, after = _flat(old), _flat(new)
    return tuple(
        Change(at=place, then=_shown(before, place), now=_shown(after, place))
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
