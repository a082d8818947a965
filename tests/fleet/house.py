"""A small house whose targets are real: processes, bundles on disk, a router. Metrics are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from engine.adapters.clock_system import SystemClock
from engine.adapters.driver_local_fleet import LocalFleetDriver
from engine.catalog import BundleFiles
from engine.core.commands import Action
from engine.core.digest import Digest
from engine.core.plan import plan_stage
from engine.core.state import Run
from engine.fleet.control import Fleet
from engine.ports import BlobStore
from engine.service import Asker
from tests.faults.small_house import ENV, TARGETS, Fuse, SimClock, SmallHouse, session_keys
from tests.fleet.kit import HELLO, archive


class Street:
    """One house and its targets. `old` is what they run before anything is promoted.

    The targets outlive the house: `again` is the next engine on what the former one left.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lives = folder, 0
        self.fleet = Fleet(folder / "fleet", environment=ENV, targets=TARGETS)
        self.clock = SimClock()
        self.house = self._house(Fuse())
        self.source(self.house.real.blobs)
        self.old = self.bundle("1.0")
        self._before()

    def _house(self, fuse: Fuse) -> SmallHouse:
        home = self.folder / f"life-{self.lives}"
        return SmallHouse(home, session_keys(), fuse=fuse, clock=self.clock)

    def again(self, fuse: Fuse) -> None:
        """The power was cut: another engine finds the home as it lies there, and the targets."""
        before, self.lives = self.folder / f"life-{self.lives}", self.lives + 1
        after = self.folder / f"life-{self.lives}"
        shutil.copytree(before, after, ignore=shutil.ignore_patterns("lock"))
        self.driver.close()
        self.house.close()
        self.house = self._house(fuse)
        self.source(self.house.real.blobs)
        self.house.runner.recover()

    def _before(self) -> None:
        plan = plan_stage(
            run_id="before", step="before", environment=ENV, bundle=self.old, targets=TARGETS,
            observed={},
        )  # fmt: skip
        done = self.driver.apply(
            plan, op_id="before", epoch=0, deadline_s=60.0, cancel=Event(), emit=lambda _: None
        )
        assert done.ok, done.results

    def source(self, blobs: BlobStore) -> None:
        """Have artifacts come from here from now on."""
        self.driver = LocalFleetDriver(self.fleet, blobs=blobs, clock=SystemClock())
        places = self.house.outside.places
        real = {name: replace(place, driver=self.driver) for name, place in places.items()}
        places.update(real)  # type: ignore[attr-defined]

    def bundle(self, version: str) -> Digest:
        folder = self.folder / "made"
        folder.mkdir(exist_ok=True)
        path = folder / "app.zip"
        path.write_bytes(archive({"app.py": f"# {version}\n{HELLO}"}))
        files = BundleFiles(name="shop", version=version, components=(path,))
        return self.house.catalog.create(files, actor="dev").digest

    def promote(self, until: Callable[[Run], bool]) -> Run:
        run = self.house.service.promote(self.bundle("2.0"), ENV, Asker(user="ci"))
        return self.house.drive(run.run_id, until=until)

    def ask(self, run: Run, action: Action, who: str, *targets: str) -> Run:
        """Ask for it and let the engine do what comes of it."""
        self.house.ask(run.run_id, action, who, targets=targets)
        return self.house.drive(run.run_id)

    def running(self) -> dict[str, Digest | None]:
        return {one.target: one.digest for one in self.driver.observe(deadline_s=10.0).targets}

    def instances(self) -> dict[str, list[int]]:
        """Process numbers per target: another number is a restart."""
        return {t: [p.pid for p in self.fleet.services(t)] for t in TARGETS}

    def close(self) -> None:
        self.driver.close()
        self.house.close()
        self.fleet.stop()
