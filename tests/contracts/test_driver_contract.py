"""The driver contract, rule by rule (engine/ports.py, DeployDriver), over every driver.

To add a driver: write a rig for it (what `tests/fleet/kit.py` offers) and add it to `RIGS`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.blobs import Blobs
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Fenced
from engine.core.plan import StagePlan, TargetChange, plan_rollback
from engine.fleet.shelf import read_manifest
from engine.ports import Capability, DriverEvent, StageResult, TargetOutcome
from tests.fleet.kit import ENVIRONMENT, HANGS, NEVER_STARTS, Rig, finish_load

pytestmark = pytest.mark.fleet
RIGS: dict[str, Callable[[Path], Rig]] = {"local-fleet": Rig}
PHASES = ["plan", "fetch", "verify", "drain", "switch", "start", "health", "weight", "done"]


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    one = RIGS[request.param](tmp_path)
    try:
        yield one
    finally:
        one.close()


def outcomes(result: StageResult) -> list[str]:
    return [one.outcome.value for one in result.results]


def test_r1_a_second_apply_is_all_noop_and_restarts_nothing(rig: Rig) -> None:
    bundle = rig.bundle("1")
    assert outcomes(rig.apply(rig.plan(bundle))) == ["changed"] * 3
    before = rig.instances()
    again = rig.apply(rig.plan(bundle))
    assert outcomes(again) == ["noop"] * 3
    assert again.ok
    assert rig.instances() == before
    assert [one.digest for one in again.results] == [bundle] * 3


def test_r2_the_digest_is_that_of_the_running_thing(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)

    def meddle(event: DriverEvent) -> None:
        if event.phase == "switch":  # somebody points the target elsewhere behind our back
            current = rig.fleet.home(event.target) / "current"
            current.unlink()
            current.symlink_to(f"bundles/{old.hex}")

    result = rig.apply(rig.plan(new, [rig.targets[0]]), emit=meddle)
    (one,) = result.results
    assert (one.outcome, one.digest) == (TargetOutcome.FAILED, old)
    assert not result.ok
    assert result.observation.by_target()[rig.targets[0]].digest == old


def test_r3_partial_results_are_told_and_nothing_is_taken_back(rig: Rig) -> None:
    old, bad = rig.bundle("1"), rig.bundle("2", NEVER_STARTS)
    rig.deploy(old)
    result = rig.apply(rig.plan(bad))
    assert outcomes(result) == ["failed", "skipped", "skipped"]
    first = result.results[0]
    assert (first.digest, first.healthy) == (bad, False)
    assert "boom" in first.note
    assert not result.ok
    assert list(rig.running().values()) == [bad, old, old]


def test_r3_max_failures_is_how_many_failures_are_borne(rig: Rig) -> None:
    old, bad = rig.bundle("1"), rig.bundle("2", NEVER_STARTS)
    rig.deploy(old)
    result = rig.apply(rig.plan(bad, max_failures=1))
    assert outcomes(result) == ["failed", "failed", "skipped"]


def test_r3_no_answer_is_unknown_and_never_success(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    began = time.monotonic()
    result = rig.apply(rig.plan(rig.bundle("2", HANGS), [rig.targets[0]]), deadline_s=2.5)
    assert time.monotonic() - began < 3.5
    (one,) = result.results
    assert (one.outcome, one.digest, one.healthy) == (TargetOutcome.UNKNOWN, None, None)
    assert result.observation.by_target()[rig.targets[0]].digest is None


def test_r4_only_planned_targets_are_touched_in_the_plans_order(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    before = rig.instances()
    seen: list[str] = []
    planned = [rig.targets[2], rig.targets[0]]
    plan = StagePlan(
        run_id="r-1",
        step="canary",
        environment=ENVIRONMENT,
        changes=tuple(TargetChange(target=t, from_digest=old, to_digest=new) for t in planned),
    )
    result = rig.apply(plan, emit=lambda e: seen.append(e.target) if e.phase == "drain" else None)
    assert [one.target for one in result.results] == planned
    assert seen == planned
    assert rig.instances()[rig.targets[1]] == before[rig.targets[1]]
    assert list(rig.running().values()) == [new, old, new]


def test_a_target_without_traffic_is_seen_and_a_no_op_gives_it_back(rig: Rig) -> None:
    old = rig.bundle("1")
    rig.deploy(old)
    idle, *others = rig.targets
    rig.fleet.router("/drain", {"target": idle, "wait_s": 0.1}, deadline_s=6.0)
    seen = rig.driver.observe(deadline_s=5.0).by_target()
    assert seen[idle].serving is False
    assert all(seen[other].serving is True for other in others)
    result = rig.apply(rig.plan(old, [idle]))
    assert [one.outcome for one in result.results] == [TargetOutcome.NOOP]
    assert all(one.serving is True for one in result.observation.targets)


def test_r4_a_target_that_is_not_ours_is_refused_whole(rig: Rig) -> None:
    plan = rig.plan(rig.bundle("1"), [rig.targets[0], "stranger"])
    with pytest.raises(AdapterFailed, match="stranger"):
        rig.apply(plan)
    assert rig.instances()[rig.targets[0]] == []


def test_r5_tampered_bytes_of_the_source_switch_nothing(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    before = rig.instances()
    honest = rig.blobs.get

    def tampered(digest: Digest) -> bytes:  # a source that does not even re-hash
        return honest(digest) + b"x" if digest != new else honest(digest)

    rig.blobs.get = tampered  # type: ignore[method-assign]
    result = rig.apply(rig.plan(new))
    assert outcomes(result) == ["failed", "skipped", "skipped"]
    assert "expected sha256:" in result.results[0].note
    assert rig.instances() == before
    assert set(rig.running().values()) == {old}
    assert all(new not in one.present for one in result.observation.targets)


def test_r5_bytes_that_changed_at_the_target_are_found_before_the_switch(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    rig.deploy(new)
    target = rig.targets[0]
    there = rig.fleet.home(target) / "bundles" / old.hex / "components" / "app.zip"
    there.write_bytes(there.read_bytes() + b"x")
    shutil.rmtree(rig.folder / "blobs")
    result = rig.apply(rig.plan(old, [target]))
    assert outcomes(result) == ["failed"]
    assert rig.running()[target] == new


def test_r6_deadlines_are_total(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    hanging = rig.bundle("2", "import time\ntime.sleep(600)\n")
    began = time.monotonic()
    result = rig.apply(rig.plan(hanging, max_failures=9), deadline_s=3.0)
    assert time.monotonic() - began < 4.0
    assert "changed" not in outcomes(result)
    assert len(result.results) == 3
    began = time.monotonic()
    assert rig.driver.observe(deadline_s=1.0).by_target()[rig.targets[0]].healthy is False
    assert time.monotonic() - began < 1.5


def test_r7_cancel_acts_between_targets(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    cancel = threading.Event()
    phases: list[str] = []

    def emit(event: DriverEvent) -> None:
        phases.append(event.phase)
        if event.phase == "drain":  # in the midst of the first target's switch
            cancel.set()

    result = rig.apply(rig.plan(new), cancel=cancel, emit=emit)
    assert outcomes(result) == ["changed", "skipped", "skipped"]
    assert "done" in phases
    assert [one.digest for one in result.observation.targets] == [new, old, old]


def test_r8_a_lower_epoch_is_fenced_and_touches_nothing(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old, epoch=5)
    before = rig.instances()
    zombie = rig.apply(rig.plan(new), epoch=4)
    assert outcomes(zombie) == ["fenced", "skipped", "skipped"]
    assert zombie.results[0].digest == old
    assert rig.instances() == before
    assert [one.epoch for one in zombie.observation.targets] == [5, 5, 5]
    if Capability.TRAFFIC_WEIGHT in rig.driver.capabilities():
        with pytest.raises(Fenced):
            rig.driver.set_traffic({rig.targets[0]: 0}, op_id="op", epoch=4, deadline_s=5.0)
    assert rig.apply(rig.plan(new), epoch=5).ok


def test_r8_an_epoch_counts_even_where_nothing_changed(rig: Rig) -> None:
    bundle = rig.bundle("1")
    rig.deploy(bundle, epoch=5)
    rig.deploy(bundle, epoch=6)
    assert outcomes(rig.apply(rig.plan(bundle), epoch=5))[0] == "fenced"


def test_r9_a_switch_loses_no_request(rig: Rig) -> None:
    if Capability.DRAIN not in rig.driver.capabilities():
        pytest.skip("DRAIN: this driver does not offer it")
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    rig.fleet.ensure_load(100)
    rig.deploy(new)
    rig.deploy(old)
    totals = finish_load(rig.fleet)
    assert totals["failed"] == {}
    assert totals["ok"] == totals["sent"] > 50


def test_r10_a_label_decides_nothing(rig: Rig) -> None:
    one, other = (
        rig.bundle("1.0.0"),
        rig.bundle("1.0.0", "def handle(path):\n    return 200, b''\n"),
    )
    assert one != other
    rig.deploy(one)
    result = rig.apply(rig.plan(other))
    assert outcomes(result) == ["changed"] * 3
    assert set(rig.running().values()) == {other}


def test_r11_going_back_works_with_the_source_gone(rig: Rig) -> None:
    old, new = rig.bundle("1"), rig.bundle("2")
    rig.deploy(old)
    baseline = rig.running()
    rig.deploy(new, rig.targets[:2])
    shutil.rmtree(rig.folder / "blobs")
    seen = rig.driver.observe(deadline_s=10.0).by_target()
    back = plan_rollback(
        run_id="r-1",
        environment=ENVIRONMENT,
        baseline=baseline,
        current={t: o.digest for t, o in seen.items()},
        present={t: o.present for t, o in seen.items()},
    )
    assert back.executable
    assert [c.target for c in back.plan.changes] == list(rig.targets[:2])
    assert rig.apply(back.plan).ok
    assert rig.running() == baseline


def test_r11_at_least_three_bundles_stay_at_a_target(rig: Rig) -> None:
    target = rig.targets[0]
    bundles = [rig.bundle(str(n)) for n in range(8)]
    for bundle in bundles:
        rig.deploy(bundle, [target])
    present = rig.driver.observe(deadline_s=10.0).by_target()[target].present
    assert set(bundles[-3:]) <= set(present)
    assert len(present) < len(bundles)


def test_r12_events_are_ordered_and_carry_no_secret(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "planted-7f3a")
    events: list[DriverEvent] = []
    rig.apply(rig.plan(rig.bundle("1")), epoch=3, emit=events.append)
    for target in rig.targets:
        assert [e.phase for e in events if e.target == target] == PHASES
    stamps = [e.ts_us for e in events]
    assert stamps == sorted(stamps)
    assert {(e.op_id, e.epoch) for e in events} == {("op-1", 3)}
    assert "planted-7f3a" not in repr(events)
    for pids in rig.instances().values():
        assert b"planted-7f3a" not in Path(f"/proc/{pids[0]}/environ").read_bytes()
        assert os.getsid(pids[0]) != os.getsid(0)


def test_r12_a_log_that_fails_does_not_cut_a_switch(rig: Rig) -> None:
    new = rig.bundle("1")

    def full(event: DriverEvent) -> None:
        if event.phase == "drain":
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        rig.apply(rig.plan(new), emit=full)
    assert list(rig.running().values()) == [new, None, None]


def test_preflight_has_no_side_effect_and_names_what_is_wrong(rig: Rig) -> None:
    digest = rig.bundle("1")
    bundle = read_manifest(rig.blobs.get(digest), digest)
    before = {f.check: f for f in rig.driver.preflight(bundle, deadline_s=5.0)}
    assert not before["router"].ok
    assert before["artifacts"].ok
    assert rig.fleet.processes() == ()
    rig.deploy(digest)
    assert all(f.ok for f in rig.driver.preflight(bundle, deadline_s=5.0))
    blob = Blobs(rig.folder / "blobs").path(bundle.components[0].digest)
    blob.write_bytes(b"damaged")
    after = {f.check: f for f in rig.driver.preflight(bundle, deadline_s=5.0)}
    assert not after["artifacts"].ok
    assert "app.zip" in after["artifacts"].message
