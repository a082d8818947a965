"""What users got of a whole environment, far enough back for its error budget. No sockets.

A request counts once, by the answer that its client was given, whichever target was tried first
for it and even when none could be: the budget is the users', not the targets'. It is kept apart
from the targets' own counts, because those come and go with the targets.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# A window begins at one of these marks: it is never shorter than asked, and less than one longer.
CELL_S: Final = 10
REACH_S: Final = 6 * 3600 + 600


class Budget:
    """Attributes: requests and bad ones since the router began. `now_s` only goes forward."""

    def __init__(self, now_s: float) -> None:
        self.requests = 0
        self.bad = 0
        self._next_s = now_s + CELL_S
        # (requests, bad) at the last marks, the oldest first; the newest is at `_next_s - CELL_S`.
        self._marks: deque[tuple[int, int]] = deque([(0, 0)], maxlen=REACH_S // CELL_S + 1)

    def count(self, *, bad: bool, now_s: float) -> None:
        self.roll(now_s)
        self.requests += 1
        self.bad += bad

    def roll(self, now_s: float) -> None:
        """Set the marks that are due."""
        passed = int((now_s - self._next_s) // CELL_S) + 1
        if passed <= 0:
            return
        self._next_s += passed * CELL_S
        for _ in range(min(passed, self._marks.maxlen or passed)):
            self._marks.append((self.requests, self.bad))

    def over(self, window_s: int, now_s: float) -> tuple[int, int] | None:
        """(bad, requests) of the last `window_s`; None when we don't reach back so far."""
        self.roll(now_s)
        since_mark_s = now_s - (self._next_s - CELL_S)
        back = max(0, -int(-(window_s - since_mark_s) // CELL_S))
        if window_s <= 0 or back >= len(self._marks):
            return None
        requests, bad = self._marks[-1 - back]
        return self.bad - bad, self.requests - requests
