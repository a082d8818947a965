"""When each session and token was last used: in memory, and now and then in a small file.

It is no history, so no event is written for it. What a crash takes away is the last minute; then a
session counts as used earlier than it was, which can end it early and never keeps it alive.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Final

from engine.ports import Clock

_log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 30
FILE: Final = "last-used.json"


class LastUsed:
    """Thread-safe.

    Args:
        path: the file; it is read once.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._at_us = _read(path)
        self._here_s: dict[str, float] = {}
        self._changed = False

    def touch(self, key: str) -> None:
        with self._lock:
            self._at_us[key] = self._clock.now_us()
            self._here_s[key] = self._clock.monotonic_s()
            self._changed = True

    def at_us(self, key: str) -> int | None:
        """UTC epoch microseconds; None when it is not known."""
        with self._lock:
            return self._at_us.get(key)

    def idle_s(self, key: str, *, since_us: int) -> float:
        """Seconds since the last use, or since `since_us` when there is none on record.

        A clock that was set back does not make up for time that this process has seen pass.
        """
        with self._lock:
            here_s, at_us = self._here_s.get(key), self._at_us.get(key, since_us)
            if here_s is not None:
                return self._clock.monotonic_s() - here_s
            return max(0.0, (self._clock.now_us() - at_us) / 1_000_000)

    def save(self, keep: Collection[str]) -> None:
        """Write what changed, of the keys that are still good for something."""
        with self._lock:
            if not self._changed:
                return
            self._at_us = {key: us for key, us in self._at_us.items() if key in keep}
            self._here_s = {key: s for key, s in self._here_s.items() if key in keep}
            text, self._changed = json.dumps(self._at_us), False
        fresh = self._path.with_suffix(".new")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(text)
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("%s is not written: %s", self._path, error.strerror)
            with self._lock:
                self._changed = True


def _read(path: Path) -> dict[str, int]:
    """What the file says; nothing when it is not there or not whole."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {key: us for key, us in document.items() if isinstance(us, int)}
