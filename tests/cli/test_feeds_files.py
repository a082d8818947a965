"""`feeds export`, `feeds key` and `feeds import`: from one home to another, without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.adapters.feeds_dir import write_index
from engine.cli.exits import CONFLICT, DONE, INVALID_EVIDENCE, USAGE
from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

NEWER_S = int(time.time()) - 600  # newer than the shipped snapshots


def test_from_one_home_to_another(releaseline: Callable[..., Done], tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for home in (outside, inside):
        create_home(home, passphrase="correct horse")
    write_index(outside / "feeds", dict.fromkeys(("KEV", "NVD", "OSV"), NEWER_S))
    ours, theirs = ("--home", str(inside)), ("--home", str(outside))
    file = tmp_path / "feeds.tar.gz"
    made = releaseline("feeds", "export", str(file), *theirs, "--json")
    assert made.code == DONE
    assert json.loads(made.out)["size"] == file.stat().st_size
    assert releaseline("feeds", "export", str(file), *theirs).code == CONFLICT
    twice = tmp_path / "twice.tar.gz"
    assert releaseline("feeds", "export", str(twice), *theirs).code == DONE
    assert twice.read_bytes() == file.read_bytes()

    refused = releaseline("feeds", "import", str(file), *ours)
    assert refused.code == INVALID_EVIDENCE and "a good signature of" in refused.err
    key = releaseline("feeds", "key", *theirs)
    (inside / "outside.pem").write_text(key.out)
    settings = inside / "releaseline.yaml"
    text = settings.read_text()
    trusting = "  folder: feeds\n  import_keys: [outside.pem]\n"
    line = next(one for one in text.splitlines(keepends=True) if one.startswith("  folder: feeds"))
    settings.write_text(text.replace(line, trusting, 1))

    done = releaseline("feeds", "import", str(file), *ours, "--json")
    assert done.code == DONE, done.err
    taken = json.loads(done.out)["taken"]
    assert [(one["name"], one["as_of_s"]) for one in taken] == [
        ("KEV", NEWER_S), ("NVD", NEWER_S), ("OSV", NEWER_S)
    ]  # fmt: skip
    told = releaseline("feeds", "status", "KEV", *ours)
    assert "NEW DATA" in told.out
    again = releaseline("feeds", "import", str(file), *ours)
    assert again.code == DONE and "In force already: KEV, NVD, OSV" in again.out

    write_index(outside / "feeds", dict.fromkeys(("KEV", "NVD", "OSV"), NEWER_S - 3600))
    assert releaseline("feeds", "export", str(file), *theirs, "--force").code == DONE
    older = releaseline("feeds", "import", str(file), *ours)
    assert older.code == CONFLICT and "3600 s older" in older.err
    assert releaseline("feeds", "import", str(file), *ours, "--accept-loss").code == DONE

    file.write_bytes(file.read_bytes()[:-1000])
    half = releaseline("feeds", "import", str(file), *ours)
    assert half.code == USAGE and "expected gzip, it ends too early" in half.err


def test_a_key_that_is_none_ends_before_anything_starts(
    releaseline: Callable[..., Done], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    (home / "bad.pem").write_text("no key")
    settings = home / "releaseline.yaml"
    settings.write_text(
        settings.read_text().replace(
            "  folder: feeds ", "  import_keys: [bad.pem, none.pem]\n  folder: feeds ", 1
        )
    )
    refused = releaseline("feeds", "status", "--home", str(home))
    assert refused.code == 78
    assert "bad.pem" in refused.err and "none.pem" in refused.err
