"""A capsule asked again: the same answer, or the right name for what happened to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.core.replays import Cause
from engine.policy.capsule import Capsule, open_capsule, seal_capsule
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import FACETS, gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.identity import Identity, identity
from engine.policy.model import Policy
from engine.policy.replay import replay_capsule

Blobs = dict[Digest, bytes]


def reader(blobs: Blobs) -> Callable[[Digest], bytes]:
    def read(digest: Digest) -> bytes:
        if digest not in blobs:
            raise NotFound(f"There is no blob {digest}.")
        return blobs[digest]

    return read


def sealed(
    compiled: CompiledPolicy, case: dict[str, Any], *, engine: str = ""
) -> tuple[Capsule, Blobs]:
    given = gate_input(case)
    here = identity()
    maker = (
        here
        if not engine
        else Identity(
            engine=engine,
            engine_code=here.engine_code,
            crosscheck=here.crosscheck,
            python=here.python,
        )
    )
    capsule = seal_capsule(
        verdict_id="verdict-7",
        run="run-7",
        step="gate-eval",
        policy=compiled.policy,
        given=given,
        evaluation=evaluate_policy(compiled, given),
        identity=maker,
        matcher="rl-match/1",
        raw={"feed:KEV": Digest.of(b"kev")},
    )
    return capsule, {Digest.of(part): part for part in capsule.parts.values()}


def changed(capsule: Capsule, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(capsule.blob)
    change(document)
    return canonical(document)


def test_the_same_question_has_the_same_answer(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    capsule, blobs = sealed(compiled, case)
    again = replay_capsule(capsule.blob, reader(blobs))
    assert (again.result, again.cause, again.diff) == ("MATCH", None, ())
    assert again.verdict is not None and again.verdict.word == "PASS (2 WARN)"
    recorded = Digest.parse(capsule.document["verdict_digest"])
    assert replay_capsule(capsule.blob, reader(blobs), recorded=recorded).matches


def test_a_capsule_is_small_and_names_everything(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    capsule, blobs = sealed(compiled, case)
    assert len(capsule.blob) < 4_000
    assert set(capsule.document["refs"]) == {"policy", *FACETS}
    assert len(blobs) == len({*capsule.document["refs"].values()})
    opened = open_capsule(capsule.blob)
    assert opened.verdict_digest == Digest.of(canonical(opened.verdict))


@pytest.mark.parametrize("name", ["policy", *FACETS])
def test_a_missing_or_damaged_part_is_named(
    name: str, compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    capsule, blobs = sealed(compiled, case)
    digest = Digest.parse(capsule.document["refs"][name])
    content = blobs.pop(digest)
    same = sorted(n for n, d in capsule.document["refs"].items() if d == str(digest))
    missing = replay_capsule(capsule.blob, reader(blobs))
    assert missing.cause is Cause.INPUT_MISSING and missing.sentence.startswith(same[0])
    blobs[digest] = content + b" "
    tampered = replay_capsule(capsule.blob, reader(blobs))
    assert tampered.cause is Cause.INPUT_TAMPERED and tampered.sentence.startswith(same[0])
    assert str(digest) in tampered.sentence


def test_a_result_taken_out_of_the_verdict_shows(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    capsule, blobs = sealed(compiled, case)

    def remove(document: dict[str, Any]) -> None:
        document["verdict"]["results"].pop(0)
        document["verdict"]["warn"] = 1

    again = replay_capsule(changed(capsule, remove), reader(blobs))
    assert again.cause is Cause.VERDICT_TAMPERED
    told = [str(one) for one in again.diff]
    assert "/warn: 1 -> 2" in told
    assert any('["feed.stale.warn","NVD"]' in line and "nothing ->" in line for line in told)

    def remove_and_rehash(document: dict[str, Any]) -> None:
        remove(document)
        document["verdict_digest"] = str(Digest.of(canonical(document["verdict"])))

    recorded = Digest.parse(capsule.document["verdict_digest"])
    forged = changed(capsule, remove_and_rehash)
    assert replay_capsule(forged, reader(blobs), recorded=recorded).cause is Cause.VERDICT_TAMPERED
    # Without the run's log the forgery can still be seen: the question has another answer.
    assert replay_capsule(forged, reader(blobs)).cause is Cause.UNEXPLAINED


def test_another_engine_is_blamed_before_nothing_is(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    capsule, blobs = sealed(compiled, case, engine="cel-cpp/0.1.2")

    def other(document: dict[str, Any]) -> None:
        document["verdict"]["results"][0]["detail"] = "feed NVD is old"
        document["verdict_digest"] = str(Digest.of(canonical(document["verdict"])))

    assert replay_capsule(capsule.blob, reader(blobs)).matches
    again = replay_capsule(changed(capsule, other), reader(blobs))
    assert again.cause is Cause.ENGINE_CHANGED
    assert again.document()["result"] == "MISMATCH"


def test_a_policy_that_this_engine_refuses_is_a_mismatch_and_no_crash(
    write_policy: Callable[..., Policy], case: dict[str, Any]
) -> None:
    compiled = compile_policy(write_policy({"all": ["true"]}))
    capsule, blobs = sealed(compiled, case)
    foreign = write_policy({"all": ["true"]}, require="cel-cpp==9.9").blob
    blobs[Digest.of(foreign)] = foreign

    def other(document: dict[str, Any]) -> None:
        document["refs"]["policy"] = str(Digest.of(foreign))

    again = replay_capsule(changed(capsule, other), reader(blobs))
    assert again.cause is Cause.ENGINE_CHANGED and "cel-cpp==9.9" in again.sentence


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"no json", "expected JSON"),
        (b"[]", "releaseline.capsule/1"),
        (b'{"schema":"releaseline.capsule/1"}', "capsule.refs: expected an object"),
        (b'{"schema":"releaseline.capsule/1","refs":{"policy":"x"}}', "capsule.refs: expected"),
    ],
)
def test_what_is_no_capsule_is_refused_by_name(blob: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        replay_capsule(blob, reader({}))
