"""The batch's way to a verdict is faster, and never another verdict than the ordinary one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.policy.asking import Asker
from engine.policy.canonjson import read_canonical
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import FACETS, gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.model import Policy
from engine.policy.strictjson import read_strict

Blobs = dict[Digest, bytes]


def reading(blobs: Blobs) -> Callable[[Digest], bytes]:
    def read(digest: Digest) -> bytes:
        if digest not in blobs:
            raise NotFound(f"There is no blob {digest}.")
        return blobs[digest]

    return read


def frozen(document: dict[str, Any], blobs: Blobs) -> dict[str, Digest]:
    refs = {}
    for name in FACETS:
        blob = canonical(document[name])
        refs[name] = Digest.of(blob)
        blobs[refs[name]] = blob
    return refs


def both(asker: Asker, compiled: CompiledPolicy, document: dict[str, Any], blobs: Blobs) -> None:
    blobs[compiled.policy.digest] = compiled.policy.blob
    refs = frozen(document, blobs)
    found = asker.verdict(compiled.policy.digest, document["clock"], refs, reading(blobs))
    assert found.blob == evaluate_policy(compiled, gate_input(document)).verdict.blob


_DAY = 86_400


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(-3 * _DAY, 40 * _DAY),
            st.sampled_from(["LOW", "HIGH", "CRITICAL", "UNKNOWN"]),
            st.booleans(),
            st.sampled_from(["UNKNOWN", "RUNTIME_OBSERVED", "CONTESTED"]),
            st.integers(0, 3),
            st.sampled_from(["COMPLETE", "FAILED"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_one_asker_gives_the_verdicts_of_the_ordinary_way(
    compiled: CompiledPolicy, case: dict[str, Any], changes: list[tuple[Any, ...]]
) -> None:
    asker, blobs = Asker(), {}
    for later_s, severity, kev, reach, packages, status in changes:
        document = copy.deepcopy(case)
        document["clock"]["evaluated_at_s"] += later_s
        for finding in document["findings"]:
            finding |= {"severity": severity, "kev": kev, "reach": reach}
        document["components"] = document["components"][:packages]
        for scan in document["scans"]:
            scan["status"] = status
        both(asker, compiled, document, blobs)


@pytest.mark.parametrize(
    "condition",
    [
        "size(input.components) > now",
        "input.clock.evaluated_at_s > 0",
        "has(input.clock)",
        "size(input) == 12",
        "config.missing > 0",
        "now > config.limit",
        "input.findings.exists(f, f.kev) || input.feeds[99].as_of_s > 0",
    ],
)
def test_expressions_of_every_reach(
    write_policy: Callable[..., Policy], case: dict[str, Any], condition: str
) -> None:
    policy = write_policy(
        {"all": [condition]}, {"all": ["size(input.feeds) > 0"]}, config={"limit": 5}
    )
    try:
        compiled = compile_policy(policy)
    except Malformed:
        pytest.skip("lint refuses it")
    asker, blobs = Asker(), {}
    for later_s in (0, 60, 0):
        document = copy.deepcopy(case)
        document["clock"]["evaluated_at_s"] += later_s
        both(asker, compiled, document, blobs)


def test_more_than_the_engines_budget_goes_the_ordinary_way(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    document = copy.deepcopy(case)
    template = document["components"][0]
    document["components"] = [
        {**template, "purl": f"pkg:pypi/lib{n}@1", "name": f"lib{n}"} for n in range(6_000)
    ]
    both(Asker(), compiled, document, {})


@pytest.mark.parametrize("name", FACETS)
def test_what_the_ordinary_way_refuses_is_refused(
    compiled: CompiledPolicy, case: dict[str, Any], name: str
) -> None:
    blobs: Blobs = {compiled.policy.digest: compiled.policy.blob}
    refs = frozen(case, blobs)
    for wrong in (b'{"a":1.5}', b'[{"name":"x"}]', b"[1]", b'{"known":true,"known":true}'):
        digest = Digest.of(wrong)
        blobs[digest] = wrong
        with pytest.raises(Malformed):
            Asker().verdict(
                compiled.policy.digest, case["clock"], {**refs, name: digest}, reading(blobs)
            )


def test_a_doubled_item_is_refused_as_well(compiled: CompiledPolicy, case: dict[str, Any]) -> None:
    document = copy.deepcopy(case)
    document["feeds"].append(document["feeds"][0])
    blobs: Blobs = {compiled.policy.digest: compiled.policy.blob}
    refs = frozen(document, blobs)
    with pytest.raises(Malformed, match="once"):
        Asker().verdict(compiled.policy.digest, case["clock"], refs, reading(blobs))


def test_bytes_that_are_not_the_frozen_ones_are_seen_once_read(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    blobs: Blobs = {compiled.policy.digest: compiled.policy.blob}
    refs = frozen(case, blobs)
    blobs[refs["feeds"]] += b" "
    with pytest.raises(Malformed, match="expected sha256"):
        Asker().verdict(compiled.policy.digest, case["clock"], refs, reading(blobs))


@pytest.mark.parametrize("text", ["café", 'a "b" \\ c\n', "nul\x00", "cafe\u0301", "\U0001f600"])
def test_texts_of_every_kind(compiled: CompiledPolicy, case: dict[str, Any], text: str) -> None:
    document = copy.deepcopy(case)
    document["scans"][0]["detail"] = text
    asker, blobs = Asker(), {}
    try:
        gate_input(document)
    except Malformed:
        with pytest.raises(Malformed):
            both(asker, compiled, document, blobs)
        return
    both(asker, compiled, document, blobs)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.binary(max_size=12) | st.just(b""), st.integers(0, 40))
def test_reading_our_own_json_fast_is_reading_it_strictly(
    value: Any, noise: bytes, place: int
) -> None:
    """The same value or the same refusal; keys outside ASCII are the shape's affair."""
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(
        errors="surrogatepass"
    )
    content = content[:place] + noise + content[place:]
    try:
        strict = read_strict(content, where="x")
    except Malformed as refused:
        try:
            found, canonical = read_canonical(content, where="x")
        except Malformed as also:
            assert str(also) == str(refused)
        else:
            assert canonical and "key" in str(refused) and found == json.loads(content)
        return
    assert read_canonical(content, where="x")[0] == strict
