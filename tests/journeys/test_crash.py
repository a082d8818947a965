"""The server is killed in the middle of Canary 50 %: nothing is lost and nothing is done twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.fleet.control import Fleet
from tests.journeys.product import SPEED, Product, marked, releaseline, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.fault, pytest.mark.long]


def _step(product: Product, step_id: str) -> dict[str, Any] | None:
    run = product.run()
    return next((s for s in run["steps"] if s["id"] == step_id), None) if run else None


def _watched(product: Product, step_id: str) -> dict[str, Any] | None:
    """The step once its targets are set and its health is being watched."""
    applied = any(
        e["kind"] == "stage.applied/1" and e["body"]["step"] == step_id for e in product.kinds()
    )
    return _step(product, step_id) if applied else None


def test_kill_in_the_middle_of_a_canary(start: Callable[..., Product], tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start("demo", "--speed", str(SPEED), home=home)
    wait_for("canary 50 % under watch", lambda: _watched(first, "canary-50"), timeout_s=180)
    before = {e["seq"]: e["hash"] for e in first.kinds()}
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    fleet = set(marked(home))
    time.sleep(3)
    assert set(marked(home)) == fleet, "the fleet went on without its server"

    passphrase = str(home / "keys" / "passphrase")
    again = start(
        "serve",
        home=home,
        RELEASELINE_KEY_PASSPHRASE_FILE=passphrase,
        DB_PASSWORD="demo-database-password",
    )
    wait_for(
        "the stage goes on",
        lambda: s if (s := _step(again, "canary-50")) and len(s["attempts"]) > 1 else None,
        timeout_s=30,
    )
    ended = wait_for(
        "the sealed end",
        lambda: (
            (r := again.run()) and (r if r["seal_status"] == "SEALED" and r["ended_us"] else None)
        ),
        timeout_s=180,
    )
    assert ended["status"] == "SUCCEEDED"

    after = again.kinds()
    assert {e["seq"]: e["hash"] for e in after if e["seq"] in before} == before
    changed = [
        e["body"]["target"]
        for e in after
        if e["kind"] == "target.set/1" and e["body"]["outcome"] == "changed"
    ]
    assert sorted(changed) == sorted(set(changed)), "no target was switched twice"
    assert len(changed) == 10
    totals = Fleet(
        home / "fleet" / "eu-prod",
        environment="eu-prod",
        targets=[t["target"] for t in ended["targets"]],
    ).load_totals()
    assert totals["sent"] > 10_000
    assert totals["failed"] == {}, "no request was lost by it"
    assert again.end(signal.SIGTERM) in {0, 143}
    checked = releaseline("fsck", "--home", str(home), RELEASELINE_KEY_PASSPHRASE_FILE=passphrase)
    assert checked.returncode == 0, checked.stdout + checked.stderr
