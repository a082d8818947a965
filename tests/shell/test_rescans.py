"""Rescans over a real home: what is due begins by itself, matches as the gate does, and is told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.asker import Asker
from engine.core.bundle import Bundle
from engine.core.data_health import Level, rescan_source
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.feed_events import FEEDS, FeedSynced
from engine.core.house import ADMIN, CommandRejected
from engine.core.rescan_events import RESCANS, RescanFailed, RescanFinished, RescanStarted
from engine.homes import create_home
from engine.recording import append_to
from engine.rescans import Rescans
from engine.settings import read_settings
from tests.feeds.mirror import advisory
from tests.shell.gate_house import House, document_of, sbom

pytestmark = pytest.mark.house

MANAGER = Asker(user="ana.li")
APPROVER = Asker(user="bob.smith")


class Home:
    """A home with two judged bundles, and rescans that are begun only where a test says so."""

    def __init__(self, folder: Path) -> None:
        create_home(folder, passphrase="correct horse")
        self.settings = read_settings(folder)
        self.folder, self.store = folder, Store.open(folder, clock=SystemClock())
        self.house = House(folder, self.store)
        self.first = self._judged(1, "1.0.0", "jinja2@2.10")
        self.second = self._judged(2, "1.1.0", "idna@3.7")
        self.rescans = self.make()

    def _judged(self, number: int, version: str, *packages: str) -> Bundle:
        bundle = self.house.bundle(version, sbom(*packages))
        self.house.judge(self.house.run(bundle, number=number))
        return bundle

    def make(self, *, deadline_s: float = 60.0) -> Rescans:
        return Rescans(
            store=self.store,
            clock=SystemClock(),
            settings=self.settings,
            catalog=self.house.catalog,
            feeds=self.house.desk.feeds,
            blobs=self.folder / "blobs",
            deadline_s=deadline_s,
        )

    def again(self, *, deadline_s: float = 60.0) -> None:
        self.rescans.stop()
        self.rescans = self.make(deadline_s=deadline_s)

    def publish(self, name: str, package: str, version: str) -> None:
        """A flaw that nobody knew of becomes known: another snapshot is in force."""
        document = advisory(name)
        document["affected"] = [
            {"package": {"ecosystem": "PyPI", "name": package}, "versions": [version]}
        ]
        (self.house.feeds / "osv" / "PyPI" / f"{name}.json").write_text(json.dumps(document))

    def look(self) -> None:
        self.rescans.start()
        self.rescans.when_due()
        self.rescans.wait()

    def events(self) -> list[object]:
        return [one.event for one in self.store.load(RESCANS)]

    def level(self) -> Level:
        return rescan_source(self.rescans.standing()).level


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    yield made
    made.rescans.stop()
    made.store.close()


def test_new_snapshots_start_a_rescan_and_a_bundle_s_new_flaw_is_named(home: Home) -> None:
    home.look()
    assert home.events() == []  # the gates saw what is in force
    assert home.level() is Level.OK
    home.publish("X-1", "idna", "3.7")
    home.look()
    started, finished = home.events()
    assert isinstance(started, RescanStarted) and isinstance(finished, RescanFinished)
    assert (started.cause, started.number) == ("snapshot", 1)
    assert set(started.bundles) == {home.first.digest, home.second.digest}
    found = {one.bundle: one for one in finished.bundles}
    new = found[home.second.digest]
    assert (new.compared, new.new, new.gone, new.named) == (True, 1, 0, ("X-1 pkg:pypi/idna@3.7",))
    assert (found[home.first.digest].new, found[home.first.digest].gone) == (0, 0)
    assert found[home.first.digest].known > 0
    assert home.level() is Level.OK
    home.look()
    assert len(home.events()) == 2  # nothing is due any more
    # Another engine on the same home knows it too.
    home.again()
    assert home.rescans.standing().missing == 0 and home.rescans.log().tries[0].finished == finished
    # The advisory is withdrawn from the mirror: the finding is gone.
    (home.house.feeds / "osv" / "PyPI" / "X-1.json").unlink()
    home.look()  # the very snapshots that the gates saw: nothing to do
    assert len(home.events()) == 2
    home.rescans.ask(MANAGER)
    home.rescans.wait()
    last = home.events()[-1]
    assert isinstance(last, RescanFinished)
    assert {one.bundle: one.gone for one in last.bundles}[home.second.digest] == 1


def test_a_rescan_finds_what_the_gate_finds(home: Home) -> None:
    home.publish("X-2", "jinja2", "2.10")
    home.look()
    finished = home.events()[-1]
    assert isinstance(finished, RescanFinished)
    run = home.house.judge(home.house.run(home.first, number=3))
    gate = [one["key"] for one in document_of(home.house, run)["findings"]]
    mine = next(one for one in finished.bundles if one.bundle == home.first.digest)
    assert json.loads(home.store.blobs.get(mine.findings))["keys"] == gate
    assert any(key.startswith("X-2 ") for key in gate)


def test_by_hand_it_takes_a_role_and_a_denied_one_is_on_record(home: Home) -> None:
    with pytest.raises(Refused, match="needs the role"):
        home.rescans.ask(APPROVER)
    rejected = [one.event for one in home.store.load(ADMIN)]
    assert isinstance(rejected[-1], CommandRejected) and rejected[-1].action == "rescan"
    number = home.rescans.ask(MANAGER)
    refusal = home.rescans.why_not(MANAGER)
    home.rescans.wait()
    started = home.store.load(RESCANS)[0]
    assert isinstance(started.event, RescanStarted)
    assert (number, started.event.cause, started.actor) == (1, "asked", "ana.li")
    assert refusal is not None and refusal.sentence == "A rescan is under way."


def test_a_worker_that_is_too_slow_or_killed_fails_and_is_tried_again(home: Home) -> None:
    home.again(deadline_s=0.001)
    home.publish("X-3", "idna", "3.7")
    home.look()
    failed = home.events()[-1]
    assert isinstance(failed, RescanFailed)
    assert (failed.code, len(failed.failed)) == ("worker", 2)
    assert failed.reason == "it did not end within 0.001 s"
    source = rescan_source(home.rescans.standing())
    assert source.text == "SBOM rescan failed (worker): 2 of 2 bundles"
    assert source.level is Level.WARN and source.since_us is not None
    home.look()
    assert len(home.events()) == 2  # not before its time
    home.again()
    home.rescans.ask(MANAGER)
    _kill(home.rescans)
    home.rescans.wait()
    failed = home.events()[-1]
    assert isinstance(failed, RescanFailed) and failed.code == "worker"
    assert "ended with -9" in failed.reason
    assert home.rescans.log().failures == 2


def test_a_document_that_is_gone_fails_its_bundle_alone(home: Home) -> None:
    lost = home.second.attachments[0].digest
    home.store.blobs.path(lost).unlink()
    home.publish("X-4", "jinja2", "2.10")
    home.look()
    failed = home.events()[-1]
    assert isinstance(failed, RescanFailed) and failed.code == "sbom"
    assert [one.bundle for one in failed.bundles] == [home.first.digest]
    assert [one.bundle for one in failed.failed] == [home.second.digest]
    assert str(lost) in failed.failed[0].reason
    source = rescan_source(home.rescans.standing())
    assert source.text == "SBOM rescan failed (sbom): 1 of 2 bundles"


def test_without_an_advisory_nothing_is_called_clean(home: Home) -> None:
    for path in (home.house.feeds / "osv").rglob("*.json"):
        path.unlink()
    home.look()
    failed = home.events()[-1]
    assert isinstance(failed, RescanFailed) and failed.code == "feeds"
    assert "there is no advisory to match against" in failed.reason


def _kill(rescans: Rescans) -> None:
    """The process of the rescan under way, as soon as there is one."""
    ends_s = time.monotonic() + 30
    while time.monotonic() < ends_s:
        child = None if rescans._running is None else rescans._running.child
        if child is not None:
            os.kill(child.pid, signal.SIGKILL)
            return
        time.sleep(0.001)
    raise AssertionError("no process was started")


def test_blobs_lie_where_the_process_looks_for_them(home: Home) -> None:
    digest = home.store.blobs.put(b"a blob")
    assert digest == Digest.of(b"a blob")
    place = home.folder / "blobs" / digest.hex[:2] / digest.hex
    assert place.read_bytes() == b"a blob"


def test_a_sync_that_brings_something_starts_it_at_once(home: Home) -> None:
    home.rescans.start()
    home.publish("X-5", "idna", "3.7")
    synced = FeedSynced(
        name="OSV", source="https://a/osv", digest=Digest.of(b""), as_of_s=1, newest_s=1,
        how="full", records=1, added=1, changed=0, removed=0, withdrawn=0, unreadable=0,
        problems=(), bytes_read=1, took_ms=1,
    )  # fmt: skip
    append_to(home.store, FEEDS, synced, actor="sam")
    ends_s = time.monotonic() + 60
    while len(home.events()) < 2:
        assert time.monotonic() < ends_s, "no rescan began"
        time.sleep(0.02)
    started, finished = home.events()
    assert isinstance(started, RescanStarted) and started.cause == "snapshot"
    assert isinstance(finished, RescanFinished)
    assert sum(one.new for one in finished.bundles) == 1


def test_before_the_engine_steps_nothing_begins_by_itself(home: Home) -> None:
    home.publish("X-6", "idna", "3.7")
    home.rescans.when_due()
    home.rescans.wait()
    assert home.events() == []
    source = rescan_source(home.rescans.standing())
    assert (source.level, source.text) == (Level.UNKNOWN, "SBOM rescan due for 2 of 2 bundles")
