"""The local fleet of one environment: starts its processes, finds them again, ends them.

Everything here lives under one root directory, and every process carries that root in its
environment. So a new engine adopts what a killed one left running, and two roots never meet.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine.core.errors import AdapterFailed, Malformed, NotFound
from engine.fleet import marker
from engine.fleet.ask import ask
from engine.fleet.flock import hold
from engine.fleet.marker import LOAD, ROUTER, SERVICE, Process

START_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 5.0
HUNG_AFTER_S: Final = 10.0  # silent for this long, a router or load generator is replaced
_PACKAGES: Final = Path(__file__).resolve().parents[2]
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_children: dict[int, subprocess.Popen[bytes]] = {}
_children_lock: Final = threading.Lock()


class Fleet:
    """Usable from several threads. `root` is created when first needed.

    Attributes:
        targets: ids, sorted.
    """

    def __init__(
        self, root: Path, *, environment: str, targets: Sequence[str], slow_over_ms: int = 250
    ) -> None:
        for target in targets:
            if not target or "/" in target or "\0" in target or target in {".", ".."}:
                raise Malformed(f"{target!r} is no name for a target", where=environment)
        self.root = root.resolve()
        self.environment = environment
        self.targets = tuple(sorted(targets))
        self.slow_over_ms = slow_over_ms
        self._lock = threading.RLock()
        self._known: dict[str, Process] = {}

    # --- what runs ------------------------------------------------------------------------

    def processes(self) -> tuple[Process, ...]:
        """Every process of this root that lives now."""
        _reap()
        return marker.scan(self.root)

    def services(self, target: str) -> tuple[Process, ...]:
        home = self.home(target)
        return tuple(p for p in self.processes() if p.role == SERVICE and p.home == home)

    def home(self, target: str) -> Path:
        """The directory of a target. Raises `NotFound` for one that is not of this fleet."""
        if target not in self.targets:
            raise NotFound(f"{self.environment} has no target {target}.")
        return self.root / "targets" / target

    @property
    def traffic_url(self) -> str:
        """Raises `AdapterFailed` when no router runs; so does `admin_url`."""
        return f"http://127.0.0.1:{self._find(ROUTER).port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self._find(ROUTER).admin_port}"

    def _find(self, role: str) -> Process:
        known = self._known.get(role)
        if known is not None and marker.read(known.pid) == known:
            return known
        for process in self.processes():
            if process.role == role:
                self._known[role] = process
                return process
        raise AdapterFailed(f"{self.environment}: no {role} process runs", transient=True)

    # --- router and load ------------------------------------------------------------------

    def ensure_router(self, *, deadline_s: float = START_TIMEOUT_S) -> None:
        """Adopt the router that runs, or start one, and tell it the targets.

        Raises:
            AdapterFailed: it could not be started, or does not answer.
        """
        config = {
            "environment": self.environment,
            "targets": list(self.targets),
            "slow_over_ms": self.slow_over_ms,
        }
        with self._starting("router", deadline_s) as home:
            process = self._adopt(ROUTER, "/healthz", deadline_s)
            if process is None:
                with _listening(_hint(home, "port")) as a, _listening(_hint(home, "admin")) as b:
                    process = self._spawn(ROUTER, home, [a, b], str(self.slow_over_ms))
            self._known[ROUTER] = process
            ask(process.admin_port, "/config", body=config, deadline_s=deadline_s)
            (home / "port").write_text(str(process.port))  # a wish for next time, not a fact
            (home / "admin").write_text(str(process.admin_port))

    def router(self, path: str, body: Any = None, *, deadline_s: float = ANSWER_TIMEOUT_S) -> Any:
        """Ask the router's control port. Raises `AdapterFailed`."""
        return ask(self._find(ROUTER).admin_port, path, body=body, deadline_s=deadline_s)

    def ensure_load(self, rate_rps: int) -> None:
        """Have the load generator send at this rate. Raises `AdapterFailed`."""
        with self._starting("load", START_TIMEOUT_S) as home:
            process = self._adopt(LOAD, "/stats", START_TIMEOUT_S)
            if process is None:
                with _listening(0) as listening:
                    process = self._spawn(LOAD, home, [listening], str(rate_rps))
            self._known[LOAD] = process
            ask(process.port, "/rate", body={"rate_rps": rate_rps}, deadline_s=START_TIMEOUT_S)

    def load_totals(self) -> Mapping[str, Any]:
        """The load generator's own account. Raises `AdapterFailed` when none runs."""
        totals: Mapping[str, Any] = ask(
            self._find(LOAD).port, "/stats", deadline_s=ANSWER_TIMEOUT_S
        )
        return totals

    def stop_load(self) -> None:
        marker.end_all(self._of_role(LOAD), grace_s=2.0)

    def _of_role(self, role: str) -> tuple[Process, ...]:
        return tuple(p for p in self.processes() if p.role == role)

    def _adopt(self, role: str, path: str, deadline_s: float) -> Process | None:
        """The one process of this role that answers; others of it are ended.

        Raises:
            AdapterFailed: none answered within `deadline_s`, which is too short to call it hung.
        """
        found: Process | None = None
        for process in self._of_role(role):
            port = process.admin_port or process.port
            try:
                if found is None:
                    ask(port, path, deadline_s=min(HUNG_AFTER_S, deadline_s))
                    found = process
                    continue
            except AdapterFailed:
                if deadline_s < HUNG_AFTER_S:
                    raise
            marker.end(process, grace_s=1.0)
        return found

    # --- services -------------------------------------------------------------------------

    def start_service(self, target: str) -> Process:
        """Start the target's process on what its `current` points to. Does not wait for it."""
        home = self.home(target)
        with _listening(_hint(home, "port")) as listening:
            process = self._spawn(SERVICE, home, [listening])
        (home / "port").write_text(str(process.port))
        return process

    def health(self, process: Process, *, deadline_s: float) -> Mapping[str, Any]:
        """What a service says of itself. Raises `AdapterFailed`."""
        answer = ask(process.port, "/healthz", deadline_s=deadline_s)
        if not isinstance(answer, dict) or answer.get("pid") != process.pid:
            raise AdapterFailed(f"port {process.port} is answered by another", transient=True)
        return answer

    def inject(self, target: str, *, error_rate_bp: int, latency_ms: int) -> None:
        """Make the running process of a target fail or be slow; it forgets this when it ends.

        Raises:
            AdapterFailed: it does not run or does not answer.
        """
        running = self.services(target)
        if not running:
            raise AdapterFailed(f"{target} does not run", transient=True)
        body = {"error_rate_bp": error_rate_bp, "latency_ms": latency_ms}
        for process in running:
            ask(process.port, "/-/inject", body=body, deadline_s=ANSWER_TIMEOUT_S)

    # --- starting and ending --------------------------------------------------------------

    def stop(self, grace_s: float = 5.0) -> None:
        """End every process of this root within about `grace_s`; the traffic's end comes first.

        Raises:
            AdapterFailed: some process is still there; names it.
        """
        until = time.monotonic() + grace_s
        with self._lock:
            marker.end_all(self._of_role(LOAD), grace_s=grace_s / 4, kill_s=0.5)
            while True:
                running = self.processes()
                if not running:
                    self._known.clear()
                    return
                left_s = until - time.monotonic()
                if left_s <= 0:
                    named = ", ".join(f"{p.role} {p.name} (pid {p.pid})" for p in running)
                    raise AdapterFailed(
                        f"still running after {grace_s:g} s: {named}", transient=True
                    )
                marker.end_all(running, grace_s=left_s * 0.6, kill_s=left_s * 0.3)

    @contextlib.contextmanager
    def _starting(self, name: str, deadline_s: float) -> Iterator[Path]:
        """The home of a router or load generator, held so that no two are started."""
        home = self.root / name
        with self._lock, hold(home / "lock", deadline_s=deadline_s):
            yield home

    def _spawn(
        self, role: str, home: Path, listening: Sequence[socket.socket], *arguments: str
    ) -> Process:
        """Start a process of ours, detached, with `listening` handed over and nothing else.

        The socket listens before the process exists: whoever connects early waits instead of
        being refused, and no one can take the port in between.
        """
        ports = [s.getsockname()[1] for s in listening]
        admin_port = ports[1] if len(ports) > 1 else 0
        marks = marker.environment(home, role=role, port=ports[0], admin_port=admin_port)
        # Not our environment: it may hold secrets, and whoever reads /proc would see them there.
        inherited = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
        fds = [s.fileno() for s in listening]
        with (home / f"{role}.log").open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-S", "-E", "-m", f"engine.fleet.{role}",
                 *map(str, fds), *arguments],
                cwd=_PACKAGES,
                env={**inherited, **marks},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at our terminal is not meant for it
                close_fds=True,
                pass_fds=fds,
            )  # fmt: skip
        with _children_lock:
            _children[child.pid] = child
        return Process(pid=child.pid, role=role, home=home, port=ports[0], admin_port=admin_port)


def _reap() -> None:
    """Take note of our children that ended, so that none stays a zombie."""
    with _children_lock:
        for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
            del _children[pid]


def _hint(home: Path, name: str) -> int:
    """The port that was used last time, which is nice to have again; 0 for any."""
    try:
        return int((home / name).read_text())
    except (OSError, ValueError):
        return 0


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=1024)
    except (OSError, OverflowError):
        return socket.create_server(("127.0.0.1", 0), backlog=1024)
