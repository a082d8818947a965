"""Waivers by the command line, on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.cli.exits import CONFLICT, DONE, FORBIDDEN, NOT_FOUND, USAGE

pytestmark = pytest.mark.house


def test_asked_for_granted_by_a_second_person_shown_and_revoked(
    releaseline: Callable[..., Any],
) -> None:
    assert releaseline("init", "--home", "home").code == DONE

    def as_(user: str, *words: str) -> Any:
        if user not in tokens:
            made = releaseline("token", "create", "--user", user, "--home", "home", "--json")
            tokens[user] = json.loads(made.out)["token"]
        return releaseline("waiver", *words, "--home", "home", "--token", tokens[user])

    tokens: dict[str, str] = {}
    ask = ("request", "CVE-2024-3651", "pkg:pypi/idna@3.6", "--env", "eu-prod", "--days", "14")
    assert as_("eva.roth", *ask).code == USAGE  # no reason
    no_role = as_("bob.smith", *ask, "--reason", "x")
    assert no_role.code == FORBIDDEN and "this needs the role policy author" in no_role.err
    made = as_("eva.roth", *ask, "--reason", "not reachable")
    assert made.code == DONE
    assert "waiver-1 CVE-2024-3651 in pkg:pypi/idna@3.6: waits for a second person" in made.out
    assert "for eu-prod; bob.smith, carol.wu may grant it" in made.out
    wide = as_("eva.roth", *ask[:3], "--days", "1", "--reason", "everywhere")
    assert "for eu-prod, eu-stage; nobody may grant it" in wide.out
    assert as_("eva.roth", "grant", "waiver-1", "--reason", "mine").code == FORBIDDEN
    # Both tokens were made by whoever has this shell, and that is nobody's hand.
    assert as_("bob.smith", "grant", "waiver-1", "--reason", "agreed").code == DONE
    assert as_("carol.wu", "revoke", "waiver-1", "--reason", "a way in").code == DONE
    assert as_("carol.wu", "revoke", "waiver-1", "--reason", "again").code == CONFLICT
    listed = as_("ana.li", "list", "--state", "revoked")
    assert "waiver-1" in listed.out and "waiver-2" not in listed.out
    shown = as_("ana.li", "show", "waiver-1")
    assert "waiver-1 is REVOKED: revoked by carol.wu: a way in" in shown.out
    assert as_("ana.li", "show", "waiver-7").code == NOT_FOUND
