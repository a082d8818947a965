"""`integration`: what is known of the servers, and a look at one, without a server of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import BLOCKED, NOT_FOUND
from engine.homes import create_home
from tests.cli.conftest import Done
from tests.integrations.kit import serving

pytestmark = pytest.mark.house


def test_a_look_finds_what_is_so(releaseline: Callable[..., Done], tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    with serving() as server:
        text = (home / "releaseline.yaml").read_text()
        servers = (
            "integrations:\n  servers:\n"
            f"    - {{name: consul, kind: consul, url: {server.url}}}\n"
            f"    - {{name: up, kind: http, url: {server.url}/up}}\n"
        )
        (home / "releaseline.yaml").write_text(
            text.replace("\nretention:", f"\n{servers}retention:", 1)
        )
        server.says("/v1/status/leader", "")
        server.says("/up", b"fine")
        known = releaseline("integration", "list", "--home", str(home), "--json")
        assert known.code == 0
        levels = {one["name"]: one["level"] for one in json.loads(known.out)["items"]}
        assert levels == {"consul": "UNKNOWN", "up": "UNKNOWN"}
        down = releaseline("integration", "probe", "consul", "--home", str(home))
        assert down.code == BLOCKED
        assert "it has no leader" in down.out
        up = releaseline("integration", "probe", "up", "--home", str(home), "--json")
        assert (up.code, json.loads(up.out)["level"]) == (0, "OK")
        lost = releaseline("integration", "probe", "none", "--home", str(home))
        assert lost.code == NOT_FOUND
        again = releaseline("integration", "list", "--home", str(home))
        assert "FAIL" in again.out and "OK" in again.out  # since when is on record
