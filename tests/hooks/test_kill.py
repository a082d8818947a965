"""kill -9 at random moments of a process that delivers: everything arrives all the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hooks.kit import HookHouse
from tests.hooks.play_hooks import RUNS
from tests.hooks.receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]
PLAY = Path(__file__).with_name("play_hooks.py")


def life(home: Path, url: str, seconds: float | None) -> bool:
    """One process, killed so long after it opened; None = it may end. Returns whether it did."""
    process = subprocess.Popen(
        [sys.executable, str(PLAY), str(home), url],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"open\n"
        if seconds is None:
            return process.stdout.readline() == b"done\n"
        time.sleep(seconds)
        return False
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.fault
def test_killed_again_and_again_it_delivers_everything(tmp_path: Path, receiver: Receiver) -> None:
    rng, home = random.Random(5), tmp_path / "home"
    for _ in range(2):
        life(home, receiver.url, rng.uniform(0.0, 0.5))
    assert life(home, receiver.url, None)
    house = HookHouse(home)
    try:
        rows = house.rows()
        logs = {f"run-{n}": house.real.load(f"run-{n}") for n in range(1, len(RUNS) + 1)}
        assert house.real.fsck().ok
    finally:
        house.close()
    assert {row["outcome"] for row in rows} == {"DELIVERED"}
    for stream, log in logs.items():
        ids = [
            f"msg_{log[row['seq'] - 1].hash.hex[:32]}_{row['idx']}"
            for row in rows
            if row["stream"] == stream
        ]
        of_stream = [got.id for got in receiver.got if got.id in set(ids)]
        assert list(dict.fromkeys(of_stream)) == ids and ids
    assert len({got.id for got in receiver.got}) == len(rows)
