"""The whole log against whatever was changed behind its back; every row is named by its index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data.store import Store
from engine.core.errors import LogForked, NotFound
from engine.core.statemachine import RunStatus
from engine.evidence.checkpoint import open_checkpoint, sign
from engine.evidence.cosignature import open_cosignatures
from engine.evidence.merkle import Tree, verify_consistency
from engine.evidence.tiles import follow
from engine.keystore import witness_state
from engine.logbook import LogBook, LogReport, open_log
from engine.transparency import Wish
from tests.evidence.kit import ISSUER, StepClock, World, keys_of, open_world, world

pytestmark = pytest.mark.house


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a run that was rejected and sealed."""
    home = tmp_path_factory.mktemp("logbook") / "home"
    home.mkdir()
    one = world(home, decision="FAIL")
    assert one.play().status is RunStatus.REJECTED
    one.store.close()
    yield home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home", ignore=shutil.ignore_patterns("lock")))


def book_of(one: World) -> LogBook:
    return open_log(one.home, one.store, one.keys, issuer=ISSUER)


def check(home: Path) -> LogReport:
    one = open_world(home)
    try:
        return book_of(one).check(one.store.fsck().findings)
    finally:
        one.store.close()


def database(home: Path) -> duckdb.DuckDBPyConnection:
    """As somebody with the file opens it: without the triggers that keep rows as they are."""
    connection = duckdb.connect(str(home / "releaseline.duckdb"))
    triggers = connection.execute("SELECT trigger_name FROM duckdb_triggers()").fetchall()
    for (name,) in triggers:
        table = name.rsplit("_no_", 1)[0]
        connection.execute(f"DROP TRIGGER {name} ON {table}")
    return connection


def test_what_was_sealed_is_as_it_was_signed(home: Path) -> None:
    report = check(home)
    assert report.ok and report.findings == (), report.findings
    assert 0 < report.receipts < report.leaves  # those over packs lie inside the packs
    one = open_world(home)
    book = book_of(one)
    head = book.head()
    note = head["checkpoint"]
    assert open_checkpoint(note, one.keys.log).size == head["size"] == report.leaves
    assert one.keys.witness is not None
    assert (
        len(open_cosignatures(note, [one.keys.witness.public])) == 1 == len(head["cosigned_at_s"])
    )
    found = follow(lambda path: book.file(path).content, one.keys.log)
    assert found.note == note
    assert follow(lambda p: book.file(f"{one.keys.log_origin}/{p}").content, one.keys.log) == found
    one.store.close()


def test_proofs_between_any_two_sizes(home: Path) -> None:
    one = open_world(home)
    book = book_of(one)
    size = book.head()["size"]
    for first in range(size + 1):
        for second in range(first, size + 1):
            proof = book.consistency(first, second)
            verify_consistency(
                first=first,
                second=second,
                first_root=bytes.fromhex(proof["first_root"]),
                second_root=bytes.fromhex(proof["second_root"]),
                proof=[bytes.fromhex(one) for one in proof["hashes"]],
            )
    for first, last in ((3, 2), (-1, 2), (0, size + 1)):
        with pytest.raises(NotFound, match="There is no proof from size"):
            book.consistency(first, last)
    with pytest.raises(NotFound, match=r"no log log\.other"):
        book.head("log.other")
    one.store.close()


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tlog_entries SET body = replace(body, '0.0.2', '0.0.1') WHERE idx = {}",
        "UPDATE tlog_entries SET leaf_hash = repeat('0', 64) WHERE idx = {}",
        "DELETE FROM tlog_entries WHERE idx = {}",
    ],
)
def test_a_row_of_the_database(home: Path, change: str, index: int) -> None:
    with database(home) as connection:
        connection.execute(change.format(index))
    report = check(home)
    assert not report.ok
    assert any(f"leaf {index}:" in one or f"tlog_entries {index}:" in one
               for one in report.findings), report.findings  # fmt: skip


def test_an_added_row_of_the_database(home: Path) -> None:
    with database(home) as connection:
        (size,) = connection.execute("SELECT count(*) FROM tlog_entries").fetchall()[0]
        connection.execute(
            f"INSERT INTO tlog_entries SELECT {size}, leaf_hash, body, ts_us "
            "FROM tlog_entries WHERE idx = 0"
        )
    report = check(home)
    assert not report.ok
    assert f"tlog_entries leaf {size}: is the same as leaf 0" in report.findings


def test_a_changed_head_of_the_database(home: Path) -> None:
    with database(home) as connection:
        connection.execute("UPDATE tlog_heads SET root = repeat('0', 64) WHERE size = 1")
        connection.execute("UPDATE tlog_heads SET hash = repeat('1', 64) WHERE size = 2")
    findings = "\n".join(check(home).findings)
    assert "tlog_heads 1: is not what its note signs" in findings
    assert "tlog_heads 2: expected event" in findings and "1111, found" in findings


