"""Holds and new runs by the command line, on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.cli.exits import DONE, NOT_FOUND, USAGE

pytestmark = pytest.mark.house


def test_what_is_not_there_is_said(releaseline: Callable[..., Any]) -> None:
    assert releaseline("init", "--home", "home").code == DONE
    listed = releaseline("hold", "list", "--home", "home", "--json")
    assert listed.code == DONE and json.loads(listed.out) == {"items": []}
    lift = ("hold", "lift", "--from", "eu-prod", "--home", "home")
    missing = releaseline(*lift, "--bundle", "0123456789ab", "--reason", "fixed")
    assert missing.code == NOT_FOUND and "There is no bundle 0123456789ab" in missing.err
    assert releaseline(*lift, "--bundle", "0123456789ab").code == USAGE
    for words in (
        ("rerun", "run-1", "--reason", "again"),
        ("rollback-promotion", "run-1", "--dry-run"),
        ("differences", "run-1"),
    ):
        done = releaseline("run", *words, "--home", "home")
        assert done.code == NOT_FOUND and "There is no run run-1" in done.err, words
