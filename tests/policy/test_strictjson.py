"""JSON that two readers could understand differently never comes in; the rest keeps its digest."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.policy.document import gate_input, read_gate_input
from engine.policy.strictjson import INT_MAX, read_strict, value_problems

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(
    lambda text: unicodedata.normalize("NFC", text)
)
keys = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_read_is_what_was_written(value: Any) -> None:
    assert read_strict(canonical(value), where="t") == value
    loose = json.dumps(value, indent=2, ensure_ascii=True).encode()
    assert canonical(read_strict(loose, where="t")) == canonical(value) == rfc8785.dumps(value)


@given(st.floats())
def test_no_float_comes_in(value: float) -> None:
    with pytest.raises(Malformed):
        read_strict(json.dumps({"a": [value]}).encode(), where="t")
    assert [one.where for one in value_problems({"a": [value]})] == ["/a/0"]


@given(st.binary(max_size=40))
def test_no_bytes_crash_the_reader(content: bytes) -> None:
    try:
        value = read_strict(content, where="t")
    except Malformed as refused:
        assert str(refused).startswith("t: ")
    else:
        assert not value_problems(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 1}', "/a: expected each key once"),
        ('{"a": 9007199254740992}', "/a: expected an integer of at most 2^53 - 1"),
        ('{"a": ' + "9" * 5_000 + "}", "/a: expected an integer"),
        ('{"a": NaN}', "/a: expected an integer"),
        ('{"\u00e9": 1}', "expected a key of ASCII characters"),
        ('{"a": "e\u0301"}', "/a: expected text in Unicode form NFC"),
        ('{"a": "ciso\\u0000x"}', "/a: expected text without U+0000"),
        ('{"a\\u0000": 1}', "expected a key of ASCII characters"),
        ('{"a": "\\ud800"}', "/a: expected Unicode text"),
        ("[" * 70 + "]" * 70, "expected at most 64 levels"),
        ("[" * 100_000, "t: expected"),
        ('{"a": 1.0, "b": 2.0}', "2 problems"),
        ("{", "line 1, column 2"),
    ],
)
def test_what_is_refused_is_named(text: str, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_strict(text.encode(), where="t")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda case: case.pop("feeds"), "/feeds: expected this field"),
        (lambda case: case.update(extra=1), "/extra: expected no such field"),
        (lambda case: case["feeds"][0].update(as_of_s="1"), "/feeds/0/as_of_s: expected integer"),
        (lambda case: case["findings"][0].update(severity="BAD"), "/findings/0/severity: expected"),
        (lambda case: case["feeds"].append(case["feeds"][0]), "/feeds: expected each name once"),
        (lambda case: case["reachability"].update(runtime_bp=10_001), "/reachability/runtime_bp"),
        (lambda case: case["sboms"][0].update(digest="sha1:1"), "/sboms/0/digest: expected"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(
    change: Any, says: str, case: dict[str, Any]
) -> None:
    change(case)
    with pytest.raises(Malformed) as refused:
        gate_input(case)
    assert says in str(refused.value)


def test_the_digest_of_an_input_does_not_hang_on_its_spelling(case: dict[str, Any]) -> None:
    one = read_gate_input(json.dumps(case, indent=1).encode(), where="t")
    other = read_gate_input(json.dumps(case, sort_keys=True).encode(), where="t")
    assert one.digest == other.digest and one.refs == other.refs
    case["feeds"].reverse()
    assert gate_input(case).digest != one.digest  # an order in an array is a fact
