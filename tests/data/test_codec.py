"""Every event and every row survives the way to JSON and back; what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.codec import (
    ROW_TYPES,
    canonical_body,
    from_document,
    kind_of,
    row_from_document,
    to_document,
)
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.events import EVENT_TYPES
from engine.core.jcs import canonical
from engine.core.spec import StepKind
from tests.core.simulated import request

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
CLASSES: dict[str, Any] = {**EVENT_TYPES, **ROW_TYPES}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotation. Written apart from the codec, which it tests."""
    plain: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(-(2**53) + 1, 2**53 - 1),
        bool: st.booleans(),
        Digest: st.binary(max_size=4).map(Digest.of),
    }
    if annotation in plain:
        return plain[annotation]
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if isinstance(annotation, types.UnionType):
        return st.one_of(st.none(), *(values(a) for a in arguments if a is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    hints = typing.get_type_hints(annotation)
    fields = {f.name: values(hints[f.name]) for f in dataclasses.fields(annotation)}
    return st.builds(annotation, **fields)


def read(kind: str, body: Any) -> Any:
    return from_document(kind, body) if kind in EVENT_TYPES else row_from_document(kind, body)


@pytest.mark.parametrize("kind", sorted(CLASSES))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    value = data.draw(values(CLASSES[kind]))
    text = canonical_body(value)
    assert read(kind, json.loads(text)) == value
    assert canonical(json.loads(text)).decode() == text
    assert kind_of(value) == kind
    assert set(to_document(value)) == {f.name for f in dataclasses.fields(value)}


@pytest.mark.parametrize("kind", sorted(CLASSES))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_field_that_is_wrong_is_named(kind: str, data: st.DataObject) -> None:
    document = json.loads(canonical_body(data.draw(values(CLASSES[kind]))))
    with pytest.raises(Malformed, match="no such field") as unknown:
        read(kind, document | {"surprise": 1})
    assert unknown.value.where == f"{kind}.surprise"
    for field in dataclasses.fields(CLASSES[kind]):
        # A float fits no annotation at all.
        with pytest.raises(Malformed, match="expected") as wrong:
            read(kind, document | {field.name: 0.5})
        assert wrong.value.where == f"{kind}.{field.name}"
        without = {k: v for k, v in document.items() if k != field.name}
        if field.default is dataclasses.MISSING:
            with pytest.raises(Malformed, match="found none") as missing:
                read(kind, without)
            assert missing.value.where == f"{kind}.{field.name}"
        else:
            assert getattr(read(kind, without), field.name) == field.default


def test_damage_deep_inside_is_named_by_its_path() -> None:
    document = to_document(request())
    document["steps"][2]["kind"] = "dance"
    with pytest.raises(Malformed) as damage:
        from_document("run.requested/1", document)
    assert damage.value.where == "run.requested/1.steps[2].kind"
    for kind in StepKind:
        assert kind.value in str(damage.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", True),
        ("number", "1"),
        ("number", None),
        ("bundle", "sha256:ABC"),
        ("bundle", 7),
        ("targets", "t-01"),
        ("targets", [1]),
        ("approval", []),
        ("kind", None),
    ],
)
def test_neighbouring_types_do_not_pass(field: str, value: Any) -> None:
    with pytest.raises(Malformed, match=field):
        from_document("run.requested/1", to_document(request()) | {field: value})


def test_unknown_kinds_and_bodies() -> None:
    with pytest.raises(Malformed, match=r"event 'run.exploded/1'"):
        from_document("run.exploded/1", {})
    with pytest.raises(Malformed, match="row 'nothing'"):
        row_from_document("nothing", {})
    with pytest.raises(Malformed, match="expected an object"):
        from_document("run.requested/1", ["x"])
