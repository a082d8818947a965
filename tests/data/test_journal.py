"""The journal's text: chained, whole or not at all, and damage is named by file and line."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from data.chain import row_record
from data.codec import canonical_body, kind_of
from data.journal import START, Journal, Position
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.core.rows import Row
from tests.data.kit import leaf

SMALL = 2_000  # bytes per segment


def record(row: Row) -> str:
    return row_record(kind_of(row), canonical_body(row))


def filled(folder: Path, lines: int = 30) -> Journal:
    """A closed journal of several segments; line n holds the leaves 2n and 2n + 1."""
    journal = Journal(folder, segment_bytes=SMALL)
    journal.open(START)
    for n in range(lines):
        journal.append([[record(leaf(2 * n)), record(leaf(2 * n + 1))]])
    journal.close()
    return journal


def reopened(folder: Path, known: Position = START) -> Journal:
    journal = Journal(folder, segment_bytes=SMALL)
    journal.open(known)
    return journal


def leaves(journal: Journal, after: Position = START) -> list[int]:
    return [row.idx for _, line in journal.lines(after) for row in line.rows]  # type: ignore[union-attr]


def last_segment(folder: Path) -> Path:
    return max(folder.glob("*.jsonl"))


def test_lines_come_back_over_several_segments(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    assert len(journal.segments()) >= 4
    again = reopened(tmp_path)
    assert again.end == journal.end
    assert leaves(again) == list(range(60))
    positions = [position for position, _ in again.lines(START)]
    assert leaves(again, positions[9]) == list(range(20, 60))
    again.append([[record(leaf(60))], [record(leaf(61))]])
    assert leaves(reopened(tmp_path)) == list(range(62))


def test_each_line_can_be_checked_with_standard_tools(tmp_path: Path) -> None:
    filled(tmp_path)
    prev, number = "0" * 64, 0
    for path in sorted(tmp_path.glob("*.jsonl")):
        assert int(path.stem) == number + 1
        for raw in path.read_bytes().splitlines():
            document = json.loads(raw)
            assert canonical(document) == raw
            stated = document.pop("sha256")
            assert hashlib.sha256(canonical(document)).hexdigest() == stated
            assert (document["line"], document["prev"]) == (number + 1, prev)
            prev, number = stated, number + 1


@pytest.mark.parametrize("seed", range(40))
def test_a_torn_last_line_is_cut_off_and_said(tmp_path: Path, seed: int) -> None:
    """A power cut anywhere in the last batch: none of it counts, all before it does."""
    journal = filled(tmp_path, 7)
    path = last_segment(tmp_path)
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    cut = random.Random(seed).randrange(last + 1, len(content))
    # What was not written yet may read as zeros: the length of a file may be newer than its text.
    path.write_bytes(content[:cut] + b"\0" * (seed % 3))
    again = reopened(tmp_path)
    assert leaves(again) == list(range(12))
    assert again.cut is not None
    assert again.cut.where.startswith(f"journal/{path.name}, line ")
    assert again.cut.bytes == cut - last + seed % 3
    again.append([[record(leaf(12)), record(leaf(13))]])
    assert leaves(reopened(tmp_path)) == list(range(14))
    assert reopened(tmp_path).cut is None
    assert journal.end.line == 7


def test_a_tear_in_what_the_database_knows_is_damage(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    path = last_segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(Malformed, match="expected line 30, which the database knows") as damage:
        reopened(tmp_path, journal.end)
    assert path.name in damage.value.where
    assert "releaseline.duckdb" in damage.value.hint


@pytest.mark.parametrize("seed", range(60))
def test_any_altered_byte_is_found_and_its_line_named(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    filled(tmp_path)
    path = rng.choice(sorted(tmp_path.glob("*.jsonl")))
    content = bytearray(path.read_bytes())
    # The very last line end is what tells a torn line from a whole one.
    place = rng.randrange(len(content) - 1)
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(content))
    line = bytes(path.read_bytes()[:place]).count(b"\n") + 1
    with pytest.raises(Malformed) as damage:
        list(reopened(tmp_path).lines(START))
    assert f"journal/{path.name}, line " in str(damage.value)
    assert any(f"line {n}" in damage.value.where for n in (line, line + 1))


@pytest.mark.parametrize("what", ["removed", "repeated", "exchanged"])
def test_lines_out_of_place_are_found(tmp_path: Path, what: str) -> None:
    filled(tmp_path)
    path = sorted(tmp_path.glob("*.jsonl"))[1]
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "removed": lines[:1] + lines[2:],
        "repeated": [*lines[:2], lines[1], *lines[2:]],
        "exchanged": [lines[1], lines[0], *lines[2:]],
    }[what]
    path.write_bytes(b"".join(changed))
    with pytest.raises(Malformed, match="removed or exchanged"):
        reopened(tmp_path)


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_segment_is_found(tmp_path: Path, which: int) -> None:
    filled(tmp_path)
    sorted(tmp_path.glob("*.jsonl"))[which].unlink()
    with pytest.raises(Malformed, match="lines are missing"):
        reopened(tmp_path)


def test_a_history_written_anew_is_not_the_one_that_the_database_knows(tmp_path: Path) -> None:
    journal = filled(tmp_path / "a", 3)
    other = Journal(tmp_path / "b")
    other.open(START)
    other.append([[record(leaf(n))] for n in (5, 6, 7)])
    with pytest.raises(Malformed, match="the history was exchanged"):
        reopened(tmp_path / "b", journal.end)


def test_what_is_taken_back_leaves_no_trace(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.jsonl")}
    for batches in (1, 40):
        journal.append([[record(leaf(n))] for n in range(batches)])
        journal.retract()
        assert {p.name: p.read_bytes() for p in tmp_path.glob("*.jsonl")} == before
    journal.append([[record(leaf(60))]])
    assert leaves(reopened(tmp_path)) == list(range(61))
