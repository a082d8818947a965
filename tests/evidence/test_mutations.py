"""Any place of any signed JSON file, changed in any way: nothing may differ and still be accepted.

After each change the list of files is signed anew with the very keys that the pack is judged by, as
a thief of the keys would do; so the list is of no help, and the file has to speak for itself.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.core.jcs import canonical
from engine.evidence.drill_copy import Files, read_original, receipt_of, without
from engine.evidence.drill_forger import Forger, forger, pack_signed, perform
from engine.evidence.drill_script import Script, read_script
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.pack import read_pack
from engine.evidence.strict import parse_object
from engine.evidence.tlog_entry import parse_receipt
from engine.evidence.trust import parse_trusted_root
from engine.evidence.verify import MANIFEST, SUMS, SUMS_BUNDLE, Report, verify_pack
from tests.evidence.conftest import Played

pytestmark = pytest.mark.house

SLOW = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
Place = tuple[str | int, ...]


class Stolen:
    """A good pack, and all keys that it was signed with. `leaves`: of the log, before its list."""

    def __init__(self, script: Script, by: Forger, files: Files, leaves: tuple[bytes, ...]) -> None:
        self.script, self.by, self.files, self.leaves = script, by, files, leaves

    def judge(self, files: Files) -> Report:
        """The verdict on `files` after their list was signed anew into the same log."""
        content = pack_signed(
            self.script, self.by, Tree(self.leaves), without(files, SUMS, SUMS_BUNDLE)
        )
        return verify_pack(content, trusted_root=self.by.trusted_root)

    def judge_as_it_is(self, files: Files) -> Report:
        return verify_pack(self.script.original.pack(files), trusted_root=self.by.trusted_root)

    @property
    def documents(self) -> list[str]:
        """The signed files that are JSON, and those that tell of the log and of the pack."""
        return sorted(
            name
            for name in self.files
            if name.endswith((".sigstore.json", "rekor-entry.json"))
            or name in {"proof-chain.json", "log/consistency.json", MANIFEST}
        )


def stolen(played: Played) -> Stolen:
    trusted = parse_trusted_root(played.trusted)
    original = read_original(played.audit, trusted)
    script = read_script(original, trusted)
    by = forger(b"a thief", trusted, witness="witness.releaseline.local")
    files = read_pack(perform(script, by)).files
    receipts = [
        parse_receipt(parse_object(content, where=name), where=name)
        for name, content in files.items()
        if name.endswith("rekor-entry.json")
    ]
    receipts.sort(key=lambda one: one.index)
    return Stolen(script, by, files, tuple(leaf_hash(one.body) for one in receipts))


@pytest.fixture(scope="module")
def small(rejected: Played) -> Stolen:
    return stolen(rejected)


@pytest.fixture(scope="module")
def whole(healthy: Played) -> Stolen:
    return stolen(healthy)


def leaves(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place that holds no list or object, and every empty one."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    if not inner:
        yield at
    for key, one in inner:
        yield from leaves(one, (*at, key))


def found_at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def put(document: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(document)
    found_at(changed, place[:-1])[place[-1]] = value
    return changed


def otherwise(value: Any) -> Any:
    """The smallest change that is one: a neighbouring number, a turned bit, another truth."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str() if value.isdecimal():
            return str(int(value) + 1)
        case str() if value:
            middle = len(value) // 2
            return value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
        case _:
            return "x"


def agreeing(files: Files, name: str, document: Any) -> dict[str, bytes]:
    """`files` with `document` under `name`, and the files beside it made to agree with it."""
    changed = {**files, name: canonical(document)}
    stem = name.removesuffix(".sigstore.json")
    if stem == name or f"{stem}.dsse" not in files:
        return changed
    if isinstance(document.get("dsseEnvelope"), dict):
        changed[f"{stem}.dsse"] = canonical(document["dsseEnvelope"])
    material = document.get("verificationMaterial")
    entries = material.get("tlogEntries") if isinstance(material, dict) else None
    if isinstance(entries, list) and entries and isinstance(entries[0], dict):
        changed[receipt_of(f"{stem}.dsse", files)] = canonical(entries[0])
    return changed


def test_the_treatment_itself_does_no_harm(small: Stolen, whole: Stolen) -> None:
    for one in (small, whole):
        report = one.judge(one.files)
        assert report.ok, report.failed
        assert {"proof-chain.json", SUMS_BUNDLE} <= set(one.documents)


def bend_leaves(one: Stolen, *, every: int = 1) -> int:
    """Change leaf after leaf, each by as little as can be; returns how many there are."""
    places = [
        (name, place) for name in one.documents for place in leaves(json.loads(one.files[name]))
    ]
    for name, place in places[::every]:
        document = json.loads(one.files[name])
        changed = put(document, place, otherwise(found_at(document, place)))
        files = agreeing(one.files, name, changed)
        judge = one.judge_as_it_is if name == SUMS_BUNDLE else one.judge
        assert not judge(files).ok, (name, place)
    return len(places)


