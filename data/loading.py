"""From what is stored to what is known by heart: at start, and after damage.

The database is asked for keys and open runs; what the journal holds beyond it is taken in first.
A rebuild is the same catching up, from the journal's first line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from data.chain import ZEROS, EventText
from data.database import Batch, Database, columns
from data.journal import Journal, Position
from data.ledger import Facts, note_meaning
from data.outbox import unsettled
from data.project import changes
from engine.core.errors import Malformed, NotFound
from engine.core.events import Recorded
from engine.core.freezes import FOLDED as FREEZES_FOLDED
from engine.core.holds import FOLDED
from engine.core.hook_book import FOLDED as HOOKS_FOLDED
from engine.core.rows import GateTick, TlogEntry, TlogHead
from engine.core.run import Run, evolve, fold
from engine.core.run_events import RunRequested

_CHUNK: Final = 5_000
_EVENTS: Final = f"SELECT {', '.join(columns(EventText))} FROM events"  # noqa: S608
_TICKS: Final = f"SELECT {', '.join(columns(GateTick))} FROM gate_ticks"  # noqa: S608


_UNDER_WAY: Final = """
SELECT n, idx
  FROM replays
  JOIN (SELECT n
          FROM replay_requests r
         WHERE total > (SELECT count(*) FROM replays d WHERE d.n = r.n)) USING (n)
"""


def events_of(
    database: Database, stream: str, after: int = 0, limit: int | None = None
) -> tuple[Recorded, ...]:
    """A stream's events behind `after`, oldest first; at most `limit` of them."""
    if limit is not None:  # a stream's numbers have no gaps
        return events_between(database, stream, after + 1, after + limit)
    return _recorded(
        database, f"{_EVENTS} WHERE stream = ? AND seq > ? ORDER BY seq", [stream, after]
    )


def events_between(database: Database, stream: str, first: int, last: int) -> tuple[Recorded, ...]:
    return _recorded(
        database,
        f"{_EVENTS} WHERE stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        [stream, first, last],
    )


def texts_of(database: Database, stream: str) -> tuple[str, ...]:
    """A stream's events as they stand in the journal, oldest first."""
    rows = database.rows(f"{_EVENTS} WHERE stream = ? ORDER BY seq", [stream])
    names = columns(EventText)
    return tuple(EventText(**dict(zip(names, row, strict=True))).record() for row in rows)


def ticks_of(
    database: Database, run_id: str, step: str, first_attempt: int, behind: tuple[int, int]
) -> tuple[GateTick, ...]:
    """Of attempts from `first_attempt` on, behind (attempt, n) `behind`."""
    names = columns(GateTick)
    found = database.rows(
        f"{_TICKS} WHERE run_id = $run AND step = $step AND attempt >= greatest($first, $attempt) "
        "AND (attempt > $attempt OR n > $n) ORDER BY attempt, n",
        {
            "run": run_id, "step": step, "first": first_attempt,
            "attempt": behind[0], "n": behind[1],
        },
    )  # fmt: skip
    return tuple(GateTick(**dict(zip(names, row, strict=True))) for row in found)


def kinds_of(database: Database, kinds: Sequence[str]) -> tuple[Recorded, ...]:
    """Every event of these kinds, in the order in which they were recorded."""
    return _recorded(
        database, f"{_EVENTS} WHERE kind IN (SELECT unnest(?)) ORDER BY gseq", [list(kinds)]
    )


def entries_of(database: Database, first: int, end: int) -> tuple[TlogEntry, ...]:
    names = columns(TlogEntry)
    found = database.rows(
        f"SELECT {', '.join(names)} FROM tlog_entries "  # noqa: S608
        "WHERE idx >= ? AND idx < ? ORDER BY idx",
        [first, end],
    )
    return tuple(TlogEntry(**dict(zip(names, row, strict=True))) for row in found)


