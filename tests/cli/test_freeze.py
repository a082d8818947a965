"""Freezes by the command line, on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.cli.exits import DONE, FORBIDDEN, NOT_FOUND, USAGE

pytestmark = pytest.mark.house


def test_set_listed_and_ended_by_who_may(releaseline: Callable[..., Any]) -> None:
    assert releaseline("init", "--home", "home").code == DONE
    add = ("freeze", "add", "weekend", "--home", "home", "--weekly", "FR 18:00-MO 08:00")
    words = ("--zone", "Europe/Sofia", "--env", "eu-prod", "--reason", "nobody is in")
    no_role = releaseline(*add, *words)  # whoever has a shell may look, and no more
    assert no_role.code == FORBIDDEN and "this needs the role release manager or sre" in no_role.err
    token = releaseline("token", "create", "--user", "ana.li", "--home", "home", "--json")
    as_ana = ("--token", json.loads(token.out)["token"])
    made = releaseline(*add, *words, *as_ana)
    assert made.code == DONE and "freeze-1 weekend: no promotions inside of it; eu-prod" in made.out
    listed = releaseline("freeze", "list", "--home", "home", *as_ana)
    assert "FR 18:00-MO 08:00 Europe/Sofia" in listed.out
    assert releaseline(*add[:5], "--weekly", "daily", "--reason", "x", *as_ana).code == USAGE
    assert releaseline("freeze", "add", "x", "--home", "home").code == USAGE
    end = ("freeze", "end", "freeze-1", "--home", "home", "--reason", "over", *as_ana)
    assert releaseline(*end).code == DONE
    again = releaseline(*end)
    assert again.code == NOT_FOUND and "no freeze freeze-1 in force" in again.err
    assert json.loads(releaseline("freeze", "list", "--home", "home", "--json").out)["items"] == []
