"""The home on disk: who holds it, and where its server answers.

One process at a time has a home open. The lock is the kernel's (`flock`), so it ends with the
process however that ends; the pid inside is for people. `server.json` says where the server
answers and counts only while somebody holds the lock.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from engine.core.errors import UnsafeConfig

LOCK: Final = "lock"
SERVER: Final = "server.json"
# A command that only looks whether a home is held takes the lock for an instant.
_GLANCE_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    url: str
    pid: int


class HomeLock:
    """Holds the home from `with` (or `acquire`) until `release` or the end of the process."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._handle: int | None = None

    def __enter__(self) -> HomeLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock and write our pid into it.

        Raises:
            UnsafeConfig: another process holds the home (named by pid), or it is not writable.
        """
        try:
            handle = os.open(self._home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self._home, error) from None
        try:
            if not _locked(handle, fcntl.LOCK_EX, wait_s=_GLANCE_S):
                raise UnsafeConfig(
                    f"{self._home}: process {_pid_in(handle) or 'unknown'} has this home open; "
                    "only one may.",
                    hint="Stop it first, or use another home.",
                )
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise _unwritable(self._home, error) from None
        except UnsafeConfig:
            os.close(handle)
            raise
        self._handle = handle

    def release(self) -> None:
        """Let the home go; does nothing when it is not held."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)  # the kernel's lock ends with its last handle


def holder(home: Path) -> int | None:
    """The pid of the process that has the home open; None when nobody has. 0: it hid its pid."""
    try:
        handle = os.open(home / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _locked(handle, fcntl.LOCK_SH, wait_s=0) else _pid_in(handle)
    finally:
        os.close(handle)


def write_server_file(home: Path, url: str) -> None:
    """Say that this process answers at `url`. Only the holder of the lock may.

    Raises:
        UnsafeConfig: the home is not writable.
    """
    fresh = home / f"{SERVER}.new"
    try:
        fresh.write_text(json.dumps({"url": url, "pid": os.getpid()}) + "\n", "utf-8")
        fresh.replace(home / SERVER)
    except OSError as error:
        raise _unwritable(home, error) from None


def remove_server_file(home: Path) -> None:
    (home / SERVER).unlink(missing_ok=True)


def read_server_file(home: Path) -> ServerFile | None:
    """Where the home's server answers; None when none runs. A file left by a killed one is old."""
    try:
        document = json.loads((home / SERVER).read_text("utf-8"))
        server = ServerFile(url=str(document["url"]), pid=int(document["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if holder(home) == server.pid else None


def is_loopback(host: str) -> bool:
    """True for `localhost` and addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _locked(handle: int, kind: int, *, wait_s: float) -> bool:
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.05)
        else:
            return True


def _pid_in(handle: int) -> int:
    text = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() else 0


def _unwritable(home: Path, error: OSError) -> UnsafeConfig:
    return UnsafeConfig(
        f"{home}: expected a folder that can be written, found: {error.strerror}",
        hint="Choose another home with --home, or mend its owner, its rights or its disk.",
    )