def test_leaves_of_every_signed_file(small: Stolen) -> None:
    assert bend_leaves(small, every=3) > 150


@pytest.mark.long
def test_every_leaf_of_every_signed_file(small: Stolen, whole: Stolen) -> None:
    assert bend_leaves(small) < bend_leaves(whole)


def replaced(draw: st.DrawFn, document: Any, place: Place) -> Any:
    """Another value, of any kind, or one that stands elsewhere in the same file."""
    others = [found_at(document, one) for one in leaves(document)]
    wild = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=20),
        st.just([]), st.just({}), st.sampled_from(others),
    )  # fmt: skip
    return put(document, place, draw(wild))


def removed(draw: st.DrawFn, document: Any, place: Place) -> Any:
    depth = draw(st.integers(1, len(place)))
    changed = copy.deepcopy(document)
    del found_at(changed, place[: depth - 1])[place[depth - 1]]
    return changed


def added(draw: st.DrawFn, document: Any, place: Place) -> Any:
    """One more key or element beside, or one that is there a second time."""
    changed = copy.deepcopy(document)
    around = found_at(changed, place[: draw(st.integers(0, len(place) - 1))])
    if isinstance(around, list):
        around.append(copy.deepcopy(draw(st.sampled_from(around))))
    else:
        around[draw(st.text(min_size=1, max_size=10))] = draw(st.sampled_from(["", 0, None, []]))
    return changed


def spelled(draw: st.DrawFn, value: str) -> str:
    """The same base64 or number, or nearly so, in another spelling."""
    return draw(
        st.sampled_from(
            [
                value.replace("+", "-").replace("/", "_"), value.rstrip("="), value + "=",
                value + "\n", " " + value, "0" + value, "+" + value, value.swapcase(),
            ]
        )
    )  # fmt: skip


def respelled(draw: st.DrawFn, document: Any, place: Place) -> Any:
    value = found_at(document, place)
    assume(isinstance(value, str | int) and not isinstance(value, bool))
    if isinstance(value, int):
        return put(document, place, draw(st.sampled_from([str(value), -value - 1, value * 2 + 1])))
    number = [int(value)] if value.isdecimal() and len(value) < 16 else []
    return put(document, place, draw(st.sampled_from([*number, spelled(draw, value)])))


MUTATIONS: tuple[Callable[[st.DrawFn, Any, Place], Any], ...] = (
    replaced, removed, added, respelled,
)  # fmt: skip


@SLOW
@given(st.data())
def test_any_change_of_any_signed_file(small: Stolen, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(small.documents))
    document = json.loads(small.files[name])
    place = data.draw(st.sampled_from(list(leaves(document))))
    changed = data.draw(st.sampled_from(MUTATIONS))(data.draw, document, place)
    assume(canonical(changed) != small.files[name])
    files = agreeing(small.files, name, changed) if data.draw(st.booleans()) else None
    files = files or {**small.files, name: canonical(changed)}
    judge = small.judge_as_it_is if name == SUMS_BUNDLE else small.judge
    assert not judge(files).ok, (name, place)


@pytest.mark.long
@settings(SLOW, max_examples=1_000)
@given(st.data())
def test_any_change_of_any_signed_file_of_a_big_pack(whole: Stolen, data: st.DataObject) -> None:
    test_any_change_of_any_signed_file.hypothesis.inner_test(whole, data)  # type: ignore[attr-defined]


@SLOW
@given(st.data())
def test_the_same_content_in_other_bytes(small: Stolen, data: st.DataObject) -> None:
    """Two readers of one document must never be able to differ: there is one spelling."""
    name = data.draw(st.sampled_from(small.documents))
    content = small.files[name].decode()
    spot = data.draw(st.sampled_from([i for i, sign in enumerate(content) if sign in '{}[]:,"']))
    document = json.loads(content)
    spelling = data.draw(
        st.sampled_from(
            [
                content[:spot] + " " + content[spot:],
                content + "\n",
                json.dumps(document),
                json.dumps(document, indent=1),
                json.dumps(document, separators=(",", ":"), ensure_ascii=True).replace("/", "\\/"),
                "\ufeff" + content,
                content[:-1] + ',"' + next(iter(document)) + '":null}',
            ]
        )
    )
    assume(spelling != content)
    files = {**small.files, name: spelling.encode()}
    judge = small.judge_as_it_is if name == SUMS_BUNDLE else small.judge
    assert not judge(files).ok, name
