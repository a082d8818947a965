"""kill -9 at random moments: what was acknowledged is there, and the home is in order."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.store import Store
from tests.data.kit import TestClock

ROOT = Path(__file__).resolve().parents[2]
PLAY = Path(__file__).with_name("play_appends.py")
PLAY_RETIRE = Path(__file__).with_name("play_retire.py")


def life(home: Path, output: Path, seconds: float, *, play: Path = PLAY) -> int:
    """One process, killed `seconds` after it opened the store. Returns how many events it said."""
    with output.open("ab") as said:
        before = output.stat().st_size
        process = subprocess.Popen(
            [sys.executable, str(play), str(home)],
            stdout=said,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            deadline = time.monotonic() + 30
            while output.stat().st_size == before:
                assert time.monotonic() < deadline, "it never opened the store"
                assert process.poll() is None, "it ended by itself"
                time.sleep(0.005)
            time.sleep(seconds)
            assert process.poll() is None, "it ended by itself"
        finally:
            process.kill()
            process.wait()
    return output.read_bytes().count(b"\n")


def check(home: Path, output: Path) -> int:
    """Nothing acknowledged is lost. Returns how many events there are."""
    store = Store.open(home, clock=TestClock())
    try:
        report = store.fsck()
        wrong = [str(f) for f in report.findings if not f.lost]
        assert report.ok and not wrong, wrong
        said = [line.split() for line in output.read_text().splitlines() if line != "open"]
        kept: dict[str, list[str]] = {}
        for stream, seq, digest in said:
            if stream not in kept:
                kept[stream] = [r.hash.hex for r in store.load(stream)]
            assert kept[stream][int(seq) - 1] == digest, f"{stream} {seq} was acknowledged"
        assert said
        return report.events
    finally:
        store.close()


@pytest.mark.fault
def test_a_few_kills(tmp_path: Path) -> None:
    rng, home, output = random.Random(8), tmp_path / "home", tmp_path / "said"
    for lives in range(1, 60):
        said = life(home, output, rng.uniform(0.0, 0.35))
        if lives >= 8 and said > 80:  # a busy machine takes more lives for as much
            break
    assert check(home, output) > 50


@pytest.mark.fault
@pytest.mark.long
def test_many_kills(tmp_path: Path) -> None:
    rng, home, output = random.Random(120), tmp_path / "home", tmp_path / "said"
    for n in range(120):
        life(home, output, rng.expovariate(3.0))
        if n % 10 == 9:
            check(home, output)


@pytest.mark.fault
@pytest.mark.long
def test_kills_while_samples_are_put_away_and_retired(tmp_path: Path) -> None:
    """Every run that was said to be put away has its roll-up, complete, and nothing is wrong."""
    rng, home, output = random.Random(3), tmp_path / "home", tmp_path / "said"
    longer, rounds = 1.0, 0
    for lives in range(1, 13):
        life(home, output, longer * rng.uniform(0.3, 3.0), play=PLAY_RETIRE)
        before, rounds = rounds, output.read_text().count("round")
        if lives >= 4 and rounds >= 2:
            break
        if rounds == before:  # a busy machine needs longer for a round
            longer *= 1.5
    store = Store.open(home, clock=TestClock())
    try:
        for run_id in store.left_open():
            if store.run(run_id).terminal:
                store.put_away(run_id)
        store.retire(10**18)
        said = {f"run-{line.split()[1]}" for line in output.read_text().splitlines() if " " in line}
        polls = dict(
            store.cursor()
            .execute(
                "SELECT run_id, sum(healthy_polls + unhealthy_polls + missing_polls) "
                "FROM sample_minutes GROUP BY 1"
            )
            .fetchall()
        )
        assert said and {run_id: polls[run_id] for run_id in said} == dict.fromkeys(said, 40)
        raw = store.cursor().execute("SELECT DISTINCT run_id FROM health_samples").fetchall()
        assert not said & {run_id for (run_id,) in raw}
        wrong = [str(f) for f in store.fsck().findings if not f.lost]
        assert not wrong, wrong
    finally:
        store.close()
