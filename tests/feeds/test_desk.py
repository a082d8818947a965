"""A home's feeds: what is in force, what is on record, who may, and what a power cut leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.feed_events import FEEDS, FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.feeds_timing import FeedTiming
from engine.core.house import ADMIN, CommandRejected
from engine.core.statemachine import Role
from engine.feeds_desk import FeedDesk, Who
from engine.feeds_due import FeedsDue
from engine.feeds_job import Job
from engine.feeds_process import SyncFailed, SyncProcess
from engine.feeds_read import history
from engine.feeds_sync import Wish
from engine.inputs.feeds import read_feeds
from engine.inputs.feeds_unpack import FeedLimits
from engine.settings import FeedOrigin, FeedsConfig
from tests.feeds.mirror import Fault, Mirror, advisory, kev

pytestmark = pytest.mark.house

SRE = Who(user="sam", roles=frozenset({Role.SRE}))
ADMINISTRATOR = Who(user="ada", roles=frozenset({Role.ADMIN}))
SHELL = Who(user="local-admin", roles=frozenset(), local=True)
KEV = "k/known_exploited_vulnerabilities.json"
QUICK = FeedLimits(deadline_s=20)


class Ahead(SystemClock):
    """The system's clock, put forward by a test."""

    ahead_s = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_s * 1_000_000


class Home:
    """A store and its feeds; `again` closes both and opens them anew."""

    def __init__(self, folder: Path, *origins: FeedOrigin, limits: FeedLimits = QUICK) -> None:
        self.folder, self._origins, self._limits = folder, origins, limits
        self.clock = Ahead()
        (folder / "feeds" / "kev").mkdir(parents=True, exist_ok=True)
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.folder, clock=self.clock)
        self.feeds = FeedDesk(
            store=self.store,
            clock=self.clock,
            config=FeedsConfig(folder=self.folder / "feeds", sources=self._origins),
            home=self.folder,
            limits=self._limits,
        )

    def close(self) -> None:
        self.feeds.stop()
        self.store.close()

    def again(self) -> None:
        self.close()
        self.open()

    def sync(self, *names: str, who: Who = SRE, **more: object) -> None:
        self.feeds.sync(Wish(names=names, **more), who)  # type: ignore[arg-type]  # by name
        self.feeds.wait()

    def events(self) -> list[object]:
        return [one.event for one in self.store.load(FEEDS)]

    def kev(self) -> frozenset[str]:
        return read_feeds(self.feeds.snapshots()).kev


@pytest.fixture
def home(tmp_path: Path, mirror: Mirror) -> Iterator[Home]:
    mirror.files[KEV] = kev("CVE-1", "CVE-2")
    mirror.ecosystem("PyPI", {"X-1": advisory("X-1")}, root="osv")
    made = Home(
        tmp_path,
        FeedOrigin(name="KEV", address=f"{mirror.url}/k"),
        FeedOrigin(name="OSV", address=f"{mirror.url}/osv", ecosystems=("PyPI",)),
    )
    yield made
    made.close()


def test_what_was_synced_is_in_force_and_stays_so(home: Home, mirror: Mirror) -> None:
    (home.folder / "feeds" / "kev" / "by-hand.json").write_bytes(kev("CVE-9"))
    assert home.kev() == {"CVE-9"}  # a feed that was never synced is read from the folder
    home.sync()
    assert home.kev() == {"CVE-1", "CVE-2"}
    assert all(one.digest == Digest.of(one.content) for one in home.feeds.snapshots())
    kinds = [type(one) for one in home.events()]
    assert kinds == [FeedSyncStarted, FeedSynced] * 2
    before = [(one.name, one.digest, one.as_of_s) for one in home.feeds.snapshots()]
    assert [name for name, _, _ in before] == ["KEV", "OSV"]
    home.again()
    assert [(one.name, one.digest, one.as_of_s) for one in home.feeds.snapshots()] == before
    assert not list((home.folder / "incoming").iterdir())


