"""Finds the processes of a fleet by what they were started with, never by what a file says.

A pid file lies after a crash: the process is gone, or another one has its number. The environment
that a process was started with stays readable in /proc as long as it lives, and dies with it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

SERVICE, ROUTER, LOAD = "service", "router", "load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Attributes:
    role: service, router or load.
    home: the directory it was started for (`RL_TARGET`); its last part is the target's id.
    port: where it serves, or takes control requests when it is the load generator.
    admin_port: the router's second port; 0 for others.
    """

    pid: int
    role: str
    home: Path
    port: int
    admin_port: int

    @property
    def name(self) -> str:
        return self.home.name


def environment(process_home: Path, *, role: str, port: int, admin_port: int = 0) -> dict[str, str]:
    """The variables that mark a process, to start it with."""
    return {
        "RL_ROLE": role,
        "RL_TARGET": str(process_home),
        "RL_PORT": str(port),
        "RL_ADMIN_PORT": str(admin_port),
    }


def read(pid: int) -> Process | None:
    """The marked process with this number; None when it is not one, is not ours, or has ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - 300 of these per look
            raw = file.read()
    except OSError:
        return None
    if b"RL_ROLE=" not in raw:
        return None
    pairs = (line.partition(b"=") for line in raw.split(b"\0"))
    found = {name: os.fsdecode(value) for name, _, value in pairs}
    try:
        return Process(
            pid=pid,
            role=found[b"RL_ROLE"],
            home=Path(found[b"RL_TARGET"]),
            port=int(found[b"RL_PORT"]),
            admin_port=int(found[b"RL_ADMIN_PORT"]),
        )
    except (KeyError, ValueError):
        return None


def scan(root: Path) -> tuple[Process, ...]:
    """Every marked process whose home lies under `root` (a resolved path), sorted by pid."""
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return tuple(p for pid in pids if (p := read(pid)) is not None and root in p.home.parents)


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it has ended. A reused pid is never hit."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if read(process.pid) != process:
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_ended(process: Process, *, timeout_s: float) -> bool:
    """Wait until this process has ended (a zombie has); False when the time was up first."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if read(process.pid) != process:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000))
    finally:
        os.close(fd)


def end(process: Process, *, grace_s: float, kill_s: float = 2.0) -> bool:
    """TERM, wait, KILL, wait. True when the process has ended."""
    if send(process, signal.SIGTERM) and not wait_ended(process, timeout_s=grace_s):
        send(process, signal.SIGKILL)
    return wait_ended(process, timeout_s=kill_s)


def end_all(processes: tuple[Process, ...], *, grace_s: float, kill_s: float = 2.0) -> bool:
    """As `end`, for several at once within the same time."""
    for process in processes:
        send(process, signal.SIGTERM)
    until = time.monotonic() + grace_s
    left = [p for p in processes if not wait_ended(p, timeout_s=until - time.monotonic())]
    for process in left:
        send(process, signal.SIGKILL)
    until = time.monotonic() + kill_s
    ended = [wait_ended(p, timeout_s=until - time.monotonic()) for p in left]
    return all(ended)
