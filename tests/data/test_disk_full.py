"""A full disk, for real, in a process of its own: nothing half recorded, and it goes on after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAY = [sys.executable, str(Path(__file__).with_name("play_disk_full.py"))]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment)


def check(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    assert answer["refused"] >= 5
    assert answer["ok"], answer["findings"]
    assert answer["kept"]
    assert answer["said"] == ["DiskFull"]
    assert answer["spans"][0] > 0
    assert answer["heard"] == answer["acknowledged"] + 1
    assert "nothing can be recorded" in finished.stderr


@pytest.mark.fault
@pytest.mark.parametrize("what", ["journal", "database"])
def test_a_limit_on_file_sizes(home: Path, what: str) -> None:
    check(run([*PLAY, str(home), what]))


@pytest.mark.fault
def test_a_device_without_space(tmp_path: Path) -> None:
    """On a file system of 4 MB, mounted in a namespace of its own."""
    unshare = shutil.which("unshare")
    if unshare is None or run([unshare, "-m", "true"]).returncode:
        pytest.skip("fault: mounting a small file system is not permitted here")
    device = tmp_path / "device"
    device.mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1/home" device'
    check(run([unshare, "-m", "sh", "-c", script, "sh", str(device), *PLAY]))