def test_what_is_due_is_synced_by_itself_and_tried_again_with_pauses(
    tmp_path: Path, mirror: Mirror
) -> None:
    mirror.files[KEV] = kev("CVE-1")
    mirror.ecosystem("PyPI", {"X-1": advisory("X-1")}, root="osv")
    hourly = FeedOrigin(name="KEV", address=f"{mirror.url}/k", timing=FeedTiming(every_s=3_600))
    asked_for = FeedOrigin(name="OSV", address=f"{mirror.url}/osv")
    home = Home(tmp_path, hourly, asked_for)

    def later(seconds: int) -> list[str]:
        """What the alarm clock finds after so long, as the words of its tries."""
        home.clock.ahead_s += seconds
        FeedsDue(home.feeds).when_due()
        home.feeds.wait()
        return [one.word for one in history(home.feeds)]

    assert later(0) == ["NEW DATA"]  # the other one is nobody's to sync unasked
    assert history(home.feeds)[0].by == "engine"
    assert later(3_500) == ["NEW DATA"]
    mirror.faults[KEV] = Fault("status", "403")
    assert later(100) == ["FAILED", "NEW DATA"]
    assert later(30) == ["FAILED", "NEW DATA"]  # too early
    assert later(30)[0:2] == ["FAILED", "FAILED"]
    home.again()  # a restart forgets no pause
    assert later(60)[0:3] == ["FAILED", "FAILED", "NEW DATA"]
    mirror.faults.clear()
    assert later(60)[0] == "NOTHING NEW"
    assert len(later(3_500)) == 4 and home.kev() == {"CVE-1"}
    home.close()


