"""`log` and `keys` on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import keystore, wiring
from engine.cli.exits import BAD_CONFIG, DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE
from engine.home import HomeLock
from engine.settings import read_settings
from engine.transparency import Wish
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

Run = Callable[..., Done]


def grow(home: Path, count: int) -> str:
    """Sign `count` leaves; the newest head."""
    services = wiring.build(read_settings(home.resolve()), passphrase="correct horse")
    try:
        log = services.logbook.log
        for _ in range(count):
            wish = Wish(payload=b"{}", identity="https://releaseline.local/run-engine")
            with log.writing() as tree:
                _, rows = log.sign(tree, (wish,), now_us=services.clock.now_us(), anchor=None)
                services.store.record(rows)
        return str(services.logbook.head()["checkpoint"])
    finally:
        services.stop()


@pytest.fixture
def home(releaseline: Run, tmp_path: Path) -> Path:
    done = releaseline("init", "home")
    assert done.code == DONE and "witness" in done.out.lower()
    return tmp_path / "home"


def test_the_way_of_an_auditor(releaseline: Run, home: Path, tmp_path: Path) -> None:
    assert releaseline("log", "checkpoint", "--home", "home").code == NOT_FOUND
    kept = tmp_path / "kept"
    kept.write_text(grow(home, 3))
    newest = grow(home, 4)
    done = releaseline("log", "checkpoint", "--home", "home")
    assert done.code == DONE and done.out.startswith(newest.rstrip("\n"))
    done = releaseline("log", "consistency", "kept", "--home", "home")
    assert done.code == DONE and "The 3 leaves are the beginning of the 7" in done.out
    done = releaseline("log", "consistency", "2", "kept", "--home", "home", "--json")
    assert json.loads(done.out)["ok"] is True
    assert releaseline("log", "consistency", "9", "--home", "home").code == USAGE
    assert releaseline("log", "consistency", "absent", "--home", "home").code == USAGE
    done = releaseline("log", "fsck", "--home", "home")
    assert done.code == DONE and "7 leaves" in done.out and "nothing is wrong" in done.out


def test_a_kept_checkpoint_of_another_history(releaseline: Run, home: Path, tmp_path: Path) -> None:
    """The holder of the log's key has signed another tree, and an auditor has kept it."""
    from engine.evidence.checkpoint import LogCheckpoint, sign  # noqa: PLC0415

    grow(home, 3)
    keys = keystore.open(home, "correct horse")
    for size, said in ((2, "NOT CONSISTENT"), (5, "leaves are missing")):
        head = LogCheckpoint(origin=keys.log_origin, size=size, root=bytes(32))
        (tmp_path / "kept").write_text(sign(head, keys.log_key))
        done = releaseline("log", "consistency", "kept", "--home", "home")
        assert done.code == INVALID_EVIDENCE and said in done.out + done.err
    stranger = sign(head, keystore.create(tmp_path / "other", "x").log_key)
    (tmp_path / "kept").write_text(stranger)
    done = releaseline("log", "consistency", "kept", "--home", "home")
    assert done.code == INVALID_EVIDENCE and "no known log" in done.err


def test_keys_are_shown_and_made_anew(releaseline: Run, home: Path) -> None:
    grow(home, 2)
    before = json.loads(releaseline("keys", "show", "--home", "home", "--json").out)
    assert [one["kind"] for one in before["keys"]] == ["log", "ca", "ct", "tsa", "witness"]
    done = releaseline("keys", "rotate", "--home", "home", "--json")
    assert done.code == DONE, done.err
    assert json.loads(done.out)["rotated"] == ["ca", "log", "tsa", "witness"]
    after = json.loads(releaseline("keys", "show", "--home", "home", "--json").out)
    assert after["trusted_root_sha256"] == json.loads(done.out)["trusted_root_sha256"]
    assert after["trusted_root_sha256"] != before["trusted_root_sha256"]
    ended = [one["sha256"] for one in after["keys"] if one["to_s"] is not None]
    assert ended == [one["sha256"] for one in before["keys"]]
    grow(home, 1)  # opens again, and the settings that name the first log still fit
    done = releaseline("log", "fsck", "--home", "home")
    assert done.code == DONE and "4 leaves" in done.out
    done = releaseline("keys", "rotate", "--what", "ca", "--origin", "x.example", "--home", "home")
    assert done.code == USAGE and "only a new log has a name" in done.err
    done = releaseline("keys", "show", "--home", "home")
    assert done.out.count("log-202") == 2


def test_a_home_that_is_in_use_keeps_its_keys(releaseline: Run, home: Path) -> None:
    with HomeLock(home):
        done = releaseline("keys", "rotate", "--home", "home")
    assert done.code == BAD_CONFIG and "has this home open" in done.err
