"""Feeds as one signed file: the same bytes twice, and nothing is taken that nobody vouches for."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound, Refused, ReleaselineError, Unverified
from engine.core.feed_events import FEEDS, FeedSynced
from engine.core.feeds import ahead, downgrade
from engine.core.house import ADMIN, CommandRejected
from engine.core.jcs import canonical
from engine.core.statemachine import Role
from engine.evidence.dsse import Envelope, Signature, parse_envelope
from engine.evidence.feeds_seal import FeedsSigner
from engine.evidence.foreign_key import parse_key
from engine.evidence.pack import read_pack, write_tar_gz, write_zip
from engine.feeds_desk import FeedDesk, Who
from engine.feeds_file import LIST, open_feeds, write_feeds
from engine.feeds_files import FeedFiles
from engine.inputs.feeds import pack_feed, read_feeds
from engine.ports import FeedSnapshot
from engine.settings import FeedsConfig
from tests.feeds.mirror import kev

SRE = Who(user="sam", roles=frozenset({Role.SRE}))
ADMINISTRATOR = Who(user="ada", roles=frozenset({Role.ADMIN}))
OUTSIDE, STRANGER = FeedsSigner(b"outside"), FeedsSigner(b"a stranger")
AS_OF_S = 1_770_724_800
KEV = "kev.json"


def snapshot(*ids: str, as_of_s: int = AS_OF_S) -> FeedSnapshot:
    content = pack_feed("KEV", {KEV: kev(*ids)})
    return FeedSnapshot(name="KEV", digest=Digest.of(content), as_of_s=as_of_s, content=content)


def file_of(*ids: str, as_of_s: int = AS_OF_S, signer: FeedsSigner = OUTSIDE) -> bytes:
    return write_feeds([snapshot(*ids, as_of_s=as_of_s)], {"KEV": "https://k"}, signer)


def opened(content: bytes, signer: FeedsSigner = OUTSIDE) -> object:
    return open_feeds(content, [parse_key(signer.pem.encode(), where="key")], where="file")


# --- the file ---------------------------------------------------------------------------------


def test_the_same_snapshots_give_the_same_bytes() -> None:
    content = file_of("CVE-1", "CVE-2")
    assert content == file_of("CVE-1", "CVE-2")
    assert content != file_of("CVE-1", "CVE-2", signer=STRANGER)
    found = open_feeds(content, [OUTSIDE.public], where="file")
    assert found.signed_by == OUTSIDE.public.name
    (listed,) = found.listed
    assert (listed.name, listed.as_of_s, listed.source) == ("KEV", AS_OF_S, "https://k")
    assert Digest.of(found.contents["KEV"]) == listed.digest
    assert parse_key(OUTSIDE.pem.encode(), where="").digest == OUTSIDE.public.digest


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(place: int, bit: int) -> None:
    content = bytearray(file_of("CVE-1"))
    content[place % len(content)] ^= 1 << bit
    with pytest.raises(ReleaselineError):
        opened(bytes(content))


def _files() -> dict[str, bytes]:
    return dict(read_pack(file_of("CVE-1")).files)


def _signed_again(change: Callable[[bytes], bytes], signer: FeedsSigner = OUTSIDE) -> bytes:
    """The list changed and signed by its own key: what a good key would never have signed."""
    envelope = parse_envelope(_files()[LIST])
    payload = change(envelope._payload)
    return signer.seal(payload).to_bytes()


def _renamed(place: str) -> bytes:
    """A tar with a name that our writer would never write."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in {**_files(), place: b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


