"""From counters to the gate's ticks, their stored form, and the replay of what was stored. Pure.

A tick is differences of exact counters between two readings. What the gate saw is stored as
canonical JSON with whole numbers, next to marks that say how the watch began and where it went on
after a pause: these rows alone rebuild the gate, and a replay answers the same at every tick.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.health import Criteria, Gate, criteria_from_document, new_gate
from engine.core.health_editions import EDITION
from engine.core.health_tick import Opening
from engine.core.jcs import JsonValue, canonical
from engine.core.metrics import LATENCY_BOUNDS_MS, Reading, ReadingStatus, TargetCounters
from engine.core.rows import GateTick, Sample

START: Final = "start"
RESUME: Final = "resume"
_P95: Final = (95, 100)
_NOTE_MAX: Final = 200


# --- from readings ----------------------------------------------------------------------------


def tick_between(
    previous: Reading | None,
    now: Reading,
    *,
    cohort: Sequence[str],
    targets: Sequence[str],
    t_ms: int,
    age_ms: int,
    age_ms_max: int,
    fleet: bool = False,
    opening: Opening | None = None,
) -> dict[str, Any]:
    """The gate's tick for what happened since `previous`.

    Args:
        previous: the last reading that was ok; None = there is none to compare with, which gives
            no counts and so no data.
        cohort: targets that must run the new bundle in this stage; the others are the baseline.
        age_ms: how old `now` is; older than `age_ms_max` counts as no data.
        fleet: also count the healthy ones of all targets; one that is missing is not healthy.
        opening: when the step behind the stage may begin; None = it has no time of its own.
    """
    tick: dict[str, Any] = {"t": t_ms / 1000, "status": now.status.value, "note": now.note}
    if now.status is ReadingStatus.OK and age_ms > age_ms_max:
        tick |= {"status": "nodata", "note": f"the newest reading is {age_ms} ms old"}
    elif now.status is ReadingStatus.OK and previous is None:
        tick |= {"status": "nodata", "note": "first reading, nothing to compare with"}
    tick["note"] = tick["note"][:_NOTE_MAX]
    if opening is not None:
        tick["opening"] = opening.document()
    tick |= {"canary": None, "baseline": None, "baseline_targets": [], "targets": None}
    if tick["status"] != "ok" or previous is None:
        return tick
    canary, baseline = sorted(set(cohort)), sorted(set(targets) - set(cohort))
    known = {name: delta(previous.targets.get(name), now.targets.get(name)) for name in targets}
    seen = [known[name] for name in baseline]
    tick["canary"] = _arm(known[name] for name in canary)
    tick["baseline"] = _arm(seen)
    tick["baseline_targets"] = [(one.requests, one.errors) for one in seen if one is not None]
    tick["targets"] = {
        name: now.targets[name].healthy if name in now.targets else None for name in canary
    }
    if fleet:
        up = sum(name in now.targets and now.targets[name].healthy is True for name in targets)
        tick["fleet"] = {"healthy": up, "targets": len(targets)}
    return tick


def delta(previous: TargetCounters | None, now: TargetCounters | None) -> TargetCounters | None:
    """What one target did between two readings; None when it is missing now.

    A counter below its former value began again: all of it is new. A target that was not known
    before has no beginning to count from, so it counts from the next reading on.
    """
    if now is None:
        return None
    if previous is None:
        return TargetCounters(
            requests=0, errors=0, slow=0, buckets=(0,) * len(now.buckets), healthy=now.healthy
        )
    restarted = (
        now.requests < previous.requests
        or now.errors < previous.errors
        or now.slow < previous.slow
        or len(now.buckets) != len(previous.buckets)
        or any(new < old for new, old in zip(now.buckets, previous.buckets, strict=True))
    )
    if restarted:
        return now
    return TargetCounters(
        requests=now.requests - previous.requests,
        errors=now.errors - previous.errors,
        slow=now.slow - previous.slow,
        buckets=tuple(new - old for new, old in zip(now.buckets, previous.buckets, strict=True)),
        healthy=now.healthy,
    )


def _arm(deltas: Iterable[TargetCounters | None]) -> dict[str, int] | None:
    """The counts of one arm; None when no target of it is in the metrics."""
    known = [one for one in deltas if one is not None]
    if not known:
        return None
    requests = sum(one.requests for one in known)
    # Counters of one target are not read in one instant: an error may be counted before its
    # request. There are never more errors than requests.
    return {
        "requests": requests,
        "errors": min(requests, sum(one.errors for one in known)),
        "slow": min(requests, sum(one.slow for one in known)),
    }


def samples_between(
    previous: Reading | None,
    now: Reading,
    *,
    run_id: str,
    step: str,
    attempt: int,
    cohort: Sequence[str],
    targets: Sequence[str],
    digests: Mapping[str, Digest | None],
) -> tuple[Sample, ...]:
    """One row per target. Empty without an ok reading: a gap in the data stays a gap."""
    if previous is None or now.status is not ReadingStatus.OK:
        return ()
    inside = set(cohort)
    rows = []
    for name in sorted(targets):
        one = delta(previous.targets.get(name), now.targets.get(name))
        digest = digests.get(name)
        rows.append(
            Sample(
                ts_us=now.at_us,
                run_id=run_id,
                step=step,
                attempt=attempt,
                target=name,
                arm="canary" if name in inside else "baseline",
                requests=0 if one is None else one.requests,
                errors=0 if one is None else one.errors,
                slow=0 if one is None else one.slow,
                p95_ms=None if one is None else p95_ms(one.buckets),
                healthy=None if one is None else one.healthy,
                digest=None if digest is None else str(digest),
            )
        )
    return tuple(rows)


def p95_ms(buckets: Sequence[int]) -> int | None:
    """Upper bound of the bucket that the 95th percentile falls into; None without requests.

    In the open last bucket it is the highest bound, which is then a lower estimate.
    """
    wanted = -(-sum(buckets) * _P95[0] // _P95[1])
    if not wanted:
        return None
    below = 0
    for i, count in enumerate(buckets):
        below += count
        if below >= wanted:
            return LATENCY_BOUNDS_MS[min(i, len(LATENCY_BOUNDS_MS) - 1)]
    raise AssertionError("the buckets sum to at least what was wanted")


# --- stored form ------------------------------------------------------------------------------


def encode(tick: Mapping[str, Any]) -> str:
    """A tick as canonical JSON, times in milliseconds. `decode` gives an equal tick back."""
    stored = {name: value for name, value in tick.items() if name != "t"}
    stored["t_ms"] = round(tick["t"] * 1000)
    return canonical(stored).decode()


def decode(text: str) -> dict[str, Any]:
    """Read a stored tick or mark. Raises `Malformed`."""
    try:
        stored = json.loads(text)
    except ValueError as error:
        raise Malformed(f"expected JSON, {error}", where="stored tick") from None
    if not isinstance(stored, dict):
        raise Malformed(f"expected an object, found {text[:60]}", where="stored tick")
    t_ms = stored.pop("t_ms", None)
    if type(t_ms) is not int:
        raise Malformed(f"expected t_ms as a whole number, found {t_ms!r}", where="stored tick")
    if "baseline_targets" in stored:
        stored["baseline_targets"] = [tuple(pair) for pair in stored["baseline_targets"] or ()]
    return stored | {"t": t_ms / 1000}


def start_mark(
    criteria: Criteria,
    *,
    poll_ms: int,
    history: Sequence[Sequence[tuple[int, int]]],
    history_note: str,
    carry: Mapping[str, JsonValue] | None,
) -> str:
    """How a watch begins: everything that its gate is made of, the edition of its rules too."""
    return canonical(
        {
            "mark": START,
            "t_ms": 0,
            "edition": EDITION,
            "poll_ms": poll_ms,
            "criteria": criteria.document(),
            "criteria_digest": str(criteria.digest),
            "history": [[list(cell) for cell in tick] for tick in history],
            "history_note": history_note,
            "carry": carry,
        }
    ).decode()


def resume_mark(t_ms: int, why: str) -> str:
    return canonical({"mark": RESUME, "t_ms": t_ms, "why": why}).decode()


def edition_of(mark: str) -> int | None:
    """The edition of the gate's rules that a start mark names; None = it was not recorded yet."""
    edition = decode(mark).get("edition")
    if edition is None or type(edition) is int:
        return edition
    raise Malformed(f"expected a whole number, found {edition!r}", where="start mark: edition")