def test_what_is_due_is_left_alone_while_somebody_syncs_it(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files[KEV] = kev("CVE-1")
    timing = FeedTiming(every_s=3_600)
    home = Home(tmp_path, FeedOrigin(name="KEV", address=f"{mirror.url}/k", timing=timing))
    due = FeedsDue(home.feeds)
    with home.feeds.taking(["KEV"]):
        assert due.due() == ()
        due.when_due()
    assert home.events() == []
    assert due.due() == ("KEV",)
    home.close()


def test_nothing_new_moves_the_date_and_nothing_else(home: Home, mirror: Mirror) -> None:
    home.sync("KEV")
    (first,) = home.feeds.snapshots()
    assert first.as_of_s == 1770724800  # as its source dates it
    asked_s = int(time.time())
    home.again()
    home.sync("kev")
    assert mirror.asked[-1] == (KEV, 304)
    (second,) = home.feeds.snapshots()
    assert second.digest == first.digest and second.as_of_s >= asked_s
    assert [one.word for one in history(home.feeds, "KEV")] == ["NOTHING NEW", "NEW DATA"]
    assert "2 records" in history(home.feeds)[0].text


def test_a_failed_sync_keeps_what_is_there_and_says_why(home: Home, mirror: Mirror) -> None:
    home.sync("KEV")
    mirror.files[KEV] = b'{"count": 1'
    home.sync("KEV")
    mirror.faults[KEV] = Fault("status", "403")
    home.sync("KEV")
    assert home.kev() == {"CVE-1", "CVE-2"}
    newest, before, _ = history(home.feeds, "KEV")
    assert (newest.word, newest.code, newest.by) == ("FAILED", "unreachable", "sam")
    assert newest.text.endswith("known_exploited_vulnerabilities.json: status 403")
    assert (before.word, before.code) == ("FAILED", "malformed")
    assert "expected JSON" in before.text


def test_one_that_fails_does_not_stop_the_next(home: Home, mirror: Mirror) -> None:
    mirror.faults[KEV] = Fault("status", "403")
    home.sync()
    assert {name: log.newest is not None for name, log in home.feeds.logs().items()} == {
        "EPSS": False, "GHSA": False, "KEV": False, "NVD": False, "OSV": True
    }  # fmt: skip


def test_a_feed_that_lost_much_is_taken_by_an_admin_alone(home: Home, mirror: Mirror) -> None:
    home.sync("KEV")
    mirror.files[KEV] = kev("CVE-1", released="2026-02-11T00:00:00Z")
    home.sync("KEV")
    assert history(home.feeds)[0].code == "loss"
    assert home.kev() == {"CVE-1", "CVE-2"}
    with pytest.raises(Refused, match="needs the role admin"):
        home.sync("KEV", accept_loss=True)
    home.sync("KEV", who=ADMINISTRATOR, accept_loss=True)
    assert home.kev() == {"CVE-1"}
    assert "1 removed; fetched whole, loss accepted." in history(home.feeds)[0].text


def test_another_source_is_never_gone_on_from(home: Home, mirror: Mirror) -> None:
    """The same tag from somebody else vouches for nothing of what is here."""
    home.sync("KEV")
    place = "other/known_exploited_vulnerabilities.json"
    mirror.files[place] = mirror.files[KEV]
    mirror.asked.clear()
    home.sync("KEV", origin=f"{mirror.url}/other", who=SHELL)
    assert mirror.asked == [(place, 200)]
    home.sync("KEV", origin=f"{mirror.url}/other", who=SHELL)
    home.sync("KEV", origin=f"{mirror.url}/other", who=SHELL, full=True)
    assert mirror.asked == [(place, 200), (place, 304), (place, 200)]


def test_who_may_not_is_on_record(home: Home) -> None:
    with pytest.raises(Refused, match="Syncing feeds needs the role admin or release manager or s"):
        home.sync(who=Who(user="vic", roles=frozenset({Role.VIEWER, Role.CI})))
    with pytest.raises(Refused, match="from a source of your choice"):
        home.sync("KEV", origin="http://127.0.0.1:1/x")
    with pytest.raises(Refused, match=r"NVD: no source is configured \(feeds.sources"):
        home.sync("NVD")
    denied = [one for one in home.store.load(ADMIN) if isinstance(one.event, CommandRejected)]
    assert [(one.actor, one.event.action) for one in denied] == [  # type: ignore[union-attr]
        ("vic", "sync_feeds"), ("sam", "sync_feeds"), ("sam", "sync_feeds"),
    ]  # fmt: skip
    assert home.events() == []


def test_what_cannot_be_asked_for(home: Home) -> None:
    with pytest.raises(NotFound, match="There is no feed CVE; there are EPSS, GHSA, KEV"):
        home.sync("CVE")
    for address, says in (
        ("http://mirror.example.com/k", "expected https://, or a key"),
        ("ftp://mirror.example.com/k", "expected a folder, or https://HOST"),
        ("https://user:pw@mirror.example.com/k", "without user, password"),
    ):
        with pytest.raises(Malformed, match=says):
            home.sync("KEV", origin=address, who=SHELL)


def test_from_a_folder_with_a_folder_per_feed(home: Home, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (copy / "kev").mkdir(parents=True)
    (copy / "kev" / "x.json").write_bytes(kev("CVE-7"))
    (copy / "feeds.json").write_text(
        json.dumps({"schema": "releaseline.feeds/1", "as_of_s": {"KEV": 1771111111}})
    )
    home.sync(origin=str(copy), who=SHELL)
    assert home.kev() == {"CVE-7"}
    (snapshot,) = home.feeds.snapshots()
    assert snapshot.as_of_s == 1771111111
    home.sync("KEV", origin=str(copy), who=SHELL)
    assert history(home.feeds)[0].word == "NOTHING NEW"
    assert home.feeds.snapshots()[0].as_of_s == 1771111111  # a copy is no fresher for being read


def test_a_mirror_that_hangs_is_left_and_can_be_left_sooner(tmp_path: Path, mirror: Mirror) -> None:
    mirror.files["k.json"] = kev(*(f"CVE-{n}" for n in range(200)))
    mirror.faults["k.json"] = Fault("drip")
    origin = FeedOrigin(name="KEV", address=f"{mirror.url}/k.json")
    slow = Home(tmp_path, origin, limits=FeedLimits(deadline_s=2))
    slow.sync()
    assert history(slow.feeds)[0].text.endswith("the sync did not end within 2 s")
    slow.close()
    slow, before = Home(tmp_path, origin), len(mirror.asked)
    slow.feeds.sync(Wish(), SRE)
    with pytest.raises(Refused, match="KEV: a sync is under way"):
        slow.feeds.sync(Wish(), SRE)
    deadline_s = time.monotonic() + 20
    while ("k.json", 200) not in mirror.asked[before:] and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert slow.feeds.running().keys() == {"KEV"}
    began_s = time.monotonic()
    slow.feeds.stop()
    assert time.monotonic() - began_s < 5
    newest = history(slow.feeds)[0]
    assert (newest.word, newest.code, newest.text) == (
        "FAILED", "stopped", "the engine was stopped"
    )  # fmt: skip
    slow.store.close()


def test_a_sync_that_is_stopped_before_it_reads_its_job_says_so(tmp_path: Path) -> None:
    new = str(tmp_path / "new")
    process = SyncProcess(Job(name="KEV", address=str(tmp_path), into=new, asked_s=1, limits=QUICK))
    process.cancel("the engine was stopped")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, so nobody reads the pipe
    with pytest.raises(SyncFailed, match="the engine was stopped") as stopped:
        process.run(lambda _: None)
    assert stopped.value.code == "stopped"


def test_a_damaged_snapshot_is_named_and_never_read(home: Home) -> None:
    home.sync("KEV")
    (snapshot,) = home.feeds.snapshots()
    path = home.store.blobs.path(snapshot.digest)
    path.write_bytes(path.read_bytes().replace(b"CVE-2", b"CVE-3"))
    home.again()
    with pytest.raises(Malformed, match=f"blob {snapshot.digest}: expected"):
        home.feeds.snapshots()


_PLAY = """
import os, signal, sys
from pathlib import Path
from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.core.feed_events import FeedSynced
from engine.core.statemachine import Role
from engine.feeds_desk import FeedDesk, Who
from engine.feeds_sync import Wish
from engine.settings import FeedOrigin, FeedsConfig
from engine.inputs.feeds_unpack import FeedLimits

folder, address, when = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = Store.open(folder, clock=SystemClock())
append = store.append

def cut_at(moment):
    if moment == when:
        os.kill(os.getpid(), signal.SIGKILL)

class Cut:
    def __getattr__(self, name):
        return getattr(store, name)
    def append(self, stream, events, **more):
        if isinstance(events[0], FeedSynced):
            cut_at("before the append")
        done = append(stream, events, **more)
        if isinstance(events[0], FeedSynced):
            cut_at("after the append")
        return done

desk = FeedDesk(store=Cut(), clock=SystemClock(), home=folder, limits=FeedLimits(deadline_s=20),
    config=FeedsConfig(folder=folder / "feeds", sources=(FeedOrigin(name="KEV", address=address),)))
desk.sync(Wish(), Who(user="sam", roles=frozenset({Role.SRE})))
desk.wait()
"""


@pytest.mark.parametrize("when", ["before the append", "after the append"])
def test_a_kill_leaves_the_old_snapshot_or_the_new_one(
    when: str, home: Home, mirror: Mirror
) -> None:
    home.sync("KEV")
    home.close()
    mirror.files[KEV] = kev("CVE-1", "CVE-2", "CVE-3", released="2026-02-12T00:00:00Z")
    done = subprocess.run(
        [sys.executable, "-c", _PLAY, str(home.folder), f"{mirror.url}/k", when],
        cwd=Path(__file__).parents[2],
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    home.open()
    new = when == "after the append"
    assert home.kev() == ({"CVE-1", "CVE-2", "CVE-3"} if new else {"CVE-1", "CVE-2"})
    assert history(home.feeds)[0].word == ("NEW DATA" if new else "INTERRUPTED")
    assert not list((home.folder / "incoming").iterdir())
    home.sync("KEV")
    assert home.kev() == {"CVE-1", "CVE-2", "CVE-3"}
    assert home.store.fsck().ok


def test_the_process_of_a_sync_ends_with_its_server(home: Home, mirror: Mirror) -> None:
    mirror.faults[KEV] = Fault("drip")
    mirror.files[KEV] = kev(*(f"CVE-{n}" for n in range(500)))
    home.close()
    server = subprocess.Popen(
        [sys.executable, "-c", _PLAY, str(home.folder), f"{mirror.url}/k", "never"],
        cwd=Path(__file__).parents[2],
    )
    deadline_s = time.monotonic() + 30
    while (KEV, 200) not in mirror.asked and time.monotonic() < deadline_s:
        time.sleep(0.05)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    found = {
        int(pid)
        for path in children.parent.parent.glob("*/children")
        for pid in path.read_text().split()
    }
    assert found, children.exists()
    server.kill()
    server.wait()
    deadline_s = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in found) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not [pid for pid in found if Path(f"/proc/{pid}").exists()]
    home.open()


def test_the_events_are_those_of_one_try_after_another(home: Home) -> None:
    home.sync("KEV")
    started, synced = home.events()
    assert isinstance(started, FeedSyncStarted) and isinstance(synced, FeedSynced)
    assert started.source == synced.source and not isinstance(synced, FeedSyncFailed)
    assert synced.validators and synced.validators[0].etag
