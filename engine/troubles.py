"""What waits for a person in the house, looked at now, and who cares for it."""

from __future__ import annotations

from typing import Protocol

from engine.core.errors import Malformed, NotFound
from engine.core.troubles import (
    CARERS,
    Trouble,
    disk_trouble,
    rescan_trouble,
    stopped_troubles,
    stored_trouble,
)
from engine.core.vitals import Disk
from engine.integrity import Integrity
from engine.ports import Clock, EventStore
from engine.rescans import Rescans
from engine.settings import Settings
from engine.worker import Worker


class TroubleStore(EventStore, Protocol):
    def disk(self) -> Disk: ...


class Troubles:
    """Thread-safe; asks nobody outside."""

    def __init__(
        self,
        *,
        store: TroubleStore,
        clock: Clock,
        settings: Settings,
        worker: Worker,
        rescans: Rescans,
        integrity: Integrity,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._worker, self._rescans, self._integrity = worker, rescans, integrity

    def now(self) -> tuple[Trouble, ...]:
        disk = self._store.disk()
        found = [
            disk_trouble(disk.free_bytes, disk.total_bytes, now_us=self._clock.now_us()),
            self._rescan(),
            stored_trouble(self._integrity.log()),
            *self._stopped(),
        ]
        return tuple(one for one in found if one is not None)

    def carers(self) -> tuple[str, ...]:
        """Users who care for the house, anywhere, sorted."""
        return tuple(
            sorted(
                user
                for user in self._settings.people
                if any(
                    self._settings.roles_of(user, environment) & CARERS
                    for environment in self._settings.environments
                )
            )
        )

    def _rescan(self) -> Trouble | None:
        try:
            return rescan_trouble(self._rescans.standing())
        except Malformed:  # the feeds themselves are unreadable, which is told where they are
            return None

    def _stopped(self) -> list[Trouble]:
        because = self._worker.health().stopped_because
        versions: dict[str, int] = {}
        for run_id in because:
            try:
                versions[run_id] = self._store.run(run_id).version
            except NotFound:
                continue
        return stopped_troubles(because, versions)
