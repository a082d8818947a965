"""The run's head (what it is, how it stands, the rail) and its steps, both live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.core.data_health import DataHealth
from engine.core.run import Run
from engine.live import Snapshot
from pages.ui import models, parts


def stream_of(run_id: str) -> str:
    return f"/api/v1/runs/{run_id}/stream"


def head(run: Run, snapshot: Snapshot, found: DataHealth, *, now_ms: int) -> None:
    meta = models.head_meta(run, found)
    parts.draw(
        parts.HEAD,
        key="run.head",
        live=snapshot.document,
        now_ms=now_ms,
        shape=f"{run.run_id}|{meta}",
        stream=stream_of(run.run_id),
        title=run.label,
        meta=meta,
        short=models.rail_names(run),
    )


def steps(run: Run, snapshot: Snapshot, *, now_ms: int) -> Any:
    """Draw the steps. The result has `open`, the id of a step to look at, and `changed`."""
    return parts.draw(
        parts.LIST,
        key="run.steps",
        live=snapshot.document,
        now_ms=now_ms,
        shape=run.run_id,
        stream=stream_of(run.run_id),
        leads=True,
    )


def stage_card(
    run: Run,
    snapshot: Snapshot,
    *,
    now_ms: int,
    key: str,
    leads: bool = False,
) -> Any:
    """Draw the numbers of the stage that is being watched, beside the timeline."""
    return parts.draw(
        parts.NOW,
        key=key,
        live=snapshot.document,
        now_ms=now_ms,
        shape=run.run_id,
        stream=stream_of(run.run_id),
        leads=leads,
    )


def stage(run: Run, snapshot: Snapshot, *, now_ms: int, step: str, frozen: Any) -> None:
    """Draw one stage at one look: live while it is watched, else as it was left (`frozen`)."""
    parts.draw(
        parts.STAGE,
        key="stage.numbers",
        live=snapshot.document,
        now_ms=now_ms,
        shape=f"{run.run_id}|{step}",
        stream=stream_of(run.run_id),
        stage=step,
        frozen=frozen,
    )


def targets(
    run: Run,
    snapshot: Snapshot,
    *,
    now_ms: int,
    rows: Sequence[Mapping[str, Any]],
    settled: bool,
) -> Any:
    """Draw the targets. The result has `open`, the target whose log is wanted.

    Args:
        settled: show what the rows say; else the newest snapshot's word counts.
    """
    return parts.draw(
        parts.TARGETS,
        key="stage.targets",
        live=snapshot.document,
        now_ms=now_ms,
        shape=f"{run.run_id}|{[(row['target'], row['cohort']) for row in rows]}",
        stream=stream_of(run.run_id),
        leads=True,
        rows=[dict(row) for row in rows],
        settled=settled,
        caption=f"Targets of {run.environment}",
    )


def watcher(run: Run, snapshot: Snapshot, *, now_ms: int, step: str) -> None:
    """A strip of the step's newest log lines that also redraws the page when something happened.

    Args:
        step: empty = only redraw.
    """
    if run.terminal:
        return
    live = bool(step) and run.step(step).open  # what has ended has all its lines in the Logs tab
    if live:
        st.markdown("**Newest lines** :gray[· UTC, newest first]")
    parts.draw(
        parts.LOG,
        key="step.tail",
        live=snapshot.document,
        now_ms=now_ms,
        shape=f"{run.run_id}|{step}|tail|{live}",
        stream=stream_of(run.run_id),
        leads=True,
        only=step,
        hidden=not live,
    )
