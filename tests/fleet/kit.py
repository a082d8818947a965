"""A small fleet to play with: real processes, real bundles, the real blob store."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data.blobs import Blobs
from engine.adapters.clock_system import SystemClock
from engine.adapters.driver_local_fleet import LocalFleetDriver
from engine.catalog import APP_MEDIA_TYPE
from engine.core.bundle import Bundle, Component
from engine.core.digest import Digest
from engine.core.plan import StagePlan, plan_stage
from engine.fleet.control import Fleet
from engine.ports import DriverEvent, StageResult

ENVIRONMENT = "eu-stage"
HELLO = "def handle(path):\n    return 200, b'hello'\n"
NEVER_STARTS = "raise RuntimeError('boom')\n"
# Stops itself while it is being imported: it is there, and answers nothing at all.
HANGS = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n" + HELLO


def archive(files: Mapping[str, str]) -> bytes:
    """A zip with the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in sorted(files):
            file.writestr(zipfile.ZipInfo(name), files[name])
    return buffer.getvalue()


def make_bundle(
    blobs: Blobs, version: str, code: str = HELLO, files: Mapping[str, str] | None = None
) -> Digest:
    content = archive({"app.py": f"# {version}\n{code}", **(files or {})})
    component = Component(
        name="app.zip", digest=blobs.put(content), size=len(content), media_type=APP_MEDIA_TYPE
    )
    return blobs.put(Bundle(name="shop", version=version, components=(component,)).manifest())


class Rig:
    """One environment with its driver. What the contract suite asks of every driver's rig."""

    def __init__(self, folder: Path, *, size: int = 3) -> None:
        self.folder = folder
        self.targets = tuple(f"t{n:02d}" for n in range(size))
        self.fleet = Fleet(folder / "fleet", environment=ENVIRONMENT, targets=self.targets)
        self.blobs = Blobs(folder / "blobs")
        self.driver = LocalFleetDriver(self.fleet, blobs=self.blobs, clock=SystemClock())

    def bundle(self, version: str, code: str = HELLO) -> Digest:
        return make_bundle(self.blobs, version, code)

    def plan(
        self, bundle: Digest, targets: Sequence[str] = (), *, max_failures: int = 0
    ) -> StagePlan:
        return plan_stage(
            run_id="r-1",
            step="canary",
            environment=ENVIRONMENT,
            bundle=bundle,
            targets=targets or self.targets,
            observed=self.running(),
            max_failures=max_failures,
        )

    def apply(
        self,
        plan: StagePlan,
        *,
        epoch: int = 1,
        deadline_s: float = 60.0,
        cancel: threading.Event | None = None,
        emit: Callable[[DriverEvent], None] = lambda event: None,
    ) -> StageResult:
        return self.driver.apply(
            plan,
            op_id="op-1",
            epoch=epoch,
            deadline_s=deadline_s,
            cancel=cancel or threading.Event(),
            emit=emit,
        )

    def deploy(self, bundle: Digest, targets: Sequence[str] = (), *, epoch: int = 1) -> None:
        result = self.apply(self.plan(bundle, targets), epoch=epoch)
        assert result.ok, [(r.target, r.outcome, r.note) for r in result.results]

    def running(self) -> dict[str, Digest | None]:
        seen = self.driver.observe(deadline_s=10.0)
        return {one.target: one.digest for one in seen.targets}

    def instances(self) -> dict[str, list[int]]:
        """Process numbers per target: another number is a restart."""
        return {t: [p.pid for p in self.fleet.services(t)] for t in self.targets}

    def starts(self, target: str) -> int:
        """How often the target's process has ever been started."""
        lines = self.driver.logs(target, since_us=0, limit=100_000)
        return sum("starts as pid" in line.text for line in lines)

    def close(self) -> None:
        self.driver.close()
        self.fleet.stop()


def eventually(what: Callable[[], bool], *, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, f"not so within {within_s} s"
        time.sleep(0.02)


def finish_load(fleet: Fleet) -> Mapping[str, object]:
    """Stop sending, wait for the last answers, and return the account."""
    fleet.ensure_load(0)
    eventually(lambda: fleet.load_totals()["open"] == 0)
    return fleet.load_totals()
