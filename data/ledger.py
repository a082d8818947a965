"""What the writer knows by heart, so that deciding about an append asks no database.

`Ledger` is what has been recorded; `Draft` is a group of appends on top of it that is not recorded
yet. A draft takes an append or refuses it as a whole, and is absorbed after the commit or dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from data.chain import ZEROS, EventText, auth_text, row_record
from data.codec import canonical_body, kind_of
from data.database import Batch
from data.open_runs import OpenRuns
from data.outbox import Box, Outgoing, check_try, note
from data.project import changes
from engine.core.auth import AuthContext
from engine.core.errors import Conflict, IllegalTransition, Malformed, NotFound
from engine.core.events import Event, Recorded
from engine.core.feed_events import FEEDS
from engine.core.freeze_events import FREEZES
from engine.core.freezes import Freezes
from engine.core.freezes import evolve as evolve_freezes
from engine.core.health_events import HEALTH
from engine.core.holds import Holds
from engine.core.holds import evolve as evolve_holds
from engine.core.hook_book import Hooks
from engine.core.hook_book import evolve as evolve_hooks
from engine.core.hook_events import HOOKS
from engine.core.hook_rows import HookTry, Key
from engine.core.house import ADMIN, BUNDLES, HouseEvent
from engine.core.integrity_events import INTEGRITY
from engine.core.replays import ReplayRequest, ReplayRow
from engine.core.rescan_events import RESCANS
from engine.core.rows import CommandRow, GateTick, Row, TlogEntry, VerdictRow
from engine.core.run import Run, evolve
from engine.core.run_events import RunRequested, RunStarted
from engine.core.schedule_events import STREAM
from engine.core.waiver_events import WAIVERS

_ENDED_KEPT: Final = 256
# Streams of the house that there is one of each.
_HOUSE: Final = (BUNDLES, ADMIN, FEEDS, FREEZES, HEALTH, HOOKS, INTEGRITY, RESCANS, WAIVERS)


def is_run(stream: str) -> bool:
    return stream.startswith("run-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One call of `EventStore.append` or `.record`, its events written out already."""

    stream: str
    events: tuple[Event, ...]
    bodies: tuple[str, ...]
    after: int
    actor: str
    command_id: str
    rows: tuple[Row, ...]
    row_records: tuple[str, ...]
    auth: str = ""
    before_us: int | None = None

    @classmethod
    def of(
        cls,
        stream: str,
        events: Sequence[Event],
        *,
        after: int,
        actor: str,
        command_id: str,
        rows: Sequence[Row],
        auth: AuthContext | None = None,
        before_us: int | None = None,
    ) -> Append:
        """Raises `Malformed` for a value that cannot be written exactly, or a stream unknown."""
        if events and not (
            is_run(stream) or stream in _HOUSE or stream.startswith(("engine:", STREAM))
        ):
            raise Malformed(
                f"expected a run, {', '.join(_HOUSE)}, engine: or {STREAM}",
                where=stream,
            )
        for text in (stream, actor, command_id):
            if not text.isprintable() or len(text) > 400:
                raise Malformed(f"expected short printable text, found {text!r}", where=stream)
        return cls(
            stream=stream,
            events=tuple(events),
            bodies=tuple(canonical_body(event) for event in events),
            after=after,
            actor=actor,
            command_id=command_id,
            rows=tuple(rows),
            row_records=tuple(row_record(kind_of(row), canonical_body(row)) for row in rows),
            auth=auth_text(auth),
            before_us=before_us,
        )


