"""Syncing feeds by the clock: what is due begins, one feed after another.

Everything is found from what is on record, so that a restart neither forgets a sync nor makes one
twice; one that the engine did not live to end is tried again like one that got no answer.
"""

from __future__ import annotations

import logging
from typing import Final

from engine.core.errors import Conflict, StorageFull
from engine.core.feeds_timing import next_us
from engine.feeds_desk import FeedDesk

_log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 15
ENGINE: Final = "engine"


class FeedsDue:
    """Called by the alarm clock. Thread-safe; keeps nothing."""

    def __init__(self, feeds: FeedDesk) -> None:
        self._feeds = feeds

    def due(self) -> tuple[str, ...]:
        """The feeds that are to be synced now, by name."""
        now_us, logs, running = self._feeds.now_us(), self._feeds.logs(), self._feeds.running()
        return tuple(
            name
            for name, origin in sorted(self._feeds.origins().items())
            if origin.timing is not None
            and name not in running
            and next_us(origin.timing, logs[name], now_us=now_us) <= now_us
        )

    def when_due(self) -> None:
        """Begin what is due, in the background."""
        names = self.due()
        if not names:
            return
        try:
            self._feeds.begin(names, by=ENGINE)
        except (Conflict, StorageFull) as error:  # somebody was faster, or nothing can be recorded
            _log.info("no sync was begun: %s", error)
