"""Processes of the product, as a person would start them, and how to look at them from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEED = 30
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RELEASELINE_")}
    return {**kept, **more}


def releaseline(
    *arguments: str, timeout_s: float = 60, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def marked(home: Path) -> list[int]:
    """Process ids of the fleet of `home`, by the marker in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        targets = [v for v in variables if v.startswith(b"RL_TARGET=")]
        if any(str(home).encode() in v for v in targets):
            found.append(int(entry.name))
    return found


def wait_for(
    what: str, look: Callable[[], T | None], *, timeout_s: float, every_s: float = 0.2
) -> T:
    """Look until there is an answer; fail naming what never came."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        answer = look()
        if answer is not None:
            return answer
        time.sleep(every_s)
    pytest.fail(f"{what}: not seen within {timeout_s} s")


@dataclass
class Product:
    """A demo or server process on a home, and its API as seen by whoever has a shell there."""

    home: Path
    port: int
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        """Ask as the local shell does. None while there is no answer."""
        token = self.home / "keys" / "local-token"
        try:
            headers = {"Authorization": f"Bearer {token.read_text()}"}
            response = httpx.get(f"{self.url}/api/v1{path}", headers=headers, timeout=10)
        except (OSError, httpx.HTTPError):
            return None
        return response.json() if response.is_success else None

    def run(self, run_id: str = "run-1") -> dict[str, Any] | None:
        answer: dict[str, Any] | None = self.get(f"/runs/{run_id}")
        return answer

    def kinds(self, run_id: str = "run-1") -> list[dict[str, Any]]:
        """Every event of the run, oldest first."""
        events: list[dict[str, Any]] = []
        while True:
            after = events[-1]["seq"] if events else 0
            page = self.get(f"/runs/{run_id}/events?after={after}&limit=100")
            if not page or not page["items"]:
                return events
            events += page["items"]

    def end(self, number: int = signal.SIGINT, *, timeout_s: float = 20) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextmanager
def starting(folder: Path) -> Iterator[Callable[..., Product]]:
    """Gives what starts `python -m engine <words>` on a home; what is left at the end is ended.

    Args:
        folder: for what the processes say.
    """
    started: list[Product] = []

    def begin(*words: str, home: Path, port: int | None = None, **env: str) -> Product:
        chosen = port or free_port()
        log = (folder / f"out-{len(started)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", *words, "--home", str(home), "--port", str(chosen)],
            cwd=ROOT,
            env=environment(**env),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        product = Product(home=home, port=chosen, process=process)
        started.append(product)
        return product

    try:
        yield begin
    finally:
        for product in started:
            if product.process.poll() is None:
                product.process.kill()
                product.process.wait()
            for pid in marked(product.home):
                os.kill(pid, signal.SIGKILL)


def as_json(text: str) -> Any:
    """The last line of a command's standard output, as JSON."""
    return json.loads(text.strip().splitlines()[-1])
