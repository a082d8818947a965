"""What would have blocked a run, asked about the runs of a real store in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.blocking import APPROVALS, Blocking
from engine.core.approval_blockers import one_more
from engine.core.commands import Action
from engine.core.errors import Malformed, NotFound
from engine.core.statemachine import RunStatus
from tests.faults.small_house import SmallHouse, session_keys

pytestmark = pytest.mark.house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path, session_keys(), approvals=1)
    yield house
    house.close()


def test_one_approval_more_than_were_given() -> None:
    more = one_more(2, 2, [("run-1", 2), ("run-2", 3)])
    assert (more.required, more.new, more.size_bp, more.stops) == (2, 3, 5_000, ("run-1",))
    assert one_more(0, 0, []).size_bp == 10_000
    assert one_more(1, 3, [("run-1", 3)]).new == 4  # it had more than were asked for


def test_a_run_before_its_gate_has_no_answer(house: SmallHouse) -> None:
    run = house.promote()
    blocking = Blocking(house.real, house.home / "blobs")
    with pytest.raises(NotFound, match="has not judged run-1 yet"):
        blocking.document(run.run_id)
    with pytest.raises(NotFound):
        blocking.document("run-9")


def test_the_answer_for_a_run_that_ended_well(house: SmallHouse) -> None:
    first = house.promote()
    house.drive(first.run_id)
    house.ask(first.run_id, Action.APPROVE, "bob")
    house.drive(first.run_id)
    assert house.real.run(first.run_id).status is RunStatus.SUCCEEDED
    second = house.promote(command_id="c-2")
    house.drive(second.run_id)
    house.ask(second.run_id, Action.APPROVE, "carol")
    house.drive(second.run_id)

    blocking = Blocking(house.real, house.home / "blobs")
    found = blocking.document(second.run_id)
    assert (found["run"], found["good"], found["unread"]) == (second.run_id, 1, [])
    approvals: dict[str, Any] = next(o for o in found["blockers"] if o["kind"] == APPROVALS)
    assert (approvals["old"], approvals["new"]) == (1, 2)
    assert approvals["stops"] == [first.run_id]
    for one in found["blockers"]:
        assert set(one["stops"]) <= {first.run_id}
    assert blocking.document(second.run_id) == found

    verdict = house.real.run(second.run_id).verdict
    assert verdict is not None
    blob = house.home / "blobs" / verdict.policy.hex[:2] / verdict.policy.hex
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(Malformed, match="frozen verdict"):
        Blocking(house.real, house.home / "blobs").document(second.run_id)
