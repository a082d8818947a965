"""The one canonicaliser against an independent one, and against what it must refuse."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.jcs import canonical

VECTORS = Path(__file__).parents[3] / "shared/vectors/jcs"

texts = st.text(st.characters(exclude_categories=("Cs",)))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(value=values)
def test_agrees_with_an_independent_implementation(value: Any) -> None:
    written = canonical(value)
    assert written == rfc8785.dumps(value)
    assert canonical(json.loads(written)) == written


def test_keys_go_in_utf16_order() -> None:
    # U+FB33 comes after U+1F600 in code units (D83D...), before it in code points.
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()
    assert canonical({"b": (1, 2), "a": None}) == b'{"a":null,"b":[1,2]}'
    assert canonical('\x00\x1f\x7f\u2028"\\/\n') == b'"\\u0000\\u001f\x7f\xe2\x80\xa8\\"\\\\/\\n"'


def test_words_and_numbers_of_enumerations() -> None:
    class Word(StrEnum):
        ONE = "one"

    class Number(IntEnum):
        ONE = 1

    assert canonical([Word.ONE, Number.ONE, True, 1]) == b'["one",1,true,1]'


@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), b"bytes", {1, 2}, object(), [1, [2.5]]])
def test_refuses_what_may_not_be_signed(value: Any) -> None:
    with pytest.raises(TypeError, match="may not appear in a signed document"):
        canonical(value)


@pytest.mark.parametrize("key", [1, None, True, b"k"])
def test_refuses_keys_that_are_no_text(key: Any) -> None:
    with pytest.raises(TypeError, match="may not be a key in a signed document"):
        canonical({"a": {key: 1}})


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**30])
def test_refuses_integers_that_others_round(value: int) -> None:
    with pytest.raises(ValueError, match="not exact in every JSON reader"):
        canonical(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}])
def test_refuses_what_is_no_unicode(value: Any) -> None:
    with pytest.raises(UnicodeEncodeError):
        canonical(value)


def test_published_vectors() -> None:
    if not VECTORS.exists():
        pytest.skip("the RFC 8785 vectors are not on this machine")
    inputs = sorted((VECTORS / "input").glob("*.json")) or sorted(VECTORS.rglob("input/*.json"))
    assert inputs
    read = 0
    for path in inputs:
        value = json.loads(path.read_text())
        expected = (path.parent.parent / "output" / path.name).read_bytes()
        try:
            written = canonical(value)
        except (TypeError, ValueError):
            assert any(c in path.read_text() for c in ".eE"), path.name  # it holds a float
            continue
        assert written == expected, path.name
        read += 1
    assert read >= 2