def heads_of(database: Database, origin: str) -> tuple[tuple[TlogHead, str], ...]:
    """A log's heads by size, each with the hash of the event that it is anchored in, or nothing."""
    names = columns(TlogHead)
    found = database.rows(
        f"SELECT {', '.join(f'h.{name}' for name in names)}, coalesce(e.hash, '') "  # noqa: S608
        "FROM tlog_heads h LEFT JOIN events e ON e.gseq = h.gseq "
        "WHERE starts_with(h.note, ?) ORDER BY h.size, h.gseq",
        [f"{origin}\n"],
    )
    return tuple((TlogHead(**dict(zip(names, row, strict=False))), row[-1]) for row in found)


def fold_from(database: Database, run_id: str) -> Run:
    """Raises `NotFound`, or `IllegalTransition` for a log that is damaged."""
    recorded = events_of(database, run_id)
    if not recorded:
        raise NotFound(f"There is no run {run_id}.")
    return fold(run_id, recorded)


def facts_from(database: Database) -> Facts:
    """Everything that the writer has to know, read from the database."""
    facts = Facts()
    for stream, seq, digest, gseq in database.rows(
        "SELECT stream, max(seq), arg_max(hash, seq), max(gseq) FROM events GROUP BY stream"
    ):
        facts.heads[stream] = (seq, digest)
        facts.gseq = max(facts.gseq, gseq)
    for command_id, stream, first, last in database.rows(
        "SELECT command_id, any_value(stream), min(seq), max(seq) FROM events "
        "WHERE command_id <> '' GROUP BY command_id"
    ):
        facts.commands[command_id] = (stream, first, last)
    for run_id, step, attempt, n in database.rows(
        "SELECT run_id, step, attempt, max(n) FROM gate_ticks GROUP BY run_id, step, attempt"
    ):
        facts.ticks[run_id, step, attempt] = n
    facts.names |= {f"verdict/{v}" for (v,) in database.rows("SELECT verdict_id FROM verdicts")}
    facts.names |= {f"command/{c}" for (c,) in database.rows("SELECT command_id FROM commands")}
    ((facts.last_replay,),) = database.rows("SELECT coalesce(max(n), 0) FROM replay_requests")
    facts.names |= {f"replay/{n}/{idx}" for n, idx in database.rows(_UNDER_WAY)}
    facts.leaves = [
        leaf for (leaf,) in database.rows("SELECT leaf_hash FROM tlog_entries ORDER BY idx")
    ]
    _numbers(database, facts)
    _meanings(database, facts)
    facts.outbox = unsettled(database, facts.hooks)
    facts.runs.update(_open_runs(database))
    return facts


def _open_runs(database: Database) -> dict[str, Run]:
    """Every run that has not ended, in order of request; all of their events in one question,
    because with thousands of them one each would hold up the start."""
    ended = ["CANCELLED", "EXPIRED", "FAILED", "REJECTED", "ROLLED_BACK", "SUCCEEDED"]
    found = database.rows(
        "SELECT run_id FROM runs WHERE status NOT IN (SELECT unnest(?)) ORDER BY number", [ended]
    )
    runs = [run_id for (run_id,) in found]
    ask = f"{_EVENTS} WHERE stream IN (SELECT unnest(?)) ORDER BY stream, seq"
    logs = groupby(_recorded(database, ask, [runs]), key=lambda one: one.stream)
    folded = {run_id: fold(run_id, log) for run_id, log in logs}
    return {run_id: folded[run_id] for run_id in runs}


def _numbers(database: Database, facts: Facts) -> None:
    """From the events, not the projections: a fencing epoch must never be given twice."""
    facts.last_number = database.rows(
        "SELECT coalesce(max(CAST(json_extract(body, '$.number') AS BIGINT)), 0) "
        "FROM events WHERE kind = 'run.requested/1'"
    )[0][0]
    for environment, epoch in database.rows(
        "SELECT json_extract_string(r.body, '$.environment'), "
        "       max(CAST(json_extract(s.body, '$.epoch') AS BIGINT)) "
        "  FROM events s JOIN events r ON r.stream = s.stream AND r.kind = 'run.requested/1' "
        " WHERE s.kind = 'run.started/1' GROUP BY 1"
    ):
        facts.epochs[environment] = epoch


