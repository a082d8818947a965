"""What the engine needs of the outside world, as contracts.

A port says what an implementation owes: atomic or not, durable when, idempotent by what, which
errors. The contract suites in tests/contracts quote these sentences and run over every adapter.
A port exists because the engine needs it; it mirrors no vendor's API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Protocol

from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.events import Event, Recorded
from engine.core.freezes import Freeze
from engine.core.hook_book import Hook, Waiting
from engine.core.metrics import Reading
from engine.core.plan import Observation, StagePlan
from engine.core.rows import GateTick, Row, Sample, StepLog, TlogEntry, TlogHead
from engine.core.run import Run
from engine.core.standing import Hold


class Clock(Protocol):
    def now_us(self) -> int:
        """UTC wall clock, microseconds since the epoch. May jump; never used to measure."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only go forward, for durations within this process."""
        ...


class BlobStore(Protocol):
    """Content-addressed bytes. Usable from several threads at once."""

    def put(self, content: bytes) -> Digest:
        """Store durably (tmp, fsync, rename, directory fsync) and return the digest."""
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes, re-hashed.

        Raises:
            NotFound: no such blob.
            StoredDamaged: the bytes no longer have this digest; says expected and found.
        """
        ...

    def path(self, digest: Digest) -> Path:
        """Where the bytes lie, for streaming. Raises `NotFound`."""
        ...

    def has(self, digest: Digest) -> bool: ...


class EventStore(Protocol):
    """The home's log of events and the state folded from it. Usable from several threads."""

    @property
    def blobs(self) -> BlobStore: ...

    def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        after: int,
        actor: str,
        command_id: str = "",
        rows: Sequence[Row] = (),
        before_us: int | None = None,
    ) -> tuple[Recorded, ...]:
        """Append all of `events` and `rows` or none, durably, behind version `after`.

        A `command_id` that was recorded before appends nothing and returns the events of then.

        Raises:
            Conflict: the stream's version is not `after`, or it is not before `before_us`.
            StorageFull: nothing can be recorded now; nothing was.
        """

    def record(self, rows: Sequence[Row]) -> None:
        """Append rows without an event, durably. Raises `StorageFull`."""

    def samples(self, samples: Sequence[Sample]) -> None:
        """Take in health samples, in a batch, soon; not journaled."""

    def logs(self, lines: Sequence[StepLog]) -> None:
        """Take in log lines, in a batch, soon; not journaled. Keeps their order."""

    def load(self, stream: str, after: int = 0, limit: int | None = None) -> tuple[Recorded, ...]:
        """Events of the stream behind `after`, oldest first; all of them without `limit`."""

    def texts(self, stream: str) -> tuple[str, ...]:
        """Each event of the stream as the text of its journal record, which its hash is over."""

    def version(self, stream: str) -> int: ...

    def run(self, run_id: str) -> Run:
        """The run as folded from its events. Raises `NotFound`."""

    def runs_open(self, environment: str = "", *, scheduled: bool = True) -> tuple[Run, ...]:
        """Every run that has not ended, of one environment or of all, in order of request.
        `scheduled` False: without those that wait for their window."""

    def by_command(self, command_id: str) -> tuple[Recorded, ...]:
        """What was recorded for this command id; empty when it is new."""

    def last_run_number(self) -> int:
        """Highest run number requested so far; 0 when there is none."""

    def next_epoch(self, environment: str) -> int:
        """One more than the highest fencing epoch ever given out for this environment."""

    def holds(self) -> tuple[Hold, ...]:
        """Every hold in force, by environment, the oldest first."""

    def hold(self, environment: str, bundle: Digest) -> Hold | None:
        """The hold on this bundle there; None when it is free. As true as the newest append."""

    def freezes(self) -> tuple[Freeze, ...]:
        """Every freeze that nobody has ended, in the order in which they were set."""

    def hooks(self) -> tuple[Hook, ...]:
        """Every webhook in force, by name."""

    def outbox(self, hook: str) -> tuple[Waiting, ...]:
        """Messages to this webhook (of `waiting_hooks`) neither delivered nor dead; unordered."""

    def waiting_hooks(self) -> tuple[str, ...]: ...

    def runs_started(self, environment: str) -> tuple[str, ...]:
        """Runs that ever held the environment, in the order in which they took it."""

    def heirs(self, run_id: str) -> tuple[str, ...]:
        """Runs that were made from this finished one, in order of request."""

    def gate_ticks(
        self, run_id: str, step: str, first_attempt: int, *, behind: tuple[int, int] = (0, 0)
    ) -> tuple[GateTick, ...]:
        """Ticks of a step from `first_attempt` on and behind (attempt, n), as recorded."""

    def last_tick(self, run_id: str, step: str, attempt: int) -> int:
        """Its number; 0 without one. Costs next to nothing."""

    def tlog_leaves(self) -> tuple[str, ...]:
        """Leaf hashes (hex) of the transparency log, by index, over all its shards."""

    def tlog_entries(self, first: int, end: int) -> tuple[TlogEntry, ...]: ...

    def tlog_heads(self, origin: str) -> tuple[tuple[TlogHead, str], ...]:
        """Heads of a shard, by size, each with the hash of the event at its `gseq`, or nothing."""

    def of_kinds(self, kinds: Sequence[str]) -> tuple[Recorded, ...]: ...

    def subscribe(self, callback: Callable[[tuple[Recorded, ...]], None]) -> Callable[[], None]:
        """Call back after each commit with what it recorded. Returns how to stop that."""


# --- deploy driver --------------------------------------------------------------------------