@dataclass(slots=True, kw_only=True)
class Facts:
    """Keys of what has been recorded. Of a draft: only what it adds.

    Attributes:
        heads: stream to (seq, hash) of its newest event.
        commands: command id to (stream, first seq, last seq).
        runs: folded runs; every open one, and the ended ones used lately.
        ticks: (run, step, attempt) to the highest tick number.
        names: verdict ids, answered command ids and outcomes of replays that are under way, as
            `verdict/<id>`, `command/<id>`, `replay/<n>/<idx>`.
        last_replay: number of the newest request to replay something.
        holds: what is held where; empty in a draft, for it follows what is recorded.
        started: environment to the runs that took it, in that order; empty in a draft.
        heirs: a finished run to those that were made from it, in order; empty in a draft.
        freezes: those in force, by id; empty in a draft.
        hooks: webhooks in force, by id; in a draft: with what it changes.
        outbox: messages that are not settled, by webhook and key; empty in a draft.
        tried: of a draft: messages with a try in it.
    """

    gseq: int = 0
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    commands: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=OrderedDict)
    ticks: dict[tuple[str, str, int], int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    leaves: list[str] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    last_number: int = 0
    last_replay: int = 0
    holds: Holds = field(default_factory=dict)
    freezes: Freezes = field(default_factory=dict)
    started: dict[str, list[str]] = field(default_factory=dict)
    heirs: dict[str, list[str]] = field(default_factory=dict)
    hooks: Hooks = field(default_factory=dict)
    outbox: Box = field(default_factory=dict)
    tried: set[Key] = field(default_factory=set)


class Ledger:
    """Read and changed under the store's lock.

    Args:
        fold: reads a run that is not held from the database. Raises `NotFound`.
    """

    def __init__(self, facts: Facts, fold: Callable[[str], Run]) -> None:
        self.facts, self._fold = facts, fold
        self._open = OpenRuns(facts.runs.values())

    def version(self, stream: str) -> int:
        return self.facts.heads.get(stream, (0, ZEROS))[0]

    def run(self, run_id: str) -> Run:
        """Raises `NotFound`."""
        known = self.facts.runs.get(run_id)
        if known is None:
            if not is_run(run_id) or run_id not in self.facts.heads:
                raise NotFound(f"There is no run {run_id}.")
            known = self.facts.runs[run_id] = self._fold(run_id)
            self._forget_ended()
        return known

    def open_runs(self, environment: str = "", *, scheduled: bool = True) -> tuple[Run, ...]:
        return self._open.of(environment, scheduled=scheduled)

    def absorb(self, draft: Draft) -> None:
        mine, new = self.facts, draft.facts
        mine.gseq = new.gseq
        mine.heads.update(new.heads)
        mine.commands.update(new.commands)
        for run_id, run in new.runs.items():
            mine.runs.pop(run_id, None)  # to the end: used last
            mine.runs[run_id] = run
            self._open.note(run)
        mine.ticks.update(new.ticks)
        mine.names |= new.names
        mine.leaves += new.leaves
        for environment, epoch in new.epochs.items():
            mine.epochs[environment] = max(mine.epochs.get(environment, 0), epoch)
        mine.last_number = max(mine.last_number, new.last_number)
        mine.last_replay = max(mine.last_replay, new.last_replay)
        for one in draft.recorded:
            of = new.runs.get(one.stream)
            if of is None:
                note_meaning(mine, one, None, "")
            else:
                note_meaning(mine, one, of.request, of.requested_by)
        note(mine.outbox, draft.batch.rows, mine.hooks)
        self._forget_ended()

    def _forget_ended(self) -> None:
        if len(self.facts.runs) - len(self._open) <= _ENDED_KEPT:
            return
        ended = [run_id for run_id, run in self.facts.runs.items() if run.terminal]
        for run_id in ended[: max(0, len(ended) - _ENDED_KEPT)]:
            del self.facts.runs[run_id]


class Draft:
    """A group of appends, each one line of the journal to be."""

    def __init__(self, ledger: Ledger, now_us: Callable[[], int]) -> None:
        self._ledger, self._now_us = ledger, now_us
        self.facts = Facts(gseq=ledger.facts.gseq, hooks=ledger.facts.hooks)
        self.batch = Batch()
        self.lines: list[tuple[str, ...]] = []
        self.recorded: list[Recorded] = []
        self._before: dict[str, Run | None] = {}

    def take(self, append: Append) -> tuple[Recorded, ...] | None:
        """Add one append and return what it records; None when its command is known already.

        Raises:
            Conflict: the stream is at another version, a row's place is taken, or it is too late.
            IllegalTransition: an event cannot follow. Nothing of the append is taken.
        """
        if append.command_id and append.events and self.command(append.command_id) is not None:
            return None
        told = Outgoing(self.facts.hooks)
        texts, recorded, run = self._events(append, told)
        new = self._rows(append.rows)
        self._keep(append, texts, recorded, run)
        self.facts.hooks = told.hooks
        self.facts.ticks.update(new.ticks)
        self.facts.names |= new.names
        self.facts.tried |= new.tried
        self.facts.leaves += new.leaves
        self.facts.last_replay = max(self.facts.last_replay, new.last_replay)
        self.batch.rows.extend((*append.rows, *told.messages))
        if texts or append.rows:
            events = (text.record() for text in texts)
            self.lines.append((*events, *append.row_records, *told.records()))
        return tuple(recorded)

    def command(self, command_id: str) -> tuple[str, int, int] | None:
        mine = self.facts.commands.get(command_id)
        return mine or self._ledger.facts.commands.get(command_id)

    def finish(self) -> Batch:
        """The commit's content, with the projections of every run that changed."""
        for run_id, before in self._before.items():
            stale, fresh = changes(before, self.facts.runs[run_id])
            self.batch.stale += stale
            self.batch.projected += fresh
        return self.batch

    def _events(
        self, append: Append, told: Outgoing
    ) -> tuple[list[EventText], list[Recorded], Run | None]:
        if not append.events:
            return [], [], None
        stream = append.stream
        seq, prev = self.facts.heads.get(stream) or self._ledger.facts.heads.get(stream, (0, ZEROS))
        if seq != append.after:
            raise Conflict(f"{stream} is at version {seq}, not {append.after}.")
        run = self._run(stream) if is_run(stream) and seq else None
        ts_us = self._now_us()
        if append.before_us is not None and ts_us >= append.before_us:
            raise Conflict(f"{stream} was to be appended to before this moment.")
        texts: list[EventText] = []
        recorded: list[Recorded] = []
        for event, body in zip(append.events, append.bodies, strict=True):
            seq += 1
            text = EventText.chained(
                gseq=self.facts.gseq + len(texts) + 1,
                stream=stream,
                seq=seq,
                ts_us=ts_us,
                actor=append.actor,
                command_id=append.command_id,
                kind=event.TYPE,
                body=body,
                prev=prev,
                auth=append.auth,
            )
            one = text.recorded(event)
            if is_run(stream):
                run = evolve(run, one)
                _check_number(one)
            elif not isinstance(event, HouseEvent):
                raise IllegalTransition(f"{event.TYPE} is no event of {stream}")
            told.take(one, run)
            prev = text.hash
            texts.append(text)
            recorded.append(one)
        return texts, recorded, run

    def _keep(
        self,
        append: Append,
        texts: list[EventText],
        recorded: list[Recorded],
        run: Run | None,
    ) -> None:
        if not texts:
            return
        stream, facts = append.stream, self.facts
        facts.gseq += len(texts)
        facts.heads[stream] = (texts[-1].seq, texts[-1].hash)
        if append.command_id:
            facts.commands[append.command_id] = (stream, texts[0].seq, texts[-1].seq)
        if run is not None:
            if stream not in self._before:
                self._before[stream] = self._run(stream) if append.after else None
            facts.runs[stream] = run
            for one in recorded:
                note_numbers(facts, one.event, run.environment)
        self.batch.events.extend(texts)
        self.recorded.extend(recorded)

    def _run(self, run_id: str) -> Run:
        return self.facts.runs.get(run_id) or self._ledger.run(run_id)

    def _rows(self, rows: Sequence[Row]) -> Facts:
        """The places that `rows` take. Raises `Conflict` when one is taken."""
        known, mine, new = self._ledger.facts, self.facts, Facts()
        for row in rows:
            match row:
                case GateTick():
                    key = (row.run_id, row.step, row.attempt)
                    last = new.ticks.get(key) or mine.ticks.get(key) or known.ticks.get(key, 0)
                    if row.n <= last:
                        raise Conflict(f"{'/'.join(map(str, key))}: tick {row.n} follows {last}.")
                    new.ticks[key] = row.n
                case TlogEntry():
                    size = len(known.leaves) + len(mine.leaves) + len(new.leaves)
                    if row.idx != size:
                        raise Conflict(f"the log has {size} leaves; {row.idx} is not the next.")
                    new.leaves.append(row.leaf_hash)
                case ReplayRequest():
                    last = max(known.last_replay, mine.last_replay, new.last_replay)
                    if row.n != last + 1:
                        raise Conflict(f"replay request {row.n} follows {last}.")
                    new.last_replay = row.n
                case VerdictRow() | CommandRow() | ReplayRow():
                    name = name_of(row)
                    if name in new.names or name in mine.names or name in known.names:
                        raise Conflict(f"{name} is on record already.")
                    new.names.add(name)
                case HookTry():
                    check_try(known.outbox, row, new.tried | mine.tried)
                    new.tried.add(row.key)
                case _:
                    pass
        return new


def name_of(row: VerdictRow | CommandRow | ReplayRow) -> str:
    match row:
        case ReplayRow(n=n, idx=idx):
            return f"replay/{n}/{idx}"
        case VerdictRow(verdict_id=verdict_id):
            return f"verdict/{verdict_id}"
        case CommandRow(command_id=command_id):
            return f"command/{command_id}"


def note_numbers(facts: Facts, event: Event, environment: str) -> None:
    """Keep the highest run number, and the highest epoch of each environment."""
    match event:
        case RunRequested(number=number):
            facts.last_number = max(facts.last_number, number)
        case RunStarted(epoch=epoch):
            facts.epochs[environment] = max(facts.epochs.get(environment, 0), epoch)
        case _:
            pass


def note_meaning(
    facts: Facts, recorded: Recorded, request: RunRequested | None, requested_by: str
) -> None:
    """Keep what an event means beyond its own stream: holds, freezes, webhooks, what came after."""
    facts.holds = evolve_holds(facts.holds, recorded, request, requested_by=requested_by)
    facts.freezes = evolve_freezes(facts.freezes, recorded)
    facts.hooks = evolve_hooks(facts.hooks, recorded)
    match recorded.event:
        case RunStarted() if request is not None:
            facts.started.setdefault(request.environment, []).append(recorded.stream)
        case RunRequested(rerun_of=again, rolls_back=back) if again or back:
            facts.heirs.setdefault(again or back, []).append(recorded.stream)
        case _:
            pass


def _check_number(recorded: Recorded) -> None:
    """A run's number is its name, and belongs to it alone."""
    event = recorded.event
    if isinstance(event, RunRequested) and recorded.stream != f"run-{event.number}":
        raise IllegalTransition(
            f"{recorded.stream} has number {event.number}; its stream is run-{event.number}"
        )
