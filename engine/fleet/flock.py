"""A lock between processes that dies with its holder, and a wait for it that ends."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.core.errors import AdapterFailed

_POLL_S: Final = 0.02


@contextlib.contextmanager
def hold(path: Path, *, deadline_s: float) -> Iterator[None]:
    """Hold the lock of `path`, whose folder is made. Threads exclude each other too.

    Raises:
        AdapterFailed: somebody else held it until the time was up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + deadline_s
    with path.open("wb") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise AdapterFailed(
                        f"another engine is changing {path.parent.name}", transient=True
                    ) from None
                time.sleep(_POLL_S)
        yield
