"""The runs that have not ended, by environment: what queues and alarms ask at every turn.

With thousands of them nobody may walk all for a question about one environment.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.run import Run
from engine.core.statemachine import RunStatus


class OpenRuns:
    """Read and changed under the store's lock."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._by: dict[str, dict[str, Run]] = {}
        self._under_way: dict[str, dict[str, Run]] = {}
        for run in sorted(runs, key=lambda run: run.number):
            self.note(run)

    def note(self, run: Run) -> None:
        """Keep the run as it is now, or forget it when it has ended."""
        waits = run.status is RunStatus.SCHEDULED
        for by, there in ((self._by, not run.terminal), (self._under_way, not waits)):
            known = by.setdefault(run.environment, {})
            if there and not run.terminal:
                known[run.run_id] = run
            else:
                known.pop(run.run_id, None)

    def of(self, environment: str = "", *, scheduled: bool = True) -> tuple[Run, ...]:
        """Those of one environment or of all, in order of request.

        Args:
            scheduled: with those that wait for their window.
        """
        by = self._by if scheduled else self._under_way
        places = [by.get(environment, {})] if environment else list(by.values())
        found = [run for there in places for run in there.values()]
        return tuple(sorted(found, key=lambda run: run.number))

    def __len__(self) -> int:
        return sum(map(len, self._by.values()))
