"""Schedules by the command line, on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.exits import DONE, FORBIDDEN, NOT_FOUND, USAGE

pytestmark = pytest.mark.house


def test_made_shown_previewed_and_cancelled(
    releaseline: Callable[..., Any], tmp_path: Path
) -> None:
    assert releaseline("init", "--home", "home").code == DONE
    token = releaseline("token", "create", "--user", "ana.li", "--home", "home", "--json")
    as_ana = ("--home", "home", "--token", json.loads(token.out)["token"])
    artifact = tmp_path / "app.bin"
    artifact.write_text("app")
    made = releaseline(
        "bundle", "create", str(artifact), "--name", "shop", "--version", "1", *as_ana, "--json"
    )
    digest = json.loads(made.out)["digest"]
    what = ("--bundle", digest, "--to", "eu-stage")
    when = ("--at", "2036-03-30T03:30", "--zone", "Europe/Sofia", "--window", "2h")
    create = ("schedule", "create", *what, *when, "--rule", "FREQ=DAILY")
    assert releaseline(*create, "--home", "home").code == FORBIDDEN
    done = releaseline(*create, "--require", "feeds_fresh=1h:warn", *as_ana)
    assert done.code == DONE, done.err
    assert "schedule-1: shop 1 to eu-stage, every day from 2036-03-30 at 03:30 Europe/Sofia" in (
        done.out
    )
    assert "run-1 waits for its window." in done.out
    assert "2036-03-30 01:00:00Z" in done.out  # the first moment behind the gap
    shown = releaseline("schedule", "show", "schedule-1", *as_ana)
    assert "WARN     feeds_fresh < 1 h" in shown.out and "OFF      rollback_ready" in shown.out
    told = releaseline("schedule", "preview", *when, "--count", "1", *as_ana)
    assert "does not exist there" in told.out

    once = releaseline("promote", *what, *when, "--require", "rollback_ready=on", *as_ana, "--json")
    assert json.loads(once.out) == {"run": "run-2", "bundle": digest, "status": "SCHEDULED"}
    moved = releaseline(
        "run", "reschedule", "run-2", "--at", "2036-04-02T01:00", "--window", "30m", *as_ana
    )
    assert moved.code == DONE and "run.scheduled/1" in moved.out

    assert releaseline("promote", *what, *when[:2], *as_ana).code == USAGE
    assert releaseline("promote", *what, "--require", "rollback_ready=on", *as_ana).code == USAGE
    wrong = releaseline(*create, "--require", "feeds=1h", *as_ana)
    assert wrong.code == USAGE and "--require: expected NAME=VALUE with one of" in wrong.err

    cancel = ("schedule", "cancel", "schedule-1", "--reason", "no nights", *as_ana)
    assert releaseline(*cancel).code == DONE
    listed = releaseline("schedule", "list", *as_ana)
    assert "schedule-2" in listed.out and "schedule-1" not in listed.out
    ticks = releaseline("schedule", "show", "schedule-1", *as_ana, "--json")
    assert [one["word"] for one in json.loads(ticks.out)["ticks"]] == ["CANCELLED"]
    assert releaseline("schedule", "show", "schedule-9", *as_ana).code == NOT_FOUND
