"""The tail of a log, newest first, live. Lines are drawn as text and can hold no markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.core.run import Run
from engine.live import Snapshot
from pages.ui import parts
from pages.ui.timeline import stream_of


def tail(run: Run, snapshot: Snapshot, *, now_ms: int, key: str, only: str = "") -> None:
    """The run's newest lines; `only` those of one step."""
    parts.draw(
        parts.LOG,
        key=key,
        live=snapshot.document,
        now_ms=now_ms,
        shape=f"{run.run_id}|{only}",
        stream=stream_of(run.run_id),
        only=only,
    )


def lines(run: Run, snapshot: Snapshot, rows: Sequence[Sequence[Any]], *, key: str) -> None:
    """Lines that do not move any more: (UTC ms, level, step or target, text)."""
    parts.draw(
        parts.LOG,
        key=key,
        live=snapshot.document,
        now_ms=0,
        shape=f"{run.run_id}|stored",
        lines=[list(row) for row in rows],
        tall="520px",
    )
