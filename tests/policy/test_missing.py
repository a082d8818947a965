"""Whatever is missing from an input, or is of a wrong kind, never turns a verdict into PASS."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.policy.compile import CompiledPolicy
from engine.policy.document import gate_input
from engine.policy.evaluate import Form, evaluate_policy
from tests.policy import generated

Path = tuple[str | int, ...]

# Facts that speak against a promotion, one by one. Without them it is another promotion: what is
# seen of a bundle is proven by the raw sources, whose digests stand in the capsule.
_ACCUSATIONS = {"findings", "components", "scans", "promotion"}


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every JSON pointer below `value`, as a tuple."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def at(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document


def changed(document: dict[str, Any], path: Path, *values: Any) -> dict[str, Any]:
    """`document` without what stands at `path`, or with a value there."""
    result = copy.deepcopy(document)
    holder = at(result, path[:-1])
    if values:
        holder[path[-1]] = values[0]
    else:
        del holder[path[-1]]
    return result


def decision(compiled: CompiledPolicy, document: dict[str, Any]) -> str:
    """FAIL also when the document is refused: then there is no verdict and nothing goes on."""
    try:
        asked = gate_input(document)
    except Malformed:
        return "refused"
    return evaluate_policy(compiled, asked).verdict.decision


def test_no_field_of_the_example_can_be_left_out(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    dropped = [path for path in places(case) if isinstance(path[-1], str)]
    assert len(dropped) > 80
    assert {decision(compiled, changed(case, path)) for path in dropped} == {"refused"}


def test_no_item_that_is_asked_for_can_be_left_out(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    """Of lists the items: a feed or an SBOM that is gone is missed."""
    dropped = [path for path in places(case) if path[0] in {"feeds", "sboms"} and len(path) == 2]
    assert len(dropped) == 5
    assert {decision(compiled, changed(case, path)) for path in dropped} == {"FAIL"}
    for facet in ("feeds", "sboms"):
        assert decision(compiled, changed(case, (facet,), [])) == "FAIL"


WRONG: list[Any] = [None, "", "x", 0, -1, 1, 1.5, True, [], {}, [None], "\u200b", "ＮＶＤ"]


def test_no_value_of_another_kind_turns_a_fail_into_a_pass(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    """On the example made FAIL by its feeds: null, another type, negative, empty, look-alikes."""
    del case["feeds"][1]
    assert decision(compiled, case) == "FAIL"
    passed = [
        (path, wrong)
        for path in places(case)
        for wrong in WRONG
        if decision(compiled, changed(case, path, wrong)) == "PASS"
    ]
    assert passed == []


@pytest.mark.parametrize("name", ["nvd", "NVD ", "ΝVD", "N\u200bVD", "NVD\x00", "ＮＶＤ"])
def test_a_feed_that_only_looks_like_the_one_asked_for_is_not_it(
    name: str, compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    (nvd,) = (feed for feed in case["feeds"] if feed["name"] == "NVD")
    nvd["name"] = name
    assert decision(compiled, case) == ("refused" if "\0" in name else "FAIL")


def test_a_feed_or_sbom_given_twice_is_refused(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    """A fresh one beside the stale one would else be a matter of order."""
    for facet in ("feeds", "sboms", "components", "findings", "scans"):
        doubled = json.loads(json.dumps(case))
        doubled[facet].append(doubled[facet][0])
        assert decision(compiled, doubled) == "refused"


@pytest.mark.parametrize("days", [-1, 1, 20_000])
def test_a_clock_that_is_wrong_only_ever_fails(
    days: int, compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    """Behind: everything is dated after it. Ahead: everything is stale."""
    case["clock"]["evaluated_at_s"] += days * 86_400
    assert decision(compiled, case) == "FAIL"


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=generated.documents(), data=st.data())
def test_dropping_anything_but_an_accusation_never_makes_a_pass(
    document: dict[str, Any], data: st.DataObject, compiled: CompiledPolicy
) -> None:
    paths = list(places(document))
    path = data.draw(st.sampled_from(paths))
    before = decision(compiled, document)
    after = decision(compiled, changed(document, path))
    if isinstance(path[-1], str):
        assert after == "refused"
    elif path[0] not in _ACCUSATIONS | {"feeds", "sboms"}:
        assert after != "PASS" or before == "PASS"
    elif path[0] in {"feeds", "sboms"} and len(path) == 2:
        lacking = at(document, path)
        wanted = {*compiled.policy.config["required_feeds"], *_components(document)}
        if {lacking.get("name"), lacking.get("component")} & wanted:
            assert after == "FAIL"


def _components(document: dict[str, Any]) -> list[str]:
    names: list[str] = document["promotion"]["bundle"]["components"]
    return names


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=generated.documents())
def test_no_field_of_any_input_can_be_left_out(
    document: dict[str, Any], compiled: CompiledPolicy
) -> None:
    for path in places(document):
        if isinstance(path[-1], str):
            with pytest.raises(Malformed, match="expected this field, found nothing"):
                gate_input(changed(document, path))


def test_a_field_that_a_policy_misses_is_a_failure_in_every_form(
    compiled: CompiledPolicy, case: dict[str, Any]
) -> None:
    """Behind the check of the document: even a document that came in unchecked fails."""
    asked = gate_input(case)
    for path in places(case):
        if not isinstance(path[-1], str) or path[0] in {"clock"}:
            continue
        broken = changed(case, path)
        unchecked = type(asked)(
            document=broken, blobs=asked.blobs, refs=asked.refs, digest=asked.digest
        )
        for form in Form:
            verdict = evaluate_policy(compiled, unchecked, form=form).verdict
            whole = evaluate_policy(compiled, asked, form=form).verdict
            assert verdict.error or verdict.results == whole.results, (path, form)
