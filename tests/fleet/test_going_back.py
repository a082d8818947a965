"""Going back with real processes: from the target's own disk, and only where there is need."""

from __future__ import annotations

import os
import shutil
import signal
from typing import NoReturn

import pytest

from engine.core.commands import Action
from engine.core.errors import AdapterFailed
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.fleet.house import Street

pytestmark = pytest.mark.fleet


def everywhere(run: Run) -> bool:
    return any(a.applied for a in run.step("full-100").attempts)


class Down:
    """An artifact source that is away: whatever is asked of it gets no answer."""

    def _away(self, *_: object) -> NoReturn:
        raise AdapterFailed("the artifact source is down", transient=True)

    put = get = path = has = _away


def test_the_way_back_needs_no_artifact_source(street: Street) -> None:
    run = street.promote(everywhere)
    assert set(street.running().values()) == {run.bundle}
    # The source is away, and what the home had of the old bundle is gone as well.
    street.source(Down())
    blobs = street.house.real.blobs
    parts = street.house.catalog.get(street.old).components
    for digest in (street.old, *(part.digest for part in parts)):
        blobs.path(digest).unlink()
    before = street.instances()
    run = street.ask(run, Action.ROLLBACK, "sam", "t-2")
    assert street.running() == {"t-1": run.bundle, "t-2": street.old}
    assert street.instances()["t-1"] == before["t-1"]
    between = street.instances()
    run = street.ask(run, Action.ROLLBACK, "sam")
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    assert set(street.running().values()) == {street.old}
    assert street.instances()["t-2"] == between["t-2"], "what was back already was not restarted"
    assert all(w.outcome == "verified" for w in run.ways_back)


def test_a_retry_touches_only_what_is_not_back(street: Street) -> None:
    run = street.promote(everywhere)
    kept = street.fleet.home("t-1") / "bundles" / street.old.hex
    aside = street.folder / "aside"
    kept.rename(aside)  # the disk of t-1 lost what it could go back to
    told = street.house.service.rollback_preview(run.run_id)
    assert {r.target: r.action.value for r in told.rows} == {"t-1": "irreversible", "t-2": "revert"}
    stays = street.instances()["t-1"]
    run = street.ask(run, Action.ROLLBACK, "sam")
    assert run.status is RunStatus.ROLLBACK_FAILED and "t-1" in run.pause_note
    assert street.running() == {"t-1": run.bundle, "t-2": street.old}
    assert street.instances()["t-1"] == stays, "it serves on as before"
    back = street.instances()["t-2"]
    shutil.move(aside, kept)
    run = street.ask(run, Action.RETRY_ROLLBACK, "sam")
    assert (run.status, run.seal_status) == (RunStatus.ROLLED_BACK, "SEALED")
    assert set(street.running().values()) == {street.old}
    assert street.instances()["t-2"] == back, "what was back already was not restarted"
    assert [(w.outcome, w.sealed) for w in run.ways_back] == [("failed", True), ("verified", True)]


def test_a_process_that_died_is_brought_back_on_its_old_bundle(street: Street) -> None:
    run = street.promote(everywhere)
    (process,) = street.fleet.services("t-2")
    os.kill(process.pid, signal.SIGKILL)
    assert street.running()["t-2"] is None
    told = street.house.service.rollback_preview(run.run_id)
    assert {r.target: r.action.value for r in told.rows} == {"t-1": "revert", "t-2": "unknown"}
    run = street.ask(run, Action.ROLLBACK, "sam")
    assert run.status is RunStatus.ROLLED_BACK
    assert set(street.running().values()) == {street.old}
