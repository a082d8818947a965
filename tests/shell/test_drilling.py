"""The break-it drill on what a house has stored of a run, and what a page shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import drilling
from engine.core.errors import Conflict, NotFound, Refused, Unverified
from engine.drilling import Drilled, drill_run
from engine.evidence.drill_forger import forger
from engine.evidence.trust import parse_trusted_root
from pages.ui import drill_models
from tests.evidence.kit import RUN, World, world

pytestmark = pytest.mark.house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = world(tmp_path_factory.mktemp("drilling"), decision="FAIL")
    one.play()
    yield one
    one.store.close()


@pytest.fixture(scope="module")
def drilled(house: World) -> Drilled:
    return drill_run(house.store, house.keys.trusted_root, RUN)


def test_a_run_without_a_pack_and_with_a_partial_one(tmp_path: Path) -> None:
    one = world(tmp_path)
    store, root = one.store, one.keys.trusted_root
    with pytest.raises(NotFound):
        drill_run(store, root, RUN)
    one.play(until=lambda run: run.evidence_count == 1)
    with pytest.raises(Refused, match="no partial pack of it was exported") as refusal:
        drill_run(store, root, RUN)
    assert refusal.value.hint == f"releaseline evidence export {RUN} --kind partial"

    one.sealer.export(RUN, "partial", actor="ana")
    before = (store.version(RUN), len(store.tlog_leaves()))
    partial = drill_run(store, root, RUN)
    assert partial.drill.ok and "partial" in partial.pack
    assert (store.version(RUN), len(store.tlog_leaves())) == before
    store.close()


def test_a_sealed_run(house: World, drilled: Drilled) -> None:
    assert drilled.drill.ok and drilled.drill.anchored
    assert (drilled.run_id, drilled.pack) == (RUN, "audit-pack.tar.gz")
    assert house.store.blobs.get(drilled.digest) == house.pack()


def test_one_at_a_time(house: World) -> None:
    with drilling._ONE, pytest.raises(Conflict, match="Another drill is under way"):
        drill_run(house.store, house.keys.trusted_root, RUN)
    other = forger(b"other", parse_trusted_root(house.keys.trusted_root)).trusted_root
    with pytest.raises(Unverified, match="does not verify"):
        drill_run(house.store, other, RUN)
    assert not drilling._ONE.locked()


def test_what_the_page_shows(house: World, drilled: Drilled) -> None:
    shown = drill_models.view(drilled)
    assert shown.ok and shown.sentence == drilled.drill.sentence()
    assert "audit-pack.tar.gz" in shown.basis and str(house.keys.fingerprint) in shown.basis
    assert sum(len(group.rows) for group in shown.groups) == len(drilled.drill.cases)
    assert [group.title.split()[0] for group in shown.groups] == ["Without", "Signed", "With"]
    for group in shown.groups:
        assert group.caption.endswith(f"{len(group.rows)} of {len(group.rows)} caught")
        for row in group.rows:
            assert row.look is drill_models.CAUGHT and row.check and row.what
            assert len(row.expected) <= 160 and "\n" not in row.expected + row.found


def test_the_page_shows_a_hole(drilled: Drilled) -> None:
    first, *rest = drilled.drill.cases
    cases = (replace(first, caught_by=None, more=0), *rest)
    shown = drill_models.view(replace(drilled, drill=replace(drilled.drill, cases=cases)))
    assert not shown.ok and shown.sentence.startswith(f"NOT CAUGHT: 1 of {len(cases)}")
    group = shown.groups[0]
    row = group.rows[0]
    assert row.look is drill_models.MISSED and (row.check, row.found, row.more) == ("", "", "")
    caption = shown.groups[0].caption
    assert caption.endswith(
        f"{len(shown.groups[0].rows) - 1} of {len(shown.groups[0].rows)} caught"
    )
