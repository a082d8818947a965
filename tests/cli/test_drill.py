"""`releaseline drill` on a real pack, by the command line alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE
from engine.evidence import drill as drills
from engine.evidence import verify
from tests.evidence.kit import world

pytestmark = pytest.mark.house


@dataclass(frozen=True)
class Packs:
    folder: Path

    def __str__(self) -> str:
        return str(self.folder / "evidence-bundle.zip")

    @property
    def root(self) -> str:
        return str(self.folder / "root.json")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packs]:
    """The bundle of a run that the policy rejected: the smallest that is sealed."""
    folder = tmp_path_factory.mktemp("drill")
    one = world(folder / "home", decision="FAIL")
    one.play()
    (folder / "evidence-bundle.zip").write_bytes(one.pack("bundle"))
    (folder / "root.json").write_bytes(one.keys.trusted_root)
    yield Packs(folder)
    one.store.close()


def test_a_good_pack(releaseline: Callable[..., Any], packs: Packs) -> None:
    """By its own trust root, for which it says what that means."""
    done = releaseline("drill", str(packs), "--json")
    document = json.loads(done.out)
    assert done.code == DONE and document["ok"] and not document["anchored"]
    assert document["path"] == str(packs) and len(document["cases"]) > 50
    assert "verified as it is" in done.err and "NOT CAUGHT" not in done.err
    assert "archive.slip" in done.err and "By a thief of every key" in done.err
    assert document["sentence"] in done.err and done.err.rstrip().endswith("give --trusted-root.")
    assert max(map(len, done.err.splitlines())) < 500


def test_a_hole_ends_with_21(
    releaseline: Callable[..., Any], packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "check_against", lambda *_, **__: None)
    for room in ("item_drills", "file_drills", "archive_drills"):
        monkeypatch.setattr(drills, room, lambda *_: iter(()))
    done = releaseline("drill", str(packs), "--trusted-root", packs.root)
    assert done.code == INVALID_EVIDENCE and "    NOT CAUGHT" in done.out
    assert done.out.splitlines()[-1].startswith("NOT CAUGHT: 1 of ")
    assert "give --trusted-root" not in done.out


def test_what_is_no_good_pack(releaseline: Callable[..., Any], packs: Packs) -> None:
    cut = packs.folder / "cut.zip"
    cut.write_bytes(Path(str(packs)).read_bytes()[:-9])
    done = releaseline("drill", str(cut), "--trusted-root", packs.root)
    assert done.code == INVALID_EVIDENCE
    assert "The untouched pack does not verify" in done.err and "pack.archive" in done.err
    assert releaseline("drill", "nowhere.zip").code == NOT_FOUND
    assert releaseline("drill", str(packs.folder)).code == USAGE
