"""What the API says of the orchestrator."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from engine.api.documents.base import closed
from engine.api.documents.runs import RunId


@closed
class WorkingRunDoc(TypedDict):
    """An open run. `since_us`: when its current attempt began; `serving`: what the engine does
    about it; `stuck`: why it will hardly go on by itself; `defect`: that stopped its stepping."""

    run: RunId
    label: str
    environment: str
    status: str
    step: str
    step_name: str
    attempt: int
    since_us: int
    serving: str
    stuck: str
    defect: str


@closed
class QueueDoc(TypedDict):
    """`queued`: who waits for the environment, the next one first."""

    environment: str
    holder: RunId | None
    queued: list[RunId]


@closed
class JobDoc(TypedDict):
    """A piece of work beside the runs. Times are null where there is none, or none is known."""

    kind: Literal["chore", "feed", "rescan", "replay"]
    name: str
    word: Literal["IDLE", "WORKING", "FAILED", "STUCK"]
    last_us: int | None
    took_ms: int | None
    next_us: int | None
    text: str


@closed
class WorkerDoc(TypedDict):
    """`tick_age_ms`: since the engine's clock last ticked; `waiting`: runs that wait for a thread;
    `watchdogs`: how often a silent clock was replaced since the engine started."""

    running: bool
    tick_age_ms: int
    threads: int
    working: int
    waiting: int
    storage_full: bool
    watchdogs: int


@closed
class OrchestratorDoc(TypedDict):
    """`runs`: those that need somebody first. `stuck`: names of the runs and jobs that are."""

    worker: WorkerDoc
    runs: list[WorkingRunDoc]
    queues: list[QueueDoc]
    jobs: list[JobDoc]
    stuck: list[str]