def _meanings(database: Database, facts: Facts) -> None:
    """Holds, freezes, webhooks, which run came after which: from the few kinds that say so."""
    kinds = [kind.TYPE for kind in (RunRequested, *FOLDED, *FREEZES_FOLDED, *HOOKS_FOLDED)]
    requests: dict[str, tuple[RunRequested, str]] = {}
    for recorded in _recorded(
        database, f"{_EVENTS} WHERE kind IN (SELECT unnest(?)) ORDER BY gseq", [kinds]
    ):
        if isinstance(recorded.event, RunRequested):
            requests[recorded.stream] = (recorded.event, recorded.actor)
        request, by = requests.get(recorded.stream, (None, ""))
        note_meaning(facts, recorded, request, by)


def catch_up(database: Database, journal: Journal, after: Position) -> int:
    """Take in what the journal holds behind `after`, as one commit. Returns how many events.

    Raises:
        Malformed: a line is damaged, or its events do not follow those before.
    """
    if journal.end.line == after.line:
        return 0
    count, batch, end = 0, Batch(), after
    follower = Follower(database)
    database.begin()
    try:
        for position, line in journal.lines(after):
            follower.take(line.events, where=f"journal line {line.number}")
            batch.events += line.events
            batch.rows += line.rows
            count += len(line.events)
            end = position
            if len(batch.events) + len(batch.rows) >= _CHUNK:
                database.add(batch)
                batch = Batch()
        follower.projections(batch)
        database.add(batch)
        database.commit(end)
    except BaseException:
        database.rollback()
        raise
    return count


class Follower:
    """Folds runs along the journal and sees that every stream's chain goes on.

    Args:
        database: holds what lies before; None when the journal is followed from its beginning.
    """

    def __init__(self, database: Database | None) -> None:
        self._database = database
        self._heads: dict[str, tuple[int, str]] = {}
        self._before: dict[str, Run | None] = {}
        self.runs: dict[str, Run] = {}
        self.gseq: int | None = None

    def take(self, events: Sequence[EventText], *, where: str) -> None:
        """Raises `Malformed` when an event does not follow, `IllegalTransition` when it cannot."""
        for text in events:
            seq, digest = self._head(text.stream)
            if (text.seq, text.prev) != (seq + 1, digest):
                raise Malformed(
                    f"expected event {seq + 1} behind {digest[:12]}, found {text.seq} behind "
                    f"{text.prev[:12]}",
                    where=f"{where}, stream {text.stream}",
                )
            if self.gseq is not None and text.gseq != self.gseq + 1:
                raise Malformed(f"expected gseq {self.gseq + 1}, found {text.gseq}", where=where)
            self.gseq = text.gseq
            self._heads[text.stream] = (text.seq, text.hash)
            recorded = text.recorded()
            if text.stream.startswith("run-"):
                self.runs[text.stream] = evolve(self._run(text.stream), recorded)

    def projections(self, batch: Batch) -> None:
        """Add the projection rows that changed."""
        for run_id, run in self.runs.items():
            stale, fresh = changes(self._before[run_id], run)
            batch.stale += stale
            batch.projected += fresh

    def _head(self, stream: str) -> tuple[int, str]:
        if stream not in self._heads:
            found = (
                []
                if self._database is None
                else self._database.rows(
                    "SELECT seq, hash FROM events WHERE stream = ? ORDER BY seq DESC LIMIT 1",
                    [stream],
                )
            )
            self._heads[stream] = found[0] if found else (0, ZEROS)
        return self._heads[stream]

    def _run(self, run_id: str) -> Run | None:
        if run_id not in self.runs:
            known = None
            if self._database is not None and self._heads[run_id][0] > 1:
                recorded = events_of(self._database, run_id)
                known = fold(run_id, recorded) if recorded else None
            self._before[run_id] = known
            return known
        return self.runs[run_id]


def _recorded(database: Database, query: str, params: Sequence[object]) -> tuple[Recorded, ...]:
    names = columns(EventText)
    return tuple(
        EventText(**dict(zip(names, row, strict=True))).recorded()
        for row in database.rows(query, params)
    )


__all__ = [
    "Follower",
    "catch_up",
    "entries_of",
    "events_between",
    "events_of",
    "facts_from",
    "fold_from",
    "heads_of",
    "kinds_of",
    "ticks_of",
]