def gate_of(mark: str, *, unnamed: int = EDITION) -> Gate:
    """The gate that a start mark describes, before its first tick.

    Args:
        unnamed: the edition to judge by when the mark names none.

    Raises:
        Malformed: the mark cannot be read, or its edition is not known here.
    """
    stored, edition = decode(mark), edition_of(mark)
    if stored.get("mark") != START:
        raise Malformed(f"expected a start mark, found {mark[:60]}", where="stored tick")
    history, poll_ms = history_of(mark), stored.get("poll_ms")
    if type(poll_ms) is not int or poll_ms < 1:
        raise Malformed(f"expected milliseconds, found {poll_ms!r}", where="start mark: poll_ms")
    criteria = criteria_from_document(stored.get("criteria"))
    if str(criteria.digest) != stored.get("criteria_digest"):
        raise Malformed(
            f"expected {criteria.digest}, found {stored.get('criteria_digest')}",
            where="start mark: criteria_digest",
        )
    return new_gate(
        criteria,
        history,
        poll_ms / 1000,
        carry=stored.get("carry"),
        edition=unnamed if edition is None else edition,
    )


def history_of(mark: str) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The history that a start mark holds, oldest first."""
    stored = decode(mark).get("history")
    try:
        history = tuple(tuple((int(n), int(e)) for n, e in tick) for tick in stored or ())
    except (TypeError, ValueError):
        raise Malformed("expected (requests, errors) pairs", where="start mark: history") from None
    if any(not 0 <= e <= n for tick in history for n, e in tick):
        raise Malformed("expected errors within requests", where="start mark: history")
    return history


# --- replay -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What the gate answers to a stored row now. `same` compares with what it answered then."""

    row: GateTick
    action: str
    rule: int
    reason: str
    restarts: int
    evidence: dict[str, JsonValue] = field(repr=False)

    @property
    def same(self) -> bool:
        return (self.action, self.rule) == (self.row.action, self.row.rule)


