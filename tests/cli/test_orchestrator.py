"""`orchestrator`: a home at rest, without a server of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house


def test_a_home_at_rest(releaseline: Callable[..., Done], tmp_path: Path) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    found = releaseline("orchestrator", "--home", str(home), "--json")
    assert found.code == 0
    told = json.loads(found.out)
    assert told["runs"] == [] and told["stuck"] == []
    shown = releaseline("orchestrator", "--home", str(home))
    assert shown.code == 0
    for word in ("eu-prod", "SBOM rescan", "replays", "feed syncs", "threads busy"):
        assert word in shown.out + shown.err
