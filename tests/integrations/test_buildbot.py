"""A look at a real CI: a Buildbot master with a worker, where one is installed.

`pip install "buildbot[bundle]"` puts it on the PATH; without it this is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.adapters.probes import http_probe
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed
from tests.journeys.product import free_port

BUILDBOT = shutil.which("buildbot")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(BUILDBOT is None, reason="buildbot is not installed"),
]

CONFIG = """
from buildbot.plugins import schedulers, steps, util, worker
factory = util.BuildFactory([steps.MasterShellCommand(command=["true"])])
BuildmasterConfig = {{
    "workers": [worker.LocalWorker("here")],
    "schedulers": [schedulers.ForceScheduler(name="force", builderNames=["shop"])],
    "protocols": {{"null": {{}}}},
    "builders": [util.BuilderConfig(name="shop", workernames=["here"], factory=factory)],
    "buildbotURL": "http://127.0.0.1:{port}/",
    "www": {{"port": "tcp:{port}:interface=127.0.0.1"}},
    "db": {{"db_url": "sqlite:///state.sqlite"}},
    "buildbotNetUsageData": None,
}}
"""


@pytest.fixture
def master(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    assert BUILDBOT is not None
    folder, port = tmp_path / "master", free_port()
    subprocess.run([BUILDBOT, "create-master", str(folder)], check=True, capture_output=True)
    (folder / "master.cfg").write_text(CONFIG.format(port=port))
    with (tmp_path / "out.log").open("wb") as log:
        process = subprocess.Popen(
            [BUILDBOT, "start", "--nodaemon", str(folder)], stdout=log, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
            process.wait()


def test_a_real_ci_is_found_working_and_found_gone(
    master: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, process = master
    builders = http_probe("ci", f"{url}/api/v2/builders")
    ends_s = time.monotonic() + 60
    while True:
        try:
            found = builders.probe(deadline_s=5.0)
            break
        except AdapterFailed:
            assert process.poll() is None and time.monotonic() < ends_s
            time.sleep(0.2)
    assert (found.level, found.reason) == (Level.OK, "status 200")
    lost = http_probe("ci", f"{url}/api/v2/none").probe(deadline_s=5.0)
    assert (lost.level, lost.reason) == (Level.FAIL, "expected status 200, found status 404")
    process.kill()
    process.wait()
    with pytest.raises(AdapterFailed, match="cannot be reached"):
        builders.probe(deadline_s=5.0)