def is_mark(row: GateTick) -> bool:
    return row.action in {START, RESUME}


def rebuild(rows: Sequence[GateTick]) -> Gate:
    """The gate as it stood after `rows`, which begin with a start mark, in order of recording."""
    gate = _begin(rows)
    for row in rows[1:]:
        feed(gate, row)
    return gate


def replay(rows: Sequence[GateTick], *, unnamed: int = EDITION) -> tuple[Replayed, ...]:
    """Judge stored ticks again, one answer per tick; marks are taken in and answer nothing.

    Empty for no rows. `unnamed` as of `gate_of`.
    """
    if not rows:
        return ()
    gate = _begin(rows, unnamed)
    answers = []
    for row in rows[1:]:
        feed(gate, row)
        if not is_mark(row):
            answers.append(
                Replayed(
                    row=row,
                    action=gate.action,
                    rule=gate.rule,
                    reason=gate.reason,
                    restarts=len(gate.clock.restarts),
                    evidence=gate.evidence,
                )
            )
    return tuple(answers)


def _begin(rows: Sequence[GateTick], unnamed: int = EDITION) -> Gate:
    if not rows:
        raise Malformed("expected a start mark, found no row", where="stored ticks")
    return gate_of(rows[0].tick, unnamed=unnamed)


def feed(gate: Gate, row: GateTick) -> None:
    """Give the gate a stored tick or resume mark. Raises `Malformed`."""
    tick = decode(row.tick)
    match tick.get("mark"):
        case None:
            gate.observe(tick)
        case "resume":
            gate.resume(tick["t"])
        case other:
            raise Malformed(
                f"expected a tick or a resume mark at {row.t_ms} ms, found {other!r}",
                where=f"stored ticks of {row.run_id} {row.step}",
            )


def series_digest(rows: Iterable[GateTick]) -> Digest:
    """SHA-256 over the stored texts of the rows, a newline behind each."""
    return Digest.of("".join(f"{row.tick}\n" for row in rows).encode())
