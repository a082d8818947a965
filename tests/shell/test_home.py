"""One process at a time has a home, and its server is found while it lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.errors import UnsafeConfig
from engine.home import (
    HomeLock,
    ServerFile,
    holder,
    is_loopback,
    read_server_file,
    remove_server_file,
    write_server_file,
)

ROOT = Path(__file__).resolve().parents[2]
_HOLD = """
import sys
from pathlib import Path
from engine.home import HomeLock, write_server_file
home = Path(sys.argv[1])
with HomeLock(home):
    write_server_file(home, "http://127.0.0.1:1")
    print("held", flush=True)
    sys.stdin.read()
"""


def _hold(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    process = _hold(tmp_path)
    try:
        assert holder(tmp_path) == process.pid
        assert read_server_file(tmp_path) == ServerFile(url="http://127.0.0.1:1", pid=process.pid)
        with pytest.raises(UnsafeConfig, match=rf"process {process.pid} has this home open"):
            HomeLock(tmp_path).acquire()
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "server.json").exists(), "a killed server leaves its file behind"
    assert read_server_file(tmp_path) is None
    with HomeLock(tmp_path):
        assert holder(tmp_path) == os.getpid()
        assert read_server_file(tmp_path) is None, "the file is another process's"


def test_release_lets_go_and_may_come_twice(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.acquire()
    write_server_file(tmp_path, "http://127.0.0.1:2")
    assert read_server_file(tmp_path) == ServerFile(url="http://127.0.0.1:2", pid=os.getpid())
    lock.release()
    lock.release()
    assert holder(tmp_path) is None
    remove_server_file(tmp_path)
    remove_server_file(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "x"}', '{"url": "x", "pid": "y"}'])
def test_a_damaged_server_file_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    with HomeLock(tmp_path):
        assert read_server_file(tmp_path) is None


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(UnsafeConfig, match=r"expected a folder that can be written, found: "):
        HomeLock(file).acquire()
    with pytest.raises(UnsafeConfig, match=r"expected a folder that can be written"):
        write_server_file(tmp_path / "none", "http://127.0.0.1:3")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
