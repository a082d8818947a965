"""`feeds`: what a person and a script see of it, on a home on which no server runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.exits import DONE, INPUT, NOT_FOUND, UNREACHABLE, USAGE
from tests.cli.conftest import Done
from tests.feeds.mirror import Mirror, advisory, archive, kev, serving

pytestmark = pytest.mark.house

Run = Callable[..., Done]


@pytest.fixture
def home(releaseline: Run) -> str:
    assert releaseline("init", "home").code == DONE
    return "home"


def test_from_a_folder_and_from_a_mirror(releaseline: Run, home: str, tmp_path: Path) -> None:
    done = releaseline("feeds", "status", "--home", home)
    assert done.code == DONE and "MISSING" in done.out and "CRITICAL" in done.out

    copy = tmp_path / "copy"
    (copy / "kev").mkdir(parents=True)
    (copy / "kev" / "kev.json").write_bytes(kev("CVE-1", "CVE-2"))
    (copy / "osv").mkdir()
    (copy / "osv" / "all.zip").write_bytes(
        archive({"X-1.json": json.dumps(advisory("X-1")).encode(), "X-2.json": b"{"})
    )
    done = releaseline("feeds", "sync", "--from", "copy", "--home", home)
    assert done.code == DONE, done.err
    assert "KEV   NEW DATA     2 records: 2 added; fetched whole." in done.out
    assert "OSV   NEW DATA     1 records: 1 added, 1 unreadable" in done.out
    assert "osv/X-2.json: expected JSON" in done.out

    with serving() as mirror:
        _from_a_mirror(releaseline, home, mirror)


def _from_a_mirror(releaseline: Run, home: str, mirror: Mirror) -> None:
    mirror.files["k.json"] = kev("CVE-1", "CVE-2", "CVE-3", released="2026-03-01T00:00:00Z")
    sync = ("feeds", "sync", "kev", "--from", f"{mirror.url}/k.json", "--home", home)
    done = releaseline(*sync, "--json")
    assert done.code == DONE, done.err
    (one,) = json.loads(done.out)["items"]
    assert (one["name"], one["records"], one["tried"]["word"]) == ("KEV", 3, "NEW DATA")
    done = releaseline(*sync)
    assert done.code == DONE and "NOTHING NEW" in done.out

    mirror.files["k.json"] = kev("CVE-1", released="2026-03-02T00:00:00Z")
    done = releaseline(*sync)
    assert done.code == INPUT and "It lacks 2 of the 3 records" in done.out
    assert releaseline(*sync, "--accept-loss").code == DONE

    del mirror.files["k.json"]
    done = releaseline(*sync)
    assert done.code == UNREACHABLE and "there is no k.json" in done.out
    done = releaseline("feeds", "status", "KEV", "--home", home)
    assert "the last sync brought nothing" in done.out
    told = [line.split()[2:4] for line in done.out.splitlines() if "local-admin" in line]
    assert len(told) == 6, done.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("CVE",), NOT_FOUND, "There is no feed CVE"),
        (("--from", "absent"), INPUT, "--from: expected a folder or an address"),
        (("--from", "http://mirror.example.com"), USAGE, "from: expected https://, or a key"),
        ((), 5, "No feed has a source"),
    ],
)
def test_what_cannot_be_asked_for(
    words: tuple[str, ...], code: int, says: str, releaseline: Run, home: str
) -> None:
    done = releaseline("feeds", "sync", *words, "--home", home)
    assert done.code == code and says in done.err
