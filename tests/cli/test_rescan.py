"""`rescan`: how the stored SBOMs stand, and who may have them matched now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import DONE, FORBIDDEN
from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house


def test_a_home_without_bundles_has_nothing_to_rescan(
    releaseline: Callable[..., Done], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    told = releaseline("rescan", "status", "--home", str(home), "--json")
    assert told.code == DONE
    answer = json.loads(told.out)
    assert (answer["level"], answer["bundles"], answer["items"]) == ("OK", 0, [])
    said = releaseline("rescan", "status", "--home", str(home))
    assert said.out.startswith("OK: SBOMs of 0 bundles matched against the newest feeds")
    refused = releaseline("rescan", "now", "--home", str(home))
    assert refused.code == FORBIDDEN and "release manager or sre" in refused.err
