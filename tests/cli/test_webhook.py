"""`webhook`: what a person and a script see of it, on a home on which no server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import DONE, NOT_FOUND, USAGE
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

Run = Callable[..., Done]
LISTED = '\noutbound: {allowed_hosts: ["127.0.0.1"]}\n'


def test_add_list_test_and_remove(releaseline: Run) -> None:
    assert releaseline("init", "home").code == DONE
    settings = Path("home/releaseline.yaml")
    refused = releaseline("webhook", "add", "ci", "http://127.0.0.1:9/in", "--home", "home")
    assert refused.code == USAGE and "outbound.allowed_hosts" in refused.err
    settings.write_text(settings.read_text() + LISTED)
    made = releaseline("webhook", "add", "ci", "http://127.0.0.1:9/in", "--event", "waiting",
                       "--home", "home", "--json")  # fmt: skip
    assert made.code == DONE, made.err
    document = json.loads(made.out)
    assert document["secret"].startswith("whsec_") and document["events"] == ["waiting"]
    listed = releaseline("webhook", "list", "--home", "home")
    assert "ci" in listed.out and "waiting" in listed.out and "whsec_" not in listed.out
    assert releaseline("webhook", "test", "ci", "--home", "home").code == DONE
    told = json.loads(releaseline("webhook", "deliveries", "ci", "--home", "home", "--json").out)
    (one,) = told["items"]  # a test message comes whatever it asked to be told
    assert (one["event"], one["outcome"], one["tries"]) == ("webhook.test", "WAITING", 0)
    turned = releaseline("webhook", "rotate", "ci", "--home", "home")
    assert turned.out.strip().startswith("whsec_")
    assert releaseline("webhook", "redeliver", "ci", "--home", "home").code == USAGE
    assert releaseline("webhook", "redeliver", "ci", "x", "--home", "home").code == USAGE
    assert releaseline("webhook", "remove", "ci", "--home", "home").code == DONE
    assert releaseline("webhook", "remove", "ci", "--home", "home").code == NOT_FOUND
    dead = releaseline("webhook", "deliveries", "--home", "home")
    assert dead.code == DONE and dead.out.startswith("WEBHOOK")
