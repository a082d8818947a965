"""`audit` and `export` on a home without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

Run = Callable[..., Done]


@pytest.fixture
def home(releaseline: Run, tmp_path: Path) -> Path:
    assert releaseline("init", "home").code == DONE
    assert releaseline("admin", "link", "--user", "ana.li", "--home", "home").code == DONE
    return tmp_path / "home"


def test_the_way_of_an_auditor(releaseline: Run, home: Path, tmp_path: Path) -> None:
    listed = releaseline("audit", "list", "--verb", "create_link", "--home", "home", "--json")
    (row,) = json.loads(listed.out)["items"]
    assert (row["actor"], row["method"], row["result"]) == ("local-admin", "shell", "allowed")
    assert row["credential"].startswith("uid ")
    shown = releaseline("audit", "show", str(row["gseq"]), "--home", "home", "--json")
    assert json.loads(json.loads(shown.out)["body"])["user"] == "ana.li"
    assert releaseline("audit", "show", "999", "--home", "home").code == NOT_FOUND
    done = releaseline("audit", "check", "--home", "home")
    assert done.code == DONE and "The chain holds up to event" in done.out
    question = ("--overrides", "--self-approvals", "--quarter", "2026-Q4")
    assert releaseline("audit", "list", *question, "--home", "home").code == DONE
    bad = releaseline("audit", "list", "--quarter", "soon", "--home", "home")
    assert bad.code == USAGE and "quarter" in bad.err


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_an_export_lies_beside_its_manifest(releaseline: Run, home: Path, form: str) -> None:
    out = f"audit.{form}"
    done = releaseline("audit", "export", "--format", form, "-o", out, "--home", "home")
    assert done.code == DONE, done.err
    manifest = json.loads(Path(f"{out}.manifest.json").read_text())
    assert manifest["rows"] >= 1 and manifest["file"]["size"] == Path(out).stat().st_size
    again = releaseline("audit", "list", "--verb", "export", "--home", "home", "--json")
    assert json.loads(again.out)["items"][0]["subject"] == "audit"


def test_tables_are_exported(releaseline: Run, home: Path) -> None:
    done = releaseline("export", "events", "-o", "events.parquet", "--home", "home")
    assert done.code == DONE, done.err
    frame = pl.read_parquet("events.parquet")
    assert frame["gseq"].to_list() == list(range(1, frame.height + 1))
    assert releaseline("export", "nothing", "-o", "x", "--home", "home").code == NOT_FOUND
    assert releaseline("export", "samples", "-o", "x", "--home", "home").code == USAGE
    nowhere = releaseline("export", "runs", "-o", "no/such/place", "--home", "home")
    assert nowhere.code == USAGE and "no/such/place" in nowhere.err


def test_a_changed_record_is_an_exit_code(releaseline: Run, home: Path) -> None:
    import duckdb  # noqa: PLC0415

    with duckdb.connect(str(home / "releaseline.duckdb")) as connection:
        connection.execute("DROP TRIGGER events_no_update ON events")
        connection.execute("UPDATE events SET actor = 'nobody' WHERE gseq = 1")
    done = releaseline("audit", "check", "--home", "home")
    assert done.code == INVALID_EVIDENCE
    assert "BROKEN at event 1" in done.out and "actor" in done.out
