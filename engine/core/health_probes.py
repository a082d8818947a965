"""Which targets of a cohort count as healthy: their own probes, with hysteresis.

One failed probe is noise; several in a row, or too many in the window, are not. A target that is
missing from the metrics failed its probe: silence is not health.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.core.health_criteria import Criteria, share


@dataclass(slots=True)
class _Target:
    up: bool
    row: int = 0  # equal probes in a row, of the last kind
    last: bool = True
    failed_at: deque[int] = field(default_factory=deque)


class Probes:
    """Attributes:
    failed: failed probes since the stage's start, of all targets.
    """

    def __init__(self, criteria: Criteria, poll_ms: int) -> None:
        self._criteria = criteria
        # Of a full window, also while it fills: one failed probe among the first three must not
        # weigh as a third.
        self._slots = max(1, criteria.window_ms // poll_ms)
        self._targets: dict[str, _Target] = {}
        self.failed = 0

    def observe(self, t_ms: int, probed: Mapping[str, bool | None]) -> None:
        """Take in one tick: None, or a known target that is not there at all, is a failed probe."""
        for name in sorted({*self._targets, *probed}):
            self._probe(t_ms, name, probed.get(name) is True)

    def _probe(self, t_ms: int, name: str, ok: bool) -> None:
        target = self._targets.get(name)
        if target is None:  # the first probe decides
            target = self._targets[name] = _Target(up=ok, last=ok)
        target.row = target.row + 1 if ok is target.last else 1
        target.last = ok
        if not ok:
            self.failed += 1
            target.failed_at.append(t_ms)
            if target.row >= self._criteria.unhealthy_after:
                target.up = False
        elif target.row >= self._criteria.recover_after:
            target.up = True
        while target.failed_at and target.failed_at[0] <= t_ms - self._criteria.window_ms:
            target.failed_at.popleft()

    def _flapping(self, target: _Target) -> bool:
        allowed = self._criteria.failed_probes_bp_max * self._slots
        return len(target.failed_at) * 10_000 > allowed

    @property
    def expected(self) -> int:
        return len(self._targets)

    @property
    def up(self) -> int:
        """Targets that answer now, by hysteresis alone: what a rollback looks at."""
        return sum(target.up for target in self._targets.values())

    @property
    def sick(self) -> dict[str, str]:
        """Targets that are not healthy, by name, each with why."""
        found = {}
        for name in sorted(self._targets):
            target = self._targets[name]
            if not target.up:
                failed = target.row if not target.last else len(target.failed_at)
                found[name] = f"{failed} failed probe{'s' if failed != 1 else ''}"
            elif self._flapping(target):
                part = share(len(target.failed_at), self._slots)
                found[name] = f"{len(target.failed_at)} failed probes in the window ({part})"
        return found
