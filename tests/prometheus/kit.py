"""A real Prometheus that scrapes the real fleet, and ways to break it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from engine.adapters.clock_system import SystemClock
from engine.adapters.metrics_prometheus import PrometheusMetrics
from tests.fleet.kit import ENVIRONMENT, Rig, eventually

BINARY = os.environ.get("RELEASELINE_PROMETHEUS") or shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(
    BINARY is None,
    reason="prometheus: no binary found; apt-get install prometheus, or set RELEASELINE_PROMETHEUS",
)
SCRAPE_MS = 200


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Prometheus:
    """One process with a folder of its own; it is found at the same address after a restart."""

    def __init__(self, folder: Path, files: Sequence[Path], *, scrape_ms: int = SCRAPE_MS) -> None:
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        named = "".join(f"\n          - {file}" for file in files)
        (folder / "prometheus.yml").write_text(
            f"""\
global: {{scrape_interval: {scrape_ms}ms, scrape_timeout: {scrape_ms}ms}}
scrape_configs:
  - job_name: fleet
    file_sd_configs:
      - files:{named}
"""
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert BINARY is not None
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    BINARY,
                    f"--config.file={self.folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._ready, within_s=20.0)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.send(number)
            self.send(signal.SIGCONT)
        self.process.wait(20)
        self.process = None

    def empty(self) -> None:
        """Everything that it ever knew is gone; it begins anew."""
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder / "data")
        self.start()


def source_of(
    rig: Rig,
    prometheus: Prometheus,
    *,
    environment: str = ENVIRONMENT,
    max_sample_age_ms: int = 3_000,
    slow_over_ms: int = 250,
) -> PrometheusMetrics:
    return PrometheusMetrics(
        prometheus.url,
        environment=environment,
        targets=rig.targets,
        clock=SystemClock(),
        max_sample_age_ms=max_sample_age_ms,
        slow_over_ms=slow_over_ms,
    )


def addresses_of(rig: Rig) -> Path:
    return rig.fleet.root / "prometheus.json"
