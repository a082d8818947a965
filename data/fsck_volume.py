"""What became of samples and log lines: archives, roll-ups, and what was lost, by count.

They are not journaled, but what has to be there can be said: the journal names every archive, and
every tick of a gate whose reading was good had samples of its targets.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from data import minutes, segments
from data.archive import TABLES, Key
from data.blobs import Blobs
from data.chain import Line
from data.database import Database
from data.findings import Finding
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.house import StoreRebuilt
from engine.core.rows import GateTick, Retired, Row, Segment
from engine.core.step_events import StepStarted

_WORDS: Final = {segments.SAMPLES: "samples", segments.LOGS: "log lines"}

# In a stored tick (canonical JSON): the reading was good, so there were samples of its targets.
_GOOD: Final = '"status":"ok"'


class Unarchived:
    """Follows the journal: attempts whose log lines no archive had when their database was lost.

    By the order of the lines and not by their times, which a clock set back would mix up.
    """

    def __init__(self) -> None:
        self._started: dict[Key, None] = {}
        self.lost_us: dict[Key, int] = {}

    def take(self, line: Line) -> None:
        for text in line.events:
            if text.kind == StepStarted.TYPE:
                body = json.loads(text.body)
                self._started[text.stream, body["step"], body["attempt"]] = None
            elif text.kind == StoreRebuilt.TYPE:
                self.lost_us |= dict.fromkeys(self._started, text.ts_us)
        for row in line.rows:
            if isinstance(row, Segment) and row.kind == segments.LOGS:
                self._started.pop((row.run_id, row.step, row.attempt), None)


def volume(
    database: Database,
    blobs: Blobs,
    rows: Sequence[Row],
    unarchived: Unarchived,
) -> list[Finding]:
    """Args:
    rows: all that the journal holds.
    """
    parts: dict[tuple[str, Key], list[Segment]] = {}
    retired: dict[Key, Retired] = {}
    ticks: Counter[Key] = Counter()
    for row in rows:
        if isinstance(row, Segment):
            parts.setdefault((row.kind, (row.run_id, row.step, row.attempt)), []).append(row)
        elif isinstance(row, Retired):
            retired[row.run_id, row.step, row.attempt] = row
        elif isinstance(row, GateTick) and _GOOD in row.tick:
            ticks[row.run_id, row.step, row.attempt] += 1
    held = {tuple(row) for row in database.rows("SELECT * FROM segments_held")}
    return [
        *_archives(database, blobs, parts, set(retired), held),
        *_roll_ups(database, parts, retired, held),
        *_lost_samples(database, ticks, set(retired)),
        *_lost_lines(unarchived.lost_us),
    ]


def _archives(
    database: Database,
    blobs: Blobs,
    parts: Mapping[tuple[str, Key], Sequence[Segment]],
    retired: set[Key],
    held: set[tuple[Any, ...]],
) -> Iterator[Finding]:
    counts = {kind: _counts(database, table) for kind, table in TABLES.items()}
    for (kind, key), segments_of in parts.items():
        gone = kind == segments.SAMPLES and key in retired
        here = [one for one in segments_of if (kind, *key, one.part) in held]
        expected = 0 if gone else sum(one.count for one in here)
        missing = expected - counts[kind].get(key, 0)
        if missing > 0:
            yield _finding(
                kind, key, f"{missing} of {expected} archived {_WORDS[kind]} are not in the table"
            )
        for one in segments_of:
            damage = _damage(blobs, one)
            if not damage and one not in here:
                yield _finding(
                    kind, key, f"{_told(one)} are only in their archive; the next start brings "
                    "them back",
                )  # fmt: skip
            elif damage and one in here and not gone:
                yield _finding(kind, key, f"the archive of {_told(one)} {damage}")
            elif damage:
                yield _finding(kind, key, f"{_told(one)} are lost: their archive {damage}")


def _damage(blobs: Blobs, segment: Segment) -> str:
    if not segment.count:
        return ""
    try:
        rows = segments.decode(segment.kind, blobs.get(Digest.parse(segment.blob)))
    except NotFound:
        return "is missing"
    except (Malformed, OSError) as error:
        return f"is damaged ({error})"
    return "" if len(rows) == segment.count else f"holds {len(rows)} rows"


def _roll_ups(
    database: Database,
    parts: Mapping[tuple[str, Key], Sequence[Segment]],
    retired: Mapping[Key, Retired],
    held: set[tuple[Any, ...]],
) -> Iterator[Finding]:
    cursor = database.cursor()
    try:
        for (kind, key), segments_of in parts.items():
            whole = all((kind, *key, one.part) in held for one in segments_of)
            if kind != segments.SAMPLES or not whole:
                continue  # what is not held was said already
            word = retired.get(key)
            if word is None:
                wrong = minutes.differing(cursor, key)
                if wrong:
                    yield _minutes(key, f"{wrong} minutes are not what the samples say")
                continue
            found = minutes.counted(cursor, key)
            if found != (word.minutes, word.samples):
                yield _minutes(
                    key,
                    f"expected {word.minutes} minutes of {word.samples} samples, "
                    f"found {found[0]} of {found[1]}",
                )
    finally:
        cursor.close()


def _lost_samples(
    database: Database, ticks: Mapping[Key, int], retired: set[Key]
) -> Iterator[Finding]:
    sampled = {
        (run_id, step, attempt): polls
        for run_id, step, attempt, polls in database.rows(
            "SELECT run_id, step, attempt, count(DISTINCT ts_us) FROM health_samples GROUP BY ALL"
        )
    }
    for key, polls in sorted(ticks.items()):
        there = sampled.get(key, 0)
        if polls > there and key not in retired:
            yield _finding(
                segments.SAMPLES,
                key,
                f"samples of {polls - there} of {polls} polls were lost; the gate's ticks are kept",
                lost=True,
            )


def _lost_lines(lost_us: Mapping[Key, int]) -> Iterator[Finding]:
    for key, at_us in lost_us.items():
        yield _finding(
            segments.LOGS,
            key,
            f"lines written before {_time(at_us)} were lost with an earlier database; how many is "
            "not known",
            lost=True,
        )


def _counts(database: Database, table: str) -> dict[Key, int]:
    found: Iterable[tuple[Any, ...]] = database.rows(
        f"SELECT run_id, step, attempt, count(*) FROM {table} GROUP BY ALL"  # noqa: S608 (constants)
    )
    return {(run_id, step, attempt): count for run_id, step, attempt, count in found}


def _told(segment: Segment) -> str:
    word = _WORDS[segment.kind]
    return f"{segment.count} {word} from {_time(segment.first_us)} to {_time(segment.last_us)}"


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _finding(kind: str, key: Key, problem: str, *, lost: bool = False) -> Finding:
    return Finding(table=TABLES[kind], key=" ".join(map(str, key)), problem=problem, lost=lost)


def _minutes(key: Key, problem: str) -> Finding:
    return Finding(table="sample_minutes", key=" ".join(map(str, key)), problem=problem)
