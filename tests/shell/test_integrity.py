"""The integrity sweep over a run with real evidence: what is damaged, whose it is, and when it is
whole again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.store import Store
from engine.core.digest import Digest
from engine.core.errors import Conflict, StoredDamaged
from engine.core.fact_events import EvidenceCaptured
from engine.core.integrity import Damage, remedy, sentence
from engine.core.integrity_events import INTEGRITY, DamageFound, IntegritySwept
from engine.integrity import Integrity
from engine.settings import IntegrityConfig
from tests.data.kit import TestClock
from tests.evidence.kit import RUN, world

pytestmark = pytest.mark.house
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sealed")
    one = world(home, decision="FAIL")
    one.store.blobs.put(b"any")  # what the histories name as the policy
    one.play()
    one.store.close()
    return home


@pytest.fixture
def store(sealed: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copytree(sealed, tmp_path / "home")
    opened = Store.open(tmp_path / "home", clock=TestClock())
    yield opened
    opened.close()


@pytest.fixture
def sweeps(store: Store) -> Iterator[Integrity]:
    made = Integrity(store, TestClock(), IntegrityConfig())
    yield made
    made.stop()


def evidence(store: Store) -> EvidenceCaptured:
    return next(one.event for one in store.load(RUN) if isinstance(one.event, EvidenceCaptured))


def flip(path: Path) -> bytes:
    """One bit of the file's middle. Returns what it was."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    return whole


def only(sweeps: Integrity) -> Damage:
    (one,) = sweeps.log().damaged.values()
    return one


def test_what_is_whole_is_said_to_be(store: Store, sweeps: Integrity) -> None:
    log = sweeps.sweep("dora.admin")
    assert not log.damaged
    assert log.swept is not None and log.swept.damaged == 0
    stored = list(store.blobs.every())
    assert log.swept.blobs == len(stored) > 10
    assert log.swept.size_bytes == sum(store.blobs.path(one).stat().st_size for one in stored)
    assert log.swept.leaves == len(store.tlog_leaves()) > 4
    (event,) = (one.event for one in store.load(INTEGRITY))
    assert isinstance(event, IntegritySwept) and event.cause == "asked"


def test_a_flipped_bit_is_told_with_its_run_and_cleared_when_it_is_put_right(
    store: Store, sweeps: Integrity
) -> None:
    file = evidence(store).files[0]
    whole = flip(store.blobs.path(file.digest))
    with pytest.raises(StoredDamaged):
        store.blobs.get(file.digest)
    sweeps.sweep("dora.admin")
    found = only(sweeps).found
    assert (found.item, found.check, found.runs) == (file.name, "blob.sha256", (RUN,))
    assert found.expected == str(file.digest) and found.found.startswith("sha256:")
    assert sentence(found).startswith(f"{file.name} failed")
    assert f"blobs/{file.digest.hex[:2]}/{file.digest.hex}" in remedy(found)
    since_us = only(sweeps).since_us
    sweeps.sweep("dora.admin")  # again: told once
    told = [one for one in store.load(INTEGRITY) if isinstance(one.event, DamageFound)]
    assert len(told) == 1 and only(sweeps).since_us == since_us
    # A restart forgets nothing.
    again = Integrity(store, TestClock(), IntegrityConfig())
    assert again.log().of_run(RUN) == (only(sweeps),) and not again.log().of_run("run-9")
    store.blobs.path(file.digest).write_bytes(whole)
    assert not sweeps.sweep("dora.admin").damaged
    kinds = [one.event.TYPE for one in store.load(INTEGRITY)]
    assert kinds.count("integrity.repaired/1") == 1


def test_what_is_gone_and_what_belongs_to_no_run_is_told_too(
    store: Store, sweeps: Integrity
) -> None:
    envelope = store.blobs.path(evidence(store).envelope)
    envelope.unlink()
    stray = store.blobs.put(b"nobody's")
    flip(store.blobs.path(stray))
    damaged = list(sweeps.sweep("dora.admin").damaged.values())
    checks = {one.found.check: one.found.runs for one in damaged}
    assert checks == {"blob.present": (RUN,), "blob.sha256": ()}


def test_a_changed_leaf_of_the_log_is_told_with_its_run(store: Store, sweeps: Integrity) -> None:
    cursor = store.cursor()
    cursor.execute("DROP TRIGGER tlog_entries_no_update ON tlog_entries")
    cursor.execute("UPDATE tlog_entries SET body = replace(body, 'a', 'b') WHERE idx = 0")
    sweeps.sweep("dora.admin")
    found = only(sweeps).found
    assert (found.check, found.found, found.runs) == ("log.leaf", "another body", (RUN,))
    assert "releaseline.duckdb" in remedy(found)


def test_it_begins_by_itself_when_the_last_one_is_old_enough(store: Store) -> None:
    clock = TestClock()
    sweeps = Integrity(store, clock, IntegrityConfig(every_us=HOUR_US))
    sweeps.when_due()
    sweeps.wait(60)
    (first,) = store.load(INTEGRITY)
    assert isinstance(first.event, IntegritySwept) and first.event.cause == "due"
    clock.at_us = first.ts_us + HOUR_US // 2
    sweeps.when_due()
    sweeps.wait(60)
    assert len(store.load(INTEGRITY)) == 1
    clock.at_us = first.ts_us + HOUR_US
    sweeps.when_due()
    sweeps.wait(60)
    assert len(store.load(INTEGRITY)) == 2
    sweeps.stop()


def test_a_slow_sweep_gives_way_to_whoever_asks_and_to_the_end(store: Store) -> None:
    slow = IntegrityConfig(bytes_per_s=1)  # the first run alone would take it all day
    sweeps = Integrity(store, TestClock(), slow)
    sweeps.when_due()
    assert sweeps.running or not store.load(INTEGRITY)
    assert sweeps.sweep("dora.admin").swept is not None
    assert [one.event.TYPE for one in store.load(INTEGRITY)] == [IntegritySwept.TYPE]
    before = threading.active_count()
    sweeps.stop()
    sweeps.when_due()
    assert threading.active_count() <= before


def test_a_sweep_that_another_one_ends_says_so(store: Store, sweeps: Integrity) -> None:
    """As when two people ask at once: the second one's answer is whole."""
    read = store.blobs.path

    def interrupted(digest: Digest) -> Path:
        sweeps._stop.set()
        return read(digest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store.blobs, "path", interrupted)
        with pytest.raises(Conflict, match="ended early"):
            sweeps.sweep("dora.admin")
    assert not sweeps.running
    assert sweeps.sweep("dora.admin").swept is not None


def test_the_newest_digests_come_first(store: Store) -> None:
    last = store.blobs.put(b"the very last")
    assert next(store.blobs.every()) == last
    assert all(isinstance(one, Digest) for one in store.blobs.every())
