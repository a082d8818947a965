"""Keys made anew: what was signed goes on verifying, what is signed with old keys later does not,
and a power cut in between leaves one or the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import keystore
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.house import KeysRotated
from engine.core.statemachine import RunStatus
from engine.evidence.checkpoint import open_checkpoint, parse_checkpoint, split_note
from engine.evidence.cosignature import open_cosignatures
from engine.evidence.sigstore_bundle import verify_bundle
from engine.evidence.strict import parse_object
from engine.evidence.tiles import follow
from engine.evidence.trust import TrustedRoot, parse_trusted_root
from engine.evidence.verify import verify_envelope, verify_pack
from engine.keystore import Keys
from engine.keystore_make import next_origin
from engine.keystore_show import listing
from engine.logbook import LogBook
from engine.rotation import rotate
from engine.transparency_shard import settle
from tests.evidence.kit import (
    BASE,
    ENGINE,
    ISSUER,
    World,
    open_world,
    world,
)
from tests.shell.rotating import book_of, signed, turned, verified

pytestmark = pytest.mark.house


class PowerCut(BaseException):
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("rotation") / "home"
    home.mkdir()
    one = world(home, decision="FAIL")
    one.play()
    one.store.close()
    yield home


@pytest.fixture
def one(made: Path, tmp_path: Path) -> Iterator[World]:
    home = tmp_path / "home"
    shutil.copytree(made, home, ignore=shutil.ignore_patterns("lock"))
    opened = open_world(home)
    yield opened
    opened.store.close()


def test_everything_anew(one: World) -> None:
    before = signed(one, one.keys)
    keys = turned(one, "all")
    after = signed(one, keys)
    assert keys.fingerprint != one.keys.fingerprint
    assert keys.fingerprint == Digest.of((one.home / "trusted_root.json").read_bytes())
    assert verified(before, keys.trusted_root) and verified(before, one.keys.trusted_root)
    assert verified(after, keys.trusted_root) and not verified(after, one.keys.trusted_root)
    assert keystore.open(one.home, "secret").trusted_root == keys.trusted_root
    assert keys.input_key == one.keys.input_key  # values of inputs stay comparable
    opened = parse_trusted_root(keys.trusted_root)
    assert opened.grew_from(parse_trusted_root(one.keys.trusted_root))
    assert not parse_trusted_root(one.keys.trusted_root).grew_from(opened)
    for old, new in (opened.logs, opened.authorities, opened.ct_logs, opened.time_authorities):
        assert old.window.end_s == new.window.start_s and new.window.end_s is None
    assert book_of(one, keys).check(one.store.fsck().findings).findings == ()
    for root in (keys.trusted_root, one.keys.trusted_root):
        report = verify_pack(one.pack(), name="audit-pack.tar.gz", trusted_root=root)
        assert report.ok, report.failed


def test_the_new_log_begins_with_the_last_head_of_the_old(one: World) -> None:
    size = len(one.store.tlog_leaves())
    keys = turned(one, "log")
    assert (keys.log_first, keys.log_origin) == (size, next_origin(one.keys.log_origin, 0))
    (event,) = [r.event for r in one.store.of_kinds((KeysRotated.TYPE,))]
    assert isinstance(event, KeysRotated)
    assert (event.number, event.what, event.first) == (1, ("log",), size)
    files = {file.name: one.store.blobs.get(file.digest) for file in event.files}
    note = files["former-checkpoint"].decode()
    head = open_checkpoint(note, one.keys.log)
    assert (head.size, head.root.hex()) == (size, book_of(one, keys).head(head.origin)["root"])
    assert one.keys.witness is not None
    assert len(open_cosignatures(note, [one.keys.witness.public])) == 1
    trusted = parse_trusted_root(keys.trusted_root)
    told = verify_bundle(files["log-shard.sigstore.json"], trusted, where="log-shard")
    statement = parse_object(told.payload, where="log-shard")
    assert statement["predicate"]["former"]["checkpoint"] == note
    assert statement["subject"][0]["digest"]["sha256"] == Digest.of(note.encode()).hex
    book = book_of(one, keys)
    for key, leaves in ((one.keys.log, size), (keys.log, 1)):
        found = follow(lambda path, key=key: book.file(f"{key.name}/{path}").content, key)  # type: ignore[misc]
        assert found.head.size == leaves
    assert told.receipt.index == 0 and follow(
        lambda path: book.file(path).content, keys.log
    ).entries == (told.receipt.body,)


@pytest.mark.parametrize("part", ["log", "ca", "tsa"])
def test_what_is_signed_with_a_key_after_its_end_is_refused(one: World, part: str) -> None:
    """Somebody has kept the old keys and goes on signing with them."""
    keys = turned(one, part)
    old = one.keys
    # The thief has one old key, and everything else as it is now.
    changes = {
        "log": {"log_key": old.log_key, "log_origin": old.log_origin, "log_first": old.log_first},
        "ca": {"desk": replace(keys.desk, authority=old.desk.authority)},
        "tsa": {"desk": replace(keys.desk, time=old.desk.time)},
    }[part]
    thief = replace(keys, **changes)  # type: ignore[arg-type]
    home = one.home.parent / "thief"
    home.mkdir()
    elsewhere = world(home, decision="FAIL")
    late_us = one.clock.now_us() + 5_000_000
    made_ = signed(elsewhere, replace(thief, witness=None, log_first=0), at_us=late_us)
    elsewhere.store.close()
    report = verify_envelope(made_.pending.bundle(made_.receipt), trusted_root=keys.trusted_root)
    (failed,) = report.failed
    named = {"log": "log.window", "ca": "certificate.window", "tsa": "timestamp.window"}[part]
    assert failed.check == named, failed


def test_a_witness_alone(one: World) -> None:
    keys = turned(one, "witness")
    assert keys.log_origin == one.keys.log_origin
    # Whose cosignatures are asked for stands in the trusted root: it is another one.
    assert keys.fingerprint != one.keys.fingerprint
    root = parse_trusted_root(keys.trusted_root)
    assert root.grew_from(parse_trusted_root(one.keys.trusted_root))
    assert keys.witness is not None and one.keys.witness is not None
    assert str(keys.witness.public) != str(one.keys.witness.public)
    made_ = signed(one, keys)  # it goes on from what the one before has signed
    assert len(open_cosignatures(made_.receipt.checkpoint, [keys.witness.public])) == 1
    again = turned(one, "witness", keys=keys)
    numbers = [r.event.number for r in one.store.of_kinds((KeysRotated.TYPE,))]  # type: ignore[union-attr]
    assert numbers == [1, 2] and again.rotations == 2


def test_twice_and_under_a_name_of_ones_own(one: World) -> None:
    first = turned(one, "log", origin="log-own.example")
    second = turned(one, "log", "ca", keys=first)
    assert second.origins == (one.keys.log_origin, "log-own.example", "log-own-s2.example")
    with pytest.raises(Refused, match="was there before"):
        turned(one, "log", keys=second, origin="log-own.example")
    signed(one, second)
    report = book_of(one, second).check(one.store.fsck().findings)
    assert report.ok and report.findings == (), report.findings


def test_what_is_refused(one: World) -> None:
    with pytest.raises(Malformed, match="found 'everything'"):
        turned(one, "everything")
    with pytest.raises(Malformed, match="only a new log has a name"):
        turned(one, "ca", origin="log-own.example")
    with pytest.raises(Refused, match="passphrase is wrong"):
        rotate(
            one.home, one.store, book_of(one, one.keys), one.clock, ("ca",),
            passphrase="other", issuer=ISSUER, base=BASE,
        )  # fmt: skip
    assert keystore.open(one.home, "secret").trusted_root == one.keys.trusted_root


def test_open_runs_keep_their_keys(tmp_path: Path) -> None:
    opened = world(tmp_path)
    opened.play(until=lambda run: run.status is RunStatus.AWAITING_APPROVAL)
    with pytest.raises(Refused, match=r"while runs are open: run-1\."):
        turned(opened, "all")
    assert not (tmp_path / "keys" / "witness.json.next").exists()
    opened.store.close()


CUTS = ("witness.next", "keystore", "witness", "trusted_root")


@pytest.mark.parametrize(
    ("what", "cut"),
    [
        *((keystore.ROTATABLE, cut) for cut in CUTS),
        (("witness",), "witness"),
        (("ca",), "keystore"),
    ],
    ids=str,
)
def test_a_power_cut_leaves_all_or_nothing(one: World, cut: str, what: tuple[str, ...]) -> None:
    reached = []

    def step(name: str) -> None:
        reached.append(name)
        if name == cut:
            raise PowerCut

    note = book_of(one, one.keys).log.closing(now_us=one.clock.now_us())
    leaves = len(one.store.tlog_leaves())
    try:
        keystore.rotate(one.home, "secret", what, leaves=leaves, checkpoint=note, step=step)
    except PowerCut:
        assert reached[-1] == cut
    done = "witness" in reached  # reached only behind the keystore's own write
    keys = keystore.open(one.home, "secret")
    assert (keys.rotations, keys.rotated) == ((1, tuple(sorted(what))) if done else (0, ()))
    if not done:
        assert keys.trusted_root == one.keys.trusted_root
        assert str(keys.witness.public) == str(one.keys.witness.public)  # type: ignore[union-attr]
    assert (one.home / "trusted_root.json").read_bytes() == keys.trusted_root
    assert not (one.home / "keys" / "witness.json.next").exists()
    book = book_of(one, keys)
    assert settled(one, book, keys) == done
    assert not settled(one, book, keys)
    signed(one, keys)
    report = book.check(one.store.fsck().findings)
    assert report.ok and report.findings == (), report.findings


def settled(one: World, book: LogBook, keys: Keys) -> bool:
    return settle(one.store, book.log, keys, base=BASE, identity=ENGINE, now_us=one.clock.now_us())


@pytest.mark.parametrize("call", ["record", "append"])
def test_a_power_cut_before_the_new_log_is_on_record(one: World, call: str) -> None:
    note = book_of(one, one.keys).log.closing(now_us=one.clock.now_us())
    leaves = len(one.store.tlog_leaves())
    keys = keystore.rotate(one.home, "secret", ("log",), leaves=leaves, checkpoint=note)
    real = getattr(one.store, call)

    def cut(*_args: object, **_more: object) -> None:
        raise PowerCut

    setattr(one.store, call, cut)
    book = book_of(one, keys)
    with pytest.raises(PowerCut):
        settled(one, book, keys)
    setattr(one.store, call, real)
    book = book_of(one, keys)
    assert settled(one, book, keys)
    (first,) = one.store.tlog_entries(leaves, leaves + 1)
    assert parse_checkpoint(split_note(book.head()["checkpoint"], where="")[0]).size >= 1
    assert first.idx == keys.log_first
    report = book.check(one.store.fsck().findings)
    assert report.ok and report.findings == (), report.findings


def test_a_trusted_root_of_before_is_carried_on_and_a_strange_one_is_not(one: World) -> None:
    keys = turned(one, "ca")
    public = one.home / "trusted_root.json"
    public.write_bytes(one.keys.trusted_root)
    assert keystore.open(one.home, "secret").trusted_root == public.read_bytes()
    assert public.read_bytes() == keys.trusted_root
    public.write_bytes(keys.trusted_root.replace(b"SHA2_256", b"SHA2_512"))
    with pytest.raises(Malformed, match="not the trust root"):
        keystore.open(one.home, "secret")


def test_a_home_without_a_witness_goes_on_and_can_have_one(tmp_path: Path) -> None:
    """As homes were made before there was one."""
    from engine.keystore_file import KEYSTORE, unwrap, wrap  # noqa: PLC0415

    keystore.create(tmp_path, "secret", log_origin="log.releaseline.local")
    path = tmp_path / "keys" / "keystore.json"
    material = unwrap(KEYSTORE, path.read_bytes(), "secret", path)
    for name in ("witness", "logFirst", "formerLogs", "formerRoots", "rotated"):
        del material[name]
    path.write_bytes(wrap(KEYSTORE, material, "secret"))
    for name in ("witness.json", "witness-state.json"):
        (tmp_path / "keys" / name).unlink()
    keys = keystore.open(tmp_path, "secret")
    assert keys.witness is None and keys.log_first == 0
    assert [line.kind for line in listing(tmp_path)[1]] == ["log", "ca", "ct", "tsa"]
    opened = open_world(tmp_path)
    made_ = signed(opened, keys)
    assert made_.receipt.checkpoint.count("\n— ") == 1
    fresh = turned(opened, "witness", keys=keys)
    assert signed(opened, fresh).receipt.checkpoint.count("\n— ") == 2
    opened.store.close()


def test_a_witness_file_that_is_gone_or_anothers(one: World) -> None:
    path = one.home / "keys" / "witness.json"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(NotFound, match=r"witness\.json"):
        keystore.open(one.home, "secret")
    other = one.home.parent / "other"
    keystore.create(other, "secret")
    shutil.copy(other / "keys" / "witness.json", path)
    with pytest.raises(Malformed, match="which the keystore names"):
        keystore.open(one.home, "secret")
    path.write_bytes(kept)
    assert keystore.open(one.home, "secret").witness is not None


def test_a_witness_with_a_passphrase_of_its_own(tmp_path: Path) -> None:
    keystore.create(tmp_path, "one", witness_passphrase="two")
    with pytest.raises(Refused, match=r"witness\.json does not open"):
        keystore.open(tmp_path, "one")
    keys = keystore.open(tmp_path, "one", witness_passphrase="two")
    raw = (tmp_path / "keys" / "witness.json").read_bytes()
    assert keys.witness is not None
    assert keys.witness.key.private_bytes_raw() not in raw
    assert str(keys.witness.public) in raw.decode()


@pytest.mark.parametrize(
    ("origin", "now_us", "expected"),
    [
        ("log-2026a.releaseline.local", 1_790_000_000_000_000, "log-2026b.releaseline.local"),
        ("log-2026a.releaseline.local", 1_830_000_000_000_000, "log-2027a.releaseline.local"),
        ("log-2026z.example", 0, "log-2026z-s2.example"),
        ("log-2026z-s2.example", 0, "log-2026z-s3.example"),
        ("log.example", 0, "log-s2.example"),
        ("log", 0, "log-s2"),
    ],
)
def test_the_name_of_the_next_log(origin: str, now_us: int, expected: str) -> None:
    assert next_origin(origin, now_us) == expected


def test_only_rotations_are_growth(one: World) -> None:
    root = parse_trusted_root(one.keys.trusted_root)
    keys = turned(one, "all")
    now = parse_trusted_root(keys.trusted_root)

    def moved(which: TrustedRoot, end_s: int | None) -> TrustedRoot:
        log = which.logs[0]
        return replace(
            which, logs=(replace(log, window=replace(log.window, end_s=end_s)), *which.logs[1:])
        )

    assert now.grew_from(root) and now.grew_from(now)
    assert not moved(now, None).grew_from(now)  # an end that was taken back
    assert not replace(now, logs=now.logs[1:]).grew_from(root)  # a key that was left out
    assert not replace(now, logs=now.logs[::-1]).grew_from(root)
    start = replace(root.logs[0], window=replace(root.logs[0].window, start_s=0))
    assert not replace(root, logs=(start,)).grew_from(root)
