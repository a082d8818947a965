"""A release manager schedules promotions on a real server: they start, or expire, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.demo.bundles import build
from tests.journeys.pipeline import PASS, Caller, caller, pipeline_home
from tests.journeys.product import Product, as_json, wait_for

pytestmark = [pytest.mark.journey, pytest.mark.long]

Start = Callable[..., Product]


def serve(start: Start, home: Path, port: int | None = None) -> Product:
    product = start("serve", home=home, port=port, **PASS)
    wait_for("the server", lambda: product.get("/environments"), timeout_s=300)
    return product


def bundle(who: Caller, folder: Path) -> str:
    made = build("healthy", folder)
    code, out, err = who(
        "bundle", "create", *map(str, made.components), "--sbom", str(made.sbom),
        "--name", "shop", "--version", made.version,
    )  # fmt: skip
    assert code == 0, err
    return out.strip()


def minute(ahead_s: int) -> datetime:
    """The next whole minute that is at least so far ahead."""
    at = datetime.now(UTC) + timedelta(seconds=ahead_s + 59)
    return at.replace(second=0, microsecond=0)


def ticks(server: Product, run: str) -> list[dict[str, Any]]:
    found = server.get("/scheduler/ticks")["items"]
    return [one for one in reversed(found) if one["run"] == run]


def test_started_expired_and_found_after_a_kill(tmp_path: Path, start: Start) -> None:
    server = serve(start, pipeline_home(tmp_path / "home"))
    ana = caller(server, "ana.li")
    digest = bundle(ana, tmp_path / "bundle")
    opens = minute(20)
    at = ("--at", f"{opens:%Y-%m-%dT%H:%M}")

    def promote(to: str, *more: str) -> tuple[int, str, str]:
        return ana("promote", "--bundle", digest, "--to", to, *at, *more, "--json")

    code, out, err = promote("asks", "--window", "10m")
    assert code == 0, err
    waits = as_json(out)["run"]
    assert as_json(out)["status"] == "SCHEDULED"
    # Feeds are never a second old: it waits for them until its window closes, and expires.
    code, out, err = promote(
        "strict", "--window", "1m", "--require", "feeds_fresh=1s", "--wait", "--timeout", "10m"
    )
    assert code == 14, out + err
    expired = as_json(out)
    assert expired["status"] == "EXPIRED"
    assert [one["word"] for one in ticks(server, expired["run"])] == [
        "DUE",
        "WAITING_PRECONDITIONS",
        "EXPIRED",
    ]
    told = server.get(f"/runs/{expired['run']}")["outcome_reason"]
    assert told.startswith("its window closed: Feeds fresh: ")

    on_time = ticks(server, waits)
    assert [one["word"] for one in on_time] == ["DUE", "STARTED"]
    assert on_time[-1]["late_ms"] < 10_000  # two cores under a whole test suite
    asked = server.get(f"/runs/{waits}")
    assert asked["started_us"] >= asked["schedule"]["window_start_us"]
    ana("run", "cancel", waits, "--reason", "seen")
    wait_for(
        "its end", lambda: server.get("/runs?status=OPEN")["items"] == [] or None, timeout_s=90
    )

    opens = minute(10)
    at = ("--at", f"{opens:%Y-%m-%dT%H:%M}")
    code, out, err = promote("asks", "--window", "30m")
    assert code == 0, err
    late = as_json(out)["run"]
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    time.sleep(max(0.0, (opens - datetime.now(UTC)).total_seconds() + 5))
    again = serve(start, server.home, server.port)
    wait_for("its start", lambda: len(ticks(again, late)) >= 2 or None, timeout_s=60)
    found = ticks(again, late)
    assert [one["word"] for one in found] == ["DUE", "STARTED"], "once, however it was killed"
    assert found[-1]["late_ms"] >= 5_000
    assert "nobody looked before" in found[0]["why"]
