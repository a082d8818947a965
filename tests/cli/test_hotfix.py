"""A hotfix by the command line, on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.exits import DONE, FORBIDDEN, USAGE

pytestmark = pytest.mark.house


def test_a_hotfix_is_asked_for_in_person_with_a_reason_and_needs_one_approval_more(
    releaseline: Callable[..., Any], tmp_path: Path
) -> None:
    assert releaseline("init", "--home", "home").code == DONE

    def token(user: str, *more: str) -> tuple[str, ...]:
        made = releaseline("token", "create", "--user", user, *more, "--home", "home", "--json")
        return ("--home", "home", "--token", json.loads(made.out)["token"])

    as_ana = token("ana.li")
    artifact = tmp_path / "app.bin"
    artifact.write_text("app")
    made = releaseline(
        "bundle", "create", str(artifact), "--name", "shop", "--version", "1", *as_ana, "--json"
    )
    wish = ("promote", "--bundle", json.loads(made.out)["digest"], "--to", "eu-prod")
    lane = ("--reason", "audit", "--env", "eu-prod", *as_ana)
    assert releaseline("freeze", "add", "audit week", "--hotfix", *lane).code == DONE

    silent = releaseline(*wish, "--hotfix", *as_ana)
    assert silent.code == USAGE and "A hotfix needs a reason" in silent.err
    machine = releaseline(*wish, "--hotfix", "--reason", "CVE-1", *token("ci-demo", "--service"))
    assert machine.code == FORBIDDEN and "in person" in machine.err
    later = releaseline(*wish, "--hotfix", "--at", "2036-01-01T02:00", "--window", "2h", *as_ana)
    assert later.code == USAGE and "a hotfix starts at once" in later.err

    def asked(*more: str) -> dict[str, Any]:
        done = releaseline(*wish, "--reason", "CVE-1", *more, *as_ana, "--json")
        assert done.code == DONE, done.err
        shown = releaseline("run", "show", json.loads(done.out)["run"], *as_ana, "--json")
        found: dict[str, Any] = json.loads(shown.out)
        return found

    hot, plain = asked("--hotfix"), asked()
    assert (hot["kind"], plain["kind"]) == ("HOTFIX", "PROMOTE")
    assert hot["approvals"]["required"] == plain["approvals"]["required"] + 1
    told = releaseline("run", "show", hot["id"], *as_ana)
    assert told.code == DONE and "HOTFIX" in told.out
