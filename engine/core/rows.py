"""Append-only records beside the events: ticks, verdicts, log entries, samples and log lines.

`Row`s are journaled like events; `Sample`s and `StepLog`s are not (volume). A `Segment` says which
blob holds those of an ended attempt; what of them was open when damage happened is reported as
lost, never silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from engine.core.hook_rows import HookMessage, HookTry
from engine.core.replays import ReplayRequest, ReplayRow


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
    """What a client asked for under a command id, so that asking again does nothing again.

    Attributes:
        status: HTTP status of the answer that was or will be given.
        request_hash: SHA-256 hex of what was asked; the same id with another one is a conflict.
        response: the answer, canonical JSON; empty where it is told by the events of the command.
    """

    command_id: str
    ts_us: int
    actor: str
    request_hash: str
    status: int
    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Samples or log lines of an ended attempt, put away as one blob.

    Attributes:
        kind: `samples` (Parquet) or `logs` (gzip of JSON lines).
        part: 1-based; a further one holds what came in after the one before was made.
        blob: its digest; empty when the attempt left nothing, and `count` is then 0.
        first_us, last_us: of its earliest and its latest row; 0 without rows.
    """

    kind: str
    run_id: str
    step: str
    attempt: int
    part: int
    blob: str
    count: int
    first_us: int
    last_us: int
    ts_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """The raw samples of an attempt may go: they equal `minutes` rows of its roll-up."""

    run_id: str
    step: str
    attempt: int
    samples: int
    minutes: int
    ts_us: int


Row: TypeAlias = (
    GateTick
    | TlogEntry
    | TlogHead
    | VerdictRow
    | CommandRow
    | Segment
    | Retired
    | ReplayRequest
    | ReplayRow
    | HookMessage
    | HookTry
)


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
