"""A backup of a home on which no server runs, and a home made of one again. Asks for no passphrase:
the keys are copied as they lie there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from data.restore import Restored, restore
from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.asker import LOCAL_ADMIN
from engine.core.audit_events import BackupMade
from engine.core.errors import NotFound
from engine.core.house import ADMIN
from engine.home import HomeLock
from engine.homes import has_keys
from engine.recording import append_to


def backup_stopped(home: Path, target: Path) -> None:
    """Write the home's backup to `target`.

    Raises:
        NotFound: `home` is none.
        UnsafeConfig: another process has the home open.
        Malformed: the journal is damaged.
    """
    if not has_keys(home):
        raise NotFound(f"{home}: expected a home, found none.")
    with HomeLock(home), closing(Store.open(home, clock=SystemClock())) as store:
        append_to(store, ADMIN, BackupMade(how="stopped"), actor=LOCAL_ADMIN)
        with target.open("wb") as file:
            file.writelines(store.backup())


def restore_home(source: Path, home: Path) -> Restored:
    """Raises what `data.restore.restore` raises."""
    with source.open("rb") as file:
        return restore(file, home, clock=SystemClock())
