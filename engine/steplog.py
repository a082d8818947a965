"""The log of a step: lines for people, in order, with the attempt that they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.rows import StepLog
from engine.ports import Clock, DriverEvent, EventStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLogger:
    """Writes lines of one attempt. Values of inputs never come near it (see `ResolvedInput`)."""

    store: EventStore
    clock: Clock
    run_id: str
    step: str
    attempt: int

    def info(self, text: str, *, target: str = "") -> None:
        self._write("info", text, target)

    def warn(self, text: str, *, target: str = "") -> None:
        self._write("warn", text, target)

    def error(self, text: str, *, target: str = "") -> None:
        self._write("error", text, target)

    def driver(self, event: DriverEvent) -> None:
        """A driver's own line, as it happened."""
        level = "error" if event.phase == "fail" else "info"
        text = f"{event.phase}: {event.message}" if event.message else event.phase
        self._write(level, text, event.target)

    def _write(self, level: str, text: str, target: str) -> None:
        line = StepLog(
            run_id=self.run_id,
            step=self.step,
            attempt=self.attempt,
            ts_us=self.clock.now_us(),
            level=level,
            target=target,
            text=text,
        )
        self.store.logs((line,))
