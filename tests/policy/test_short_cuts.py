"""Every short cut that was taken for speed gives what the long way gives."""

from __future__ import annotations

import copy
import json
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import to_json

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.policy import asking, cel, hostloop
from engine.policy.asking import Asker
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import FACETS, GateDocument, gate_input
from engine.policy.estimate import extent_of, largest
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.hostloop import HostLoop, Names, Programs
from engine.policy.model import Policy
from engine.policy.problems import shape_problems
from engine.policy.strictjson import plain_texts, value_problems

_RELAXED = [HealthCheck.function_scoped_fixture]
texts = st.text(st.characters(exclude_categories=[]), max_size=6)


# --- a document that is sound at a glance -------------------------------------------------------

_ODD = st.one_of(
    texts,
    st.sampled_from(
        ["e\u0301", "\u0338x", "a\0", "\ud800", "\\u0000", '"', "\x7f\x1f\b", "A\u030a"]
    ),
    st.sampled_from([1.0, 2**53, -(2**70), True, None, [], {}, ("x",), b"x", float("nan")]),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from _places(one, (*path, key))


@settings(max_examples=150, deadline=None, suppress_health_check=_RELAXED)
@given(data=st.data())
def test_a_document_is_let_in_exactly_when_the_close_look_finds_nothing(
    data: st.DataObject, case: dict[str, Any]
) -> None:
    document = copy.deepcopy(case)
    *above, last = data.draw(st.sampled_from([*_places(document)]))
    holder: Any = document
    for key in above:
        holder = holder[key]
    holder[last] = data.draw(_ODD)
    closely = value_problems(document) or shape_problems(TypeAdapter(GateDocument), document)
    try:
        found = gate_input(document)
    except Malformed as refused:
        assert closely or "once" in str(refused)
    else:
        assert not closely
        assert found.blobs == {name: canonical(document[name]) for name in FACETS}


@given(st.lists(texts, max_size=4))
def test_texts_are_judged_together_as_one_by_one(found: list[str]) -> None:
    try:
        blob = canonical(found)
    except UnicodeEncodeError:
        return
    if plain_texts(blob):
        assert all("\0" not in one and unicodedata.is_normalized("NFC", one) for one in found)


# --- a facet that is read in one go -------------------------------------------------------------


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=4), inner)
        ),
        max_leaves=8,
    )
)
def test_the_other_writer_writes_what_the_canonicaliser_writes(value: Any) -> None:
    ordered = json.loads(json.dumps(value, sort_keys=True))
    assert to_json(ordered) == canonical(value)


def test_facets_of_our_own_making_take_the_fast_way(case: dict[str, Any]) -> None:
    """A field that stands out of order in its shape would be slow and not wrong; this tells."""
    for name in FACETS:
        found = asking._facet(name, canonical(case[name]))
        assert found.sound and found.value == case[name], name


@settings(max_examples=100, deadline=None, suppress_health_check=_RELAXED)
@given(data=st.data())
def test_a_facet_is_sound_only_if_the_ordinary_way_lets_it_in(
    data: st.DataObject, case: dict[str, Any]
) -> None:
    name = data.draw(st.sampled_from(FACETS))
    content = canonical(case[name])
    place = data.draw(st.integers(0, len(content)))
    noise = data.draw(st.binary(max_size=3) | st.sampled_from([b" ", b"0", b".0", b"\\u0041"]))
    changed = content[:place] + noise + content[place + data.draw(st.integers(0, 2)) :]
    try:
        found = asking._facet(name, changed)
    except Malformed:
        return
    if found.sound:
        passed = gate_input({**case, name: json.loads(changed)})
        assert passed.blobs[name] == changed and passed.document[name] == found.value


