"""A pause during a roll of ten real targets: the switch under way ends, no further one begins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.ports import DriverEvent, TargetOutcome
from tests.fleet.kit import Rig

pytestmark = pytest.mark.fleet


@pytest.fixture
def ten(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, size=10)
    try:
        yield rig
    finally:
        rig.close()
        assert rig.fleet.processes() == ()


def test_it_stops_between_targets_and_goes_on_from_what_is_seen(ten: Rig) -> None:
    old, new = ten.bundle("1"), ten.bundle("2")
    ten.deploy(old)
    before, pause, lines = ten.instances(), threading.Event(), list[DriverEvent]()
    done_at_pause: set[str] = set()

    def heard(line: DriverEvent) -> None:
        lines.append(line)
        # In the middle of a switch, with some targets done and most still to come.
        if line.phase in {"drain", "switch"} and not pause.is_set():
            done = {one.target for one in lines if one.phase == "done"}
            if len(done) >= 3:
                done_at_pause.update(done)
                pause.set()

    result = ten.apply(ten.plan(new), cancel=pause, emit=heard)
    assert pause.is_set()
    changed = [r.target for r in result.results if r.outcome is TargetOutcome.CHANGED]
    skipped = [r.target for r in result.results if r.outcome is TargetOutcome.SKIPPED]
    assert 3 < len(changed) < 10 and len(changed) + len(skipped) == 10
    # Behind the first proven one, up to three are switched at once: those come to their end.
    assert 1 <= len(set(changed) - done_at_pause) <= 3
    assert all(r.digest == new and r.healthy for r in result.results if r.target in changed)
    # Those that were left alone run on as the very same processes.
    paused = ten.instances()
    assert {t: paused[t] for t in skipped} == {t: before[t] for t in skipped}
    assert ten.running() == {t: new if t in changed else old for t in ten.targets}
    resumed = ten.apply(ten.plan(new))
    assert resumed.ok
    after = ten.instances()
    assert {t: after[t] for t in changed} == {t: paused[t] for t in changed}
    assert set(ten.running().values()) == {new}
