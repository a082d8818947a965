"""The live snapshot: shared, small, never older than what was committed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import NotFound
from engine.core.fact_events import Commented
from engine.core.run import evolve
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.live import Live
from engine.live_view import WIRE_MAX, document, wire
from tests.core.simulated import Walk
from tests.pages import kit
from tests.pages.reading import House

pytestmark = pytest.mark.house


def test_every_viewer_gets_the_same_bytes(house: House) -> None:
    live = house.services.live
    assert live.snapshot(house.done) is live.snapshot(house.done)
    assert live.wait(house.done, -1, 1.0) is live.snapshot(house.done)


def test_waiting_returns_nothing_while_nothing_happens(house: House) -> None:
    live = house.services.live
    version = live.snapshot(house.done).version
    began_s = time.monotonic()
    assert live.wait(house.done, version, 0.3) is None
    assert time.monotonic() - began_s >= 0.3


def test_a_commit_reaches_who_waits(house: House, tmp_path: Path) -> None:
    services = house.services
    play = kit.Play(services, kit.bundle(services, tmp_path, "2.0.0"))
    before = services.live.snapshot(play.run_id)
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(services.live.wait(play.run_id, before.version, 5.0))
    )
    waiting.start()
    play.inputs()
    waiting.join(6.0)
    assert found and found[0] is not None
    assert found[0].version > before.version


def test_a_snapshot_knows_every_committed_event(house: House, tmp_path: Path) -> None:
    services = house.services
    play = kit.Play(services, kit.bundle(services, tmp_path, "2.0.1"))
    play.inputs()
    assert services.live.snapshot(play.run_id).run_version == play.run.version
    play.record(Commented(text="nothing to see"))
    assert services.live.snapshot(play.run_id).run_version == play.run.version


def test_the_wire_is_one_event_of_at_most_four_kilobytes(house: House) -> None:
    for run_id in (house.done, house.canary, house.waiting, house.paused):
        snapshot = house.services.live.snapshot(run_id)
        assert len(snapshot.wire) <= WIRE_MAX
        head, _, data = snapshot.wire.partition(b"data: ")
        assert head == f"event: snapshot\nid: {snapshot.version}\n".encode()
        assert json.loads(data)["run"] == run_id
        assert data.endswith(b"\n\n") and b"\n" not in data[:-2]


def test_an_unknown_run_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        house.services.live.snapshot("run-9999")


def test_stopping_lets_everybody_go(house: House) -> None:
    live = Live(house.services.store, house.services.clock)
    version = live.snapshot(house.done).version
    waiting = threading.Thread(target=lambda: live.wait(house.done, version, 30.0))
    waiting.start()
    live.stop()
    waiting.join(2.0)
    assert not waiting.is_alive()


@given(st.integers(min_value=0, max_value=400))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_moment_of_any_run_can_be_shown(seed: int) -> None:
    """Random people, outside and power cuts: at every event there is a sentence, and it fits."""
    run: Run | None = None
    for recorded in Walk(seed).play().log:
        run = evolve(run, recorded)
        shown = document(run, None, ())
        assert shown["now"]["head"].endswith((".", "!"))
        assert len(shown["tg"]) == len(run.targets)
        assert len(wire(shown, 1)) <= WIRE_MAX
        kinds = {step.spec.kind for step in run.steps}
        assert StepKind.SEAL in kinds and len(shown["steps"]) == len(run.steps)


def test_old_log_lines_give_way_before_anything_else() -> None:
    body = {"steps": [], "log": [[0, "info", "s", "x" * 140] for _ in range(60)]}
    assert len(wire(body, 1)) <= WIRE_MAX
