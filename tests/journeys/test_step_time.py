"""A release manager lets 100 % wait for its time; a fault during the wait is still taken back."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.demo.bundles import build
from tests.journeys.pipeline import PASS, Caller, caller, pipeline_home, under_load
from tests.journeys.product import Product, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.long]

US = 1_000_000
BEFORE, LAST = "canary-50", "full-100"


@dataclass
class House:
    server: Product
    ana: Caller
    approvers: tuple[Caller, Caller]

    def asked(self, bundle: str, opens: datetime) -> str:
        """A promotion whose last stage has a time, approved by both."""
        run: str = self.ana.json("promote", "--bundle", bundle, "--to", "asks")["run"]
        self.seen(run, "waits for its approvers", lambda r: r["status"] == "AWAITING_APPROVAL")
        at = ("--at", f"{opens:%Y-%m-%dT%H:%M}", "--window", "30m", "--reason", "at the hour")
        assert self.ana("run", "schedule-step", run, "--step", LAST, *at)[0] == 0
        for approver in self.approvers:
            code, _, err = approver("run", "approve", run, "--reason", "looked at")
            assert code == 0, err
        return run

    def seen(
        self, run_id: str, what: str, true: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            run = self.server.run(run_id)
            return run if run is not None and true(run) else None

        return wait_for(f"{run_id} {what}", look, timeout_s=180)

    def held_back(self, run_id: str) -> None:
        """The stage before has met everything but the time of the one behind it."""

        def shut(run: dict[str, Any]) -> bool:
            running = step(run, BEFORE)["status"] == "RUNNING"
            return running and run["waits_for"].startswith("Deploy 100% opens ")

        self.seen(run_id, "is held back by the time alone", shut)


def step(run: dict[str, Any], step_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in run["steps"] if one["id"] == step_id)
    return found


def bundled(who: Caller, folder: Path, kind: str, *, breaks_by: Path | None = None) -> str:
    made = build(kind, folder)
    if breaks_by is not None:
        _breakable(made.components[0], breaks_by)
    words = ("--sbom", str(made.sbom), "--name", "shop", "--version", made.version)
    code, out, err = who("bundle", "create", *map(str, made.components), *words)
    assert code == 0, err
    return out.strip()


def _breakable(app: Path, flag: Path) -> None:
    """The same application, which fails every request from when the file is there."""
    with zipfile.ZipFile(app) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members["app.pyc"]
    sound = b"    number = next(_COUNT)\n"
    fault = (
        f"    if __import__('os').path.exists({str(flag)!r}):\n        raise KeyError('price')\n"
    )
    assert sound in members["app.py"]
    members["app.py"] = members["app.py"].replace(sound, sound + fault.encode())
    with zipfile.ZipFile(app, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def minute(ahead_s: int) -> datetime:
    """The first whole minute that is at least so far ahead."""
    at = datetime.now(UTC) + timedelta(seconds=ahead_s + 59)
    return at.replace(second=0, microsecond=0)


@pytest.fixture
def house(tmp_path: Path, start: Callable[..., Product]) -> House:
    server = start("serve", home=pipeline_home(tmp_path / "home"), **PASS)
    wait_for("the server", lambda: server.get("/environments"), timeout_s=120)
    ana, bob, carol = (caller(server, user) for user in ("ana.li", "bob.smith", "carol.wu"))
    return House(server, ana, (bob, carol))


def test_100_percent_waits_for_its_time_and_a_fault_meanwhile_goes_back(
    house: House, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    sound = bundled(house.ana, tmp_path / "sound", "before")
    under_load(house.server, "asks")

    opens = minute(50)
    first = house.asked(sound, opens)
    house.held_back(first)
    run = house.server.run(first)
    assert run is not None and step(run, LAST)["status"] == "PENDING"
    done = house.seen(first, "has ended", lambda r: r["ended_us"] is not None)
    assert done["status"] == "SUCCEEDED"
    begun_us = step(done, LAST)["attempts"][0]["started_us"]
    assert begun_us >= opens.timestamp() * US, "it began before its time"
    ticks = house.server.get(f"/scheduler/ticks?run={first}")["items"]
    assert [one["word"] for one in reversed(ticks)] == ["DUE", "STARTED"]

    breakable = bundled(house.ana, tmp_path / "breakable", "healthy", breaks_by=broken)
    second = house.asked(breakable, datetime.now(UTC) + timedelta(hours=2))
    house.held_back(second)
    broken.touch()
    back = house.seen(second, "has ended", lambda r: r["ended_us"] is not None)
    assert back["status"] == "ROLLED_BACK"
    assert step(back, LAST)["attempts"] == []
    assert all(one["current"] == sound for one in back["targets"])
    for run_id in (first, second):
        code, out, err = house.ana("replay", run_id, "--reason", "after the fact")
        assert code == 0, out + err
