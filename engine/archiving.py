"""Has what ended attempts left put away soon after, and what a former engine left behind at start.

A thread of its own: nothing here holds up a step or an append. What fails is tried again; what was
put away before is not looked at twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from engine.core.errors import NotFound, StorageFull
from engine.core.events import Recorded
from engine.core.run_events import RunSealed
from engine.core.step_events import (
    StepCancelled,
    StepErrored,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepSucceeded,
)

_log = logging.getLogger(__name__)

# An attempt's last lines are written while its end is already on record.
SETTLED_S: Final = 2.0
RETRY_S: Final = 30.0
_ENDS: Final = (
    RunSealed,
    StepCancelled,
    StepErrored,
    StepFailed,
    StepInconclusive,
    StepMarkedFailed,
    StepSucceeded,
)


class Archivist:
    """Args:
    put_away: archives what ended attempts of a run left since the last time; returns how many
        archives that made.
    """

    def __init__(self, put_away: Callable[[str], int], *, settled_s: float = SETTLED_S) -> None:
        self._put_away, self._settled_s = put_away, settled_s
        self._due_s: dict[str, float] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="archivist", daemon=True)

    def start(self, left: Sequence[str]) -> None:
        """Begin with the runs in `left`, which nobody put away."""
        with self._changed:
            for run_id in left:
                self._due_s.setdefault(run_id, 0.0)
        self._thread.start()

    def recorded(self, batch: tuple[Recorded, ...]) -> None:
        """For `EventStore.subscribe`: an attempt or a run that ended is due once it has settled."""
        ended = {one.stream for one in batch if isinstance(one.event, _ENDS)}
        if not ended:
            return
        with self._changed:
            at_s = time.monotonic() + self._settled_s
            self._due_s |= dict.fromkeys(ended, at_s)
            self._changed.notify()

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End after the archive under way. What is still due the next start finds."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (run_id := self._next()) is not None:
            try:
                self._put_away(run_id)
            except NotFound:
                _log.warning("there is nothing to put away of %s", run_id)
            except StorageFull as full:
                _log.warning("archives of %s wait: %s", run_id, full)
                self._again(run_id)
            except Exception:
                _log.exception("archives of %s failed", run_id)
                self._again(run_id)

    def _next(self) -> str | None:
        """The next run that is due, waited for; None = it is time to stop."""
        with self._changed:
            while not self._stopping:
                if not self._due_s:
                    self._changed.wait()
                    continue
                run_id, at_s = min(self._due_s.items(), key=lambda item: item[1])
                wait_s = at_s - time.monotonic()
                if wait_s <= 0:
                    del self._due_s[run_id]
                    return run_id
                self._changed.wait(wait_s)
            return None

    def _again(self, run_id: str) -> None:
        with self._changed:
            self._due_s.setdefault(run_id, time.monotonic() + RETRY_S)