TAMPERED: dict[str, Callable[[], bytes]] = {
    "unsigned": lambda: write_tar_gz({k: v for k, v in _files().items() if k != LIST}),
    "signed by a stranger": lambda: file_of("CVE-1", signer=STRANGER),
    "another snapshot": lambda: write_tar_gz({
        **_files(), "snapshots/KEV.json": pack_feed("KEV", {KEV: kev("CVE-9")})
    }),
    "a file more": lambda: write_tar_gz({**_files(), "snapshots/NVD.json": b"{}"}),
    "a file less": lambda: write_tar_gz({LIST: _files()[LIST]}),
    "a date that was changed": lambda: write_tar_gz({
        **_files(),
        LIST: Envelope(
            parse_envelope(_files()[LIST]).payload_type,
            parse_envelope(_files()[LIST]).signatures,
            parse_envelope(_files()[LIST])._payload.replace(b"1770724800", b"1870724800"),
        ).to_bytes(),
    }),
    "a signature of nothing": lambda: write_tar_gz({
        **_files(),
        LIST: Envelope(
            parse_envelope(_files()[LIST]).payload_type,
            (Signature(OUTSIDE.public.name, b"\0" * 64),),
            parse_envelope(_files()[LIST])._payload,
        ).to_bytes(),
    }),
    "another kind of payload": lambda: write_tar_gz({
        **_files(),
        LIST: Envelope(
            "application/vnd.in-toto+json",
            parse_envelope(_files()[LIST]).signatures,
            parse_envelope(_files()[LIST])._payload,
        ).to_bytes(),
    }),
    "a size that is not so": lambda: write_tar_gz({
        **_files(), LIST: _signed_again(lambda text: text.replace(b'"size":', b'"size":1'))
    }),
    "a feed that nobody knows": lambda: write_tar_gz({
        **_files(), LIST: _signed_again(lambda text: text.replace(b'"KEV"', b'"../K"'))
    }),
    "another schema": lambda: write_tar_gz({
        **_files(), LIST: _signed_again(lambda text: text.replace(b"-file/1", b"-file/2"))
    }),
    "a path that leaves the file": lambda: _renamed("../../keys/keystore"),
    "an absolute path": lambda: _renamed("/etc/passwd"),
    "another container": lambda: write_zip(_files()),
    "no archive": lambda: canonical({"schema": "releaseline.feeds-file/1"}),
    "nothing": lambda: b"",
    "half of it": lambda: file_of("CVE-1")[:-600],
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(set(TAMPERED) - {"another container"}))
def test_a_tampered_file_is_refused_with_a_sentence(what: str) -> None:
    with pytest.raises((Malformed, Unverified)) as refused:
        opened(TAMPERED[what]())
    assert ": expected " in str(refused.value) and len(str(refused.value)) < 600


def test_the_container_carries_no_trust() -> None:
    """The list is signed, its container is not: packed anew as a zip it is the same file."""
    assert opened(TAMPERED["another container"]()) == opened(file_of("CVE-1"))


# --- taking it in -----------------------------------------------------------------------------


