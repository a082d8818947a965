"""`backup` and `restore` on a home without a server."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import BAD_CONFIG, CONFLICT, DONE, NOT_FOUND, USAGE
from engine.home import HomeLock
from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

Run = Callable[..., Done]


def test_there_and_back(releaseline: Run, tmp_path: Path) -> None:
    create_home(tmp_path / "home", passphrase="correct horse")
    assert releaseline("token", "create", "--user", "ana.li", "--home", "home").code == DONE
    done = releaseline("backup", "-o", "copy.tar", "--home", "home", "--json")
    assert done.code == DONE, done.err
    copy = tmp_path / "copy.tar"
    assert json.loads(done.out) == {"file": "copy.tar", "bytes": copy.stat().st_size}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    back = releaseline("restore", "copy.tar", "--home", "again", "--json")
    assert back.code == DONE, back.err
    told = json.loads(back.out)
    assert told["line"] > 0 and told["findings"] == told["lost"] == []
    # The restored home works, and knows who was there and that it was copied.
    tokens = json.loads(releaseline("token", "list", "--home", "again", "--json").out)
    assert [one["user"] for one in tokens["items"]] == ["ana.li"]
    listed = releaseline("audit", "list", "--verb", "backup", "--home", "again", "--json")
    assert json.loads(listed.out)["items"][0]["kind"] == "backup.made/1"
    assert releaseline("fsck", "--home", "again").code == DONE


def test_what_cannot_be_is_a_sentence(releaseline: Run, tmp_path: Path) -> None:
    assert releaseline("backup", "-o", "copy.tar", "--home", "nothing").code == NOT_FOUND
    create_home(tmp_path / "home", passphrase="correct horse")
    assert releaseline("backup", "-o", "copy.tar", "--home", "home").code == DONE
    before = (tmp_path / "copy.tar").read_bytes()
    with HomeLock(tmp_path / "home"):
        assert releaseline("backup", "-o", "copy.tar", "--home", "home").code == BAD_CONFIG
    taken = releaseline("restore", "copy.tar", "--home", "home")
    assert taken.code == CONFLICT and "empty or a new folder" in taken.err
    (tmp_path / "torn.tar").write_bytes(before[: len(before) // 2])
    nowhere = releaseline("backup", "-o", "no/such/place", "--home", "home")
    assert nowhere.code == BAD_CONFIG and "no/such/place" in nowhere.err
    torn = releaseline("restore", "torn.tar", "--home", "torn")
    assert torn.code == USAGE and torn.err.count("\n") == 1, torn.err
    # A backup that fails leaves the one before as it was, and nothing beside it.
    assert (tmp_path / "copy.tar").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"home", "copy.tar", "torn.tar"}
