"""Append-only records beside the events: ticks, verdicts, log entries, samples and log lines.

`Row`s are journaled like events; `Sample`s and `StepLog`s are not (volume), and what of them was
open when damage happened is reported as lost, never silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTick:
    """One poll of a watched stage, exactly as the gate saw it.

    Attributes:
        n: 1-based within (run, step, attempt).
        t_ms: since the watch began; goes on over a restart of the engine.
        tick: canonical JSON of the gate's tick (engine.core.ticks), or of a resume mark.
    """

    run_id: str
    step: str
    attempt: int
    n: int
    t_ms: int
    ts_us: int
    tick: str
    action: str
    rule: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogEntry:
    """A leaf of the transparency log. `idx` is 0-based without gaps; `body` canonical JSON."""

    idx: int
    leaf_hash: str
    body: str
    ts_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogHead:
    """A signed head. `gseq` and `hash` anchor the newest event known when it was signed."""

    size: int
    root: str
    note: str
    gseq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    verdict_id: str
    run_id: str
    step: str
    attempt: int
    ts_us: int
    decision: str
    warn: int
    fail: int
    error: bool
    verdict: str
    policy: str
    policy_input: str
    capsule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """What a client was answered, so that the same command id gets the same answer."""

    command_id: str
    ts_us: int
    actor: str
    request_hash: str
    status: int
    response: str


Row: TypeAlias = GateTick | TlogEntry | TlogHead | VerdictRow | CommandRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One target at one poll: differences since the poll before.

    Attributes:
        arm: `canary` for targets of the stage's cohort, else `baseline`.
        p95_ms: upper estimate from the latency histogram; None without requests.
        healthy: None = no answer, which is not "unhealthy".
    """

    ts_us: int
    run_id: str
    step: str
    attempt: int
    target: str
    arm: str
    requests: int
    errors: int
    slow: int
    p95_ms: int | None
    healthy: bool | None
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """A line of a step's log. `target` is empty for the step as a whole."""

    run_id: str
    step: str
    attempt: int
    ts_us: int
    level: str
    target: str
    text: str