def test_a_long_list_is_cut_and_judged_the_same(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    template = case["findings"][0]
    case["findings"] = [
        {**template, "key": f"F-{n}", "id": f"F-{n}", "kev": n % 2 == 0}
        for n in range(asking._ITEMS_MAX + 1)
    ]
    checked = gate_input(case)
    blobs = {checked.refs[name]: blob for name, blob in checked.blobs.items()}
    blobs[compiled.policy.digest] = compiled.policy.blob
    found = Asker().verdict(compiled.policy.digest, case["clock"], checked.refs, blobs.__getitem__)
    whole = evaluate_policy(compiled, checked, form=Form.COMBINED).verdict
    assert found.blob == whole.blob and whole.fail > asking._ITEMS_MAX / 2


def test_an_asker_forgets_and_still_answers(
    compiled: CompiledPolicy, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_FACET_BYTES_KEPT", 10)
    monkeypatch.setattr(asking, "_ANSWERS_KEPT", 1)
    asker = Asker()
    for runtime_bp in (0, 9_000, 0):
        case["reachability"]["runtime_bp"] = runtime_bp
        checked = gate_input(case)
        blobs = {checked.refs[name]: blob for name, blob in checked.blobs.items()}
        blobs[compiled.policy.digest] = compiled.policy.blob
        found = asker.verdict(
            compiled.policy.digest, case["clock"], checked.refs, blobs.__getitem__
        )
        assert found.digest == evaluate_policy(compiled, checked).verdict.digest
        assert found.digest == Digest.of(found.blob)


def test_a_variable_without_a_value_is_no_missing_answer(
    write_policy: Callable[..., Policy], case: dict[str, Any]
) -> None:
    policy = write_policy({"all": ["nothing == null"]}, variables={"nothing": "null"})
    compiled = compile_policy(policy)
    checked = gate_input(case)
    blobs = {checked.refs[name]: blob for name, blob in checked.blobs.items()}
    blobs[policy.digest] = policy.blob
    asker = Asker()
    for _ in range(2):
        found = asker.verdict(policy.digest, case["clock"], checked.refs, blobs.__getitem__)
        assert found.blob == evaluate_policy(compiled, checked).verdict.blob
        assert found.warn == 1


# --- lists made in slices -----------------------------------------------------------------------

_LOOPS = (
    "x.f.filter(i, i > 2)",
    "x.f.map(i, [i, 6 / i])",
    "x.f.map(i, i != 0, 6 / i)",
    "x.f.exists_one(i, i == 3)",
    "x.f.filter(i, i > 1).map(i, x.f.filter(j, j > i))",
    "['a', 'b'].map(s, [s, string(size(x.f.filter(i, i > 4)))])",
    "x.f.exists(i, x.f.map(j, j + i) == [])",
    "x.g.map(i, i)",
    "x.n.filter(i, true)",
    "x.f.map(x, x + 1)",
)


@settings(max_examples=60, deadline=None, suppress_health_check=_RELAXED)
@given(
    text=st.sampled_from(_LOOPS),
    items=st.lists(st.integers(0, 6), max_size=12),
    most=st.integers(1, 5),
    limit=st.integers(0, 40),
)
def test_a_list_made_in_slices_is_the_list(
    text: str, items: list[int], most: int, limit: int
) -> None:
    tree = cel.Environment(["x"]).compile(text).tree
    names = {"x": {"f": items, "n": None}}

    def answer(limit: int) -> Any:
        try:
            return HostLoop(Programs(), limit).value(tree, Names(names))
        except cel.EvaluationFailed:
            return "no answer"

    whole = answer(hostloop.UNLIMITED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hostloop, "BUILT_MAX", most)
        assert answer(limit) == whole


@given(
    st.lists(
        st.recursive(
            st.none() | st.integers(0, 2) | st.text(max_size=1),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
            ),
            max_leaves=12,
        ),
        max_size=4,
    )
)
def test_the_extent_of_many_is_the_largest_of_each(values: list[Any]) -> None:
    assert extent_of(values).item == largest(map(extent_of, values))
