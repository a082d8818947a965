"""Tokens and sessions from the command line, on a home on which no server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house
Command = Callable[..., Done]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("people") / "home"
    create_home(place, passphrase="correct horse")
    return place


def test_a_limited_token_from_its_making_to_its_end(releaseline: Command, home: Path) -> None:
    at = ("--home", str(home))
    scopes = ("--scope", "bundles", "--scope", "read", "--env", "eu-stage", "--expires-in", "7d")
    made = releaseline("token", "create", "--user", "ci-demo", "--service", *scopes, *at, "--json")
    token = json.loads(made.out)
    assert (token["scopes"], token["environments"]) == (["bundles", "read"], ["eu-stage"])

    Path("app.json").write_text("{}")
    words = ("bundle", "create", "app.json", "--name", "n", "--version", "1", "--json", *at)
    bundle = releaseline(*words, "--token", token["token"])
    assert bundle.code == 0, bundle.err
    digest = json.loads(bundle.out)["digest"]
    promote = ("promote", "--bundle", digest, "--to", "eu-stage", *at, "--token", token["token"])
    refused = releaseline(*promote)
    assert refused.code == 3 and "promote is in none of them" in refused.err

    listed = releaseline("token", "list", *at)
    (row,) = [line for line in listed.out.splitlines() if token["id"] in line]
    assert "bundles,read" in row and "eu-stage" in row and token["token"] not in listed.out
    (info,) = [
        one
        for one in json.loads(releaseline("token", "list", *at, "--json").out)["items"]
        if one["id"] == token["id"]
    ]
    assert info["used_us"] is not None  # also over the end of the process that saw it

    assert releaseline("token", "revoke", token["id"], *at, "--reason", "done").code == 0
    assert releaseline(*promote).code == 3
    assert releaseline("token", "revoke", token["id"], *at).code == 4


@pytest.mark.parametrize("wish", [["--scope", "all"], ["--expires-in", "91d"], ["--env", "mars"]])
def test_what_is_no_token(releaseline: Command, home: Path, wish: list[str]) -> None:
    words = ["token", "create", "--user", "ci-demo", "--home", str(home), *wish]
    done = releaseline(*words)
    assert (done.code, done.out) == (4 if wish[0] == "--env" else 2, "")


def test_sessions_are_listed_and_ended(releaseline: Command, home: Path) -> None:
    at = ("--home", str(home))
    answer: dict[str, Any] = json.loads(releaseline("admin", "sessions", *at, "--json").out)
    assert answer["items"] == []
    assert releaseline("admin", "end-session", "s-0", *at).code == 4
    released = releaseline("admin", "release-account", "--user", "ana.li", *at)
    assert released.code == 4 and "No account of a provider" in released.err