def test_a_journal_that_was_written_anew_with_all_its_digests(home: Path) -> None:
    """Who can calculate every chain again has changed journal and database alike."""
    one = open_world(home)
    (first,) = one.store.tlog_entries(0, 1)
    one.store.close()
    with database(home) as connection:
        connection.execute(
            "UPDATE tlog_entries SET body = ?, leaf_hash = ? WHERE idx = 0",
            [first.body.replace("a", "b", 1), first.leaf_hash[:-1] + "0"],
        )
    one = open_world(home)
    report = book_of(one).check()  # whatever the store's own check would say is left out
    assert not report.ok
    where = {finding.partition(":")[0] for finding in report.findings}
    assert "tlog_entries leaf 0" in where and any(w.startswith("log/") for w in where)
    assert any("its receipt is about another leaf" in one for one in report.findings)
    one.store.close()


@pytest.mark.parametrize("name", ["tile/0/000.p/{}", "tile/entries/000.p/{}", "checkpoint"])
def test_a_file_of_the_log(home: Path, name: str) -> None:
    one = open_world(home)
    size = book_of(one).head()["size"]
    folder = home / "log" / one.keys.log_origin
    one.store.close()
    path = folder / name.format(size)
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(bytes(content))
    report = check(home)
    assert not report.ok and len(report.findings) == 1, report.findings
    if name.startswith("tile"):
        index = 1 if "/0/" in name else 0
        assert f" leaf {index}: is another here than in the record" in report.findings[0]
    path.unlink()
    report = check(home)
    assert not report.ok and "log/" in report.findings[0]


def test_a_receipt_that_is_gone_or_another(home: Path) -> None:
    one = open_world(home)
    named = [
        file
        for recorded in one.store.of_kinds(("evidence.captured/1",))
        for file in recorded.event.files  # type: ignore[union-attr]
        if file.name.endswith("rekor-entry.json")
    ]
    one.store.blobs.path(named[0].digest).unlink()
    one.store.blobs.path(named[1].digest).write_bytes(b"{}")
    one.store.close()
    findings = check(home).findings
    assert [f for f in findings if named[0].name in f and "its receipt is gone" in f]
    assert [f for f in findings if named[1].name in f]


def test_a_witness_that_knows_better(home: Path) -> None:
    state = witness_state(home)
    document = json.loads(state.read_bytes())
    (seen,) = document["logs"].values()
    size = int(seen["size"])
    seen["size"] = str(size + 1)
    state.write_text(json.dumps(document))
    assert f"witness leaf {size}: is missing: the witness has signed {size + 1} leaves" in (
        check(home).findings
    )
    seen |= {"size": str(size), "root": "00" * 32}
    state.write_text(json.dumps(document))
    assert any("witness: has signed another tree" in one for one in check(home).findings)
    state.unlink()
    assert any("is gone" in one for one in check(home).findings)


def grown(home: Path) -> None:
    """Sign one more leaf."""
    one = open_world(home)
    try:
        log = book_of(one).log
        with log.writing() as tree:
            wish = Wish(payload=b"{}", identity="https://x.example/run-engine")
            _, rows = log.sign(tree, (wish,), now_us=one.clock.now_us(), anchor=None)
            one.store.record(rows)
    finally:
        one.store.close()


def test_a_log_that_was_cut_does_not_grow(home: Path) -> None:
    """The last leaf and its heads are taken out of database and journal: nothing shows but the
    witness' memory."""
    grown(home)
    with database(home) as connection:
        (size,) = connection.execute("SELECT count(*) FROM tlog_entries").fetchall()[0]
        connection.execute(f"DELETE FROM tlog_entries WHERE idx = {size - 1}")
        connection.execute(f"DELETE FROM tlog_heads WHERE size = {size}")
    with pytest.raises(LogForked, match=f"it has signed {size} before|are not their beginning"):
        grown(home)


def test_a_rewritten_leaf_stops_the_log_even_without_a_witness(home: Path) -> None:
    with database(home) as connection:
        connection.execute("UPDATE tlog_entries SET leaf_hash = repeat('0', 64) WHERE idx = 1")
    store = Store.open(home, clock=StepClock())
    keys = keys_of((home / "trusted_root.json").read_bytes(), home)
    log = open_log(home, store, keys, issuer=ISSUER).log
    with pytest.raises(LogForked, match="the recorded ones have another root"), log.writing():
        raise AssertionError
    store.close()


def test_a_fork_by_the_holder_of_the_logs_key_gets_no_cosignature(home: Path) -> None:
    """Database, heads and notes are all rewritten and signed with the right key."""
    one = open_world(home)
    rows = one.store.tlog_heads(one.keys.log_origin)
    forged = [(row, open_checkpoint(row.note, one.keys.log)) for row, _ in rows]
    tree_leaves = [bytes.fromhex(leaf) for leaf in one.store.tlog_leaves()]
    one.store.close()
    tree_leaves[0] = bytes(32)
    fork = Tree(tree_leaves)
    with database(home) as connection:
        connection.execute("UPDATE tlog_entries SET leaf_hash = repeat('0', 64) WHERE idx = 0")
        for _row, head in forged:
            other = replace(head, root=fork.root(head.size))
            connection.execute(
                "UPDATE tlog_heads SET root = ?, note = ? WHERE size = ?",
                [other.root.hex(), sign(other, one.keys.log_key), head.size],
            )
    with pytest.raises(LogForked, match="are not their beginning"):
        grown(home)