class Home:
    """A home that trusts the key of another one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store.open(folder, clock=SystemClock())
        (folder / "feeds").mkdir()
        config = FeedsConfig(folder=folder / "feeds", import_keys=(OUTSIDE.pem,))
        clock = SystemClock()
        self.desk = FeedDesk(store=self.store, clock=clock, config=config, home=folder)
        self.files = FeedFiles(
            store=self.store, clock=clock, desk=self.desk, config=config, home=folder,
            signer=FeedsSigner(b"inside"),
        )  # fmt: skip

    def state(self) -> tuple[list[tuple[str, int]], int]:
        held = [(str(one.digest), one.as_of_s) for one in self.desk.snapshots()]
        return held, self.store.version(FEEDS)

    def denials(self) -> list[CommandRejected]:
        events = [one.event for one in self.store.load(ADMIN)]
        return [one for one in events if isinstance(one, CommandRejected)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.desk.stop()
    made.store.close()


def test_what_is_taken_in_is_in_force_as_old_as_its_source_says(home: Home) -> None:
    content = file_of("CVE-1", "CVE-2")
    done = home.files.take_in(content, SRE, name="feeds.tar.gz")
    assert [one.name for one in done.taken] == ["KEV"] and done.known == ()
    (held,) = home.desk.snapshots()
    assert held.as_of_s == AS_OF_S and read_feeds([held]).kev == {"CVE-1", "CVE-2"}
    synced = home.store.load(FEEDS)[-1].event
    assert isinstance(synced, FeedSynced)
    assert (synced.records, synced.added, synced.source) == (2, 2, "file of https://k")
    assert synced.checked_by == f"signature of {OUTSIDE.public.name}"
    assert not list((home.folder / "incoming").iterdir())
    before = home.state()
    again = home.files.take_in(content, SRE)
    assert (again.taken, again.known, home.state()) == ((), ("KEV",), before)
    # What it exports is signed by its own key, and taken by it again.
    mine = home.files.export()
    assert mine == home.files.export()
    assert home.files.take_in(mine, SRE).known == ("KEV",)


def test_older_or_less_is_refused_unless_an_admin_says_so(home: Home) -> None:
    home.files.take_in(file_of("CVE-1", "CVE-2", as_of_s=AS_OF_S), SRE)
    before = home.state()
    older = file_of("CVE-1", "CVE-2", "CVE-3", as_of_s=AS_OF_S - 3600)
    with pytest.raises(Refused, match="3600 s older than the snapshot that is in force"):
        home.files.take_in(older, SRE)
    with pytest.raises(Refused, match="It lacks 2 of the 2 records"):
        home.files.take_in(file_of("CVE-9", as_of_s=AS_OF_S + 60), SRE)
    with pytest.raises(Refused, match="needs the role admin"):
        home.files.take_in(older, SRE, accept_loss=True)
    assert home.state() == before
    assert [one.code for one in home.denials()] == ["loss", "loss", "role"]
    done = home.files.take_in(older, ADMINISTRATOR, accept_loss=True)
    assert done.taken[0].records == 3 and home.desk.snapshots()[0].as_of_s == AS_OF_S - 3600


def test_a_date_that_lies_ahead_is_nobody_s_to_accept(home: Home) -> None:
    with pytest.raises(Refused, match="after this clock"):
        home.files.take_in(file_of("CVE-1", as_of_s=1 << 40), ADMINISTRATOR, accept_loss=True)
    assert ahead("KEV", as_of_s=100, now_s=0) is None
    assert downgrade("KEV", as_of_s=5, in_force_s=5) is None


@pytest.mark.parametrize(
    "what", ["unsigned", "signed by a stranger", "another snapshot", "a path that leaves the file"]
)
def test_what_nobody_vouches_for_changes_nothing_and_is_on_record(home: Home, what: str) -> None:
    home.files.take_in(file_of("CVE-1"), SRE)
    before = home.state()
    content = TAMPERED[what]()
    with pytest.raises(Unverified):
        home.files.take_in(content, SRE, name="stick.tar.gz")
    assert home.state() == before and not list((home.folder / "incoming").iterdir())
    (denied,) = home.denials()
    assert (denied.action, denied.code) == ("sync_feeds", "unverified")
    assert denied.subject == str(Digest.of(content))


def test_one_bad_snapshot_keeps_all_of_them_out(home: Home) -> None:
    bad = replace(snapshot("CVE-1"), name="NVD")  # signed, and not what it is called
    content = write_feeds([snapshot("CVE-1"), bad], {}, OUTSIDE)
    with pytest.raises(Malformed, match="expected a snapshot of NVD"):
        home.files.take_in(content, SRE)
    assert home.state() == ([], 0)
    with pytest.raises(NotFound, match="no snapshot"):
        home.files.export()


def test_a_sync_and_an_import_do_not_meet(home: Home) -> None:
    with home.desk.taking(["KEV"]):
        with pytest.raises(Conflict, match="A sync of KEV is under way"):
            home.files.take_in(file_of("CVE-1"), SRE)
        assert home.desk.running().keys() == {"KEV"}
    assert home.desk.running() == {}


def test_what_a_killed_import_left_is_gone_with_the_next_start(home: Home) -> None:
    left = home.folder / "incoming" / "0123"
    left.mkdir(parents=True)
    (left / "file").write_bytes(file_of("CVE-1"))
    again = FeedDesk(
        store=home.store,
        clock=SystemClock(),
        config=FeedsConfig(folder=home.folder / "feeds"),
        home=home.folder,
    )
    again.stop()
    assert not left.exists() and home.state() == ([], 0)
    assert home.files.take_in(file_of("CVE-1"), SRE).taken