class Capability(StrEnum):
    INSTANCE_CANARY = "instance_canary"
    TRAFFIC_WEIGHT = "traffic_weight"
    DRAIN = "drain"
    LOGS = "logs"
    ASYNC_CALLBACK = "async_callback"
    DRY_RUN = "dry_run"
    FENCING = "fencing"


class TargetOutcome(StrEnum):
    CHANGED = "changed"
    NOOP = "noop"
    FAILED = "failed"
    FENCED = "fenced"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # no answer: observe before any decision


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """`digest` is read from the running thing after the switch, never what we asked for (R2)."""

    target: str
    outcome: TargetOutcome
    digest: Digest | None
    healthy: bool | None
    note: str = ""
    duration_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """Attributes:
    results: one per planned target, in the plan's order.
    observation: of the whole environment, taken after the last change.
    """

    results: tuple[TargetResult, ...]
    observation: Observation

    @property
    def ok(self) -> bool:
        return all(
            r.outcome in {TargetOutcome.CHANGED, TargetOutcome.NOOP} and r.healthy is True
            for r in self.results
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverEvent:
    """One line of a step's log (R12): ordered, and free of secrets at the source.

    `phase` is one of plan, fetch, verify, drain, switch, start, health, weight, done, noop, fail.
    """

    target: str
    phase: str
    ts_us: int
    op_id: str
    epoch: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightFinding:
    target: str  # empty: the environment as a whole
    check: str
    ok: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    ts_us: int
    stream: str
    text: str


class DeployDriver(Protocol):
    """Brings the targets of ONE environment to a digest. Built per environment by the wiring.

    Rules R1 to R12 (tests/contracts/test_driver_contract.py runs them over every driver):
    R1 `apply` twice: the second is all noop, restarts nothing. R2 the result's digest comes from
    the running thing. R3 one outcome per planned target; unknown is never success; after
    `max_failures` further targets are skipped; a driver never rolls back by itself. R4 only the
    planned targets are touched, in the plan's order. R5 artifacts are re-hashed at the target
    before the switch; a mismatch is `failed` and switches nothing. R6 deadlines are total.
    R7 `cancel` acts between targets, never inside the switch of one. R8 an epoch lower than one
    the target has seen is `fenced`. R9 with DRAIN no request is lost by a switch. R10 digests
    only, never tags. R11 going back works with the artifact source down. R12 `emit` is ordered
    and carries no secret; `switch` is said before what a target runs is ended, and for no other.
    """

    @property
    def kind(self) -> str: ...

    def capabilities(self) -> frozenset[Capability]: ...

    def preflight(self, bundle: Bundle, *, deadline_s: float) -> Sequence[PreflightFinding]:
        """Check without side effects: reach, rights, artifacts present and re-hashed, disk."""
        ...

    def observe(self, *, deadline_s: float) -> Observation:
        """Read every target; always safe. A target that does not answer has digest None."""
        ...

    def apply(
        self,
        plan: StagePlan,
        *,
        op_id: str,
        epoch: int,
        deadline_s: float,
        cancel: ThreadEvent,
        emit: Callable[[DriverEvent], None],
    ) -> StageResult:
        """Carry out `plan`. Idempotent by observation, not by memory.

        Raises:
            AdapterFailed: nothing could be done at all. Per-target trouble is a result instead.
        """
        ...

    def set_traffic(
        self, weights: Mapping[str, int], *, op_id: str, epoch: int, deadline_s: float
    ) -> Mapping[str, int]:
        """Set router weights (0 to 100 each) and return those now in force."""
        ...

    def logs(self, target: str, *, since_us: int, limit: int) -> Iterator[LogLine]:
        """Lines of the target's own log, oldest first, at most `limit` of the newest."""
        ...

    def close(self) -> None: ...


# --- metrics --------------------------------------------------------------------------------


class MetricSource(Protocol):
    """Counters of ONE environment's targets."""

    @property
    def kind(self) -> str: ...

    def read(self, *, deadline_s: float) -> Reading:
        """Read all counters now. Never raises for an unreachable source: status says so."""
        ...

    def history(
        self, *, seconds: int, poll_s: float, deadline_s: float
    ) -> Sequence[Sequence[tuple[int, int]]]:
        """(requests, errors) per target and poll of the last `seconds`, oldest first.

        Fewer rows when the source knows less; empty when it knows nothing or cannot be reached.
        """
        ...


# --- inputs, feeds, people ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedInput:
    """A resolved input. The value itself never leaves the adapter.

    Attributes:
        path: where it was read, for example `env:DB_PASSWORD` or `file:/etc/app/token`.
        version: the source's version of the value; empty when the source has none.
        value_hmac: hex HMAC-SHA256 of the value under the home's input key: equal values can be
            told equal, and nothing else can be learned.
    """

    name: str
    path: str
    version: str
    value_hmac: str


class SecretSource(Protocol):
    """Reads one kind of input: `scheme` is env, file, ...; the redactor learns what it read."""

    @property
    def scheme(self) -> str: ...

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        """Resolve one input.

        Raises:
            NotFound: the source answers that there is no such value.
            AdapterFailed: the source gave no answer; never a wrong "missing".
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSnapshot:
    """One feed at one moment, content-addressed.

    Attributes:
        name: OSV, NVD, KEV, EPSS, ...
        digest: of the snapshot's bytes.
        as_of_s: UTC seconds of the source's newest data, or of a successful sync that found no
            change; never a file's modification time.
    """

    name: str
    digest: Digest
    as_of_s: int
    content: bytes


class FeedSource(Protocol):
    def snapshots(self) -> Sequence[FeedSnapshot]:
        """The newest complete snapshot of each feed, sorted by name. A feed without one is absent.

        Raises:
            Malformed: a snapshot is unreadable; names the file and the field.
        """
        ...
