"""Proof that a stage's stored ticks give the recorded answers again, or the first place they don't.

Three things were recorded of every decision: the answer in the tick's own row, the event that the
run acted on, and the evidence that was sealed. All three are compared with what the gate says
today, under the edition of its rules that the watch began with. No tolerance: evidence values are
compared as the texts that were sealed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core import ticks
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.fact_events import GateDecided
from engine.core.health_editions import EDITION, UNNAMED
from engine.core.jcs import JsonValue
from engine.core.rows import GateTick

# Sentences and words may be put better by a later version; the numbers behind them may not change.
_WORDING: Final = frozenset({"reason", "word", "cause"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Attributes:
    t_ms: since the watch began.
    what: a JSON pointer into what was recorded, or a sentence's subject.
    """

    attempt: int
    n: int
    t_ms: int
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"attempt {self.attempt}, tick {self.n} at {self.t_ms / 1000:g} s: {self.what}: "
            f"expected {self.expected}, found {self.found}"
        )

    def document(self) -> dict[str, JsonValue]:
        return {
            "attempt": self.attempt,
            "n": self.n,
            "t_ms": self.t_ms,
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReplay:
    """One watch, judged again.

    Attributes:
        attempts: first and last attempt whose ticks are in it.
        ticks, decisions: how many were compared.
        series: digest of the stored texts.
        edition: of the gate's rules that the answers below were judged by; `named`: the recording
            says that it is its own. Else it is the one that gives the recorded answers, if any.
        differences: all of them, oldest first; the first is the one to look at.
    """

    step: str
    attempts: tuple[int, int]
    ticks: int
    decisions: int
    series: Digest
    edition: int
    named: bool
    action: str
    rule: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        return not self.differences

    def sentence(self) -> str:
        """`214 stored ticks and 4 decisions replay to the same answers`, or which do not."""
        if self.differences:
            more = len(self.differences) - 1
            others = f" ({more} more)" if more else ""
            return f"NOT the same: {self.differences[0]}{others}"
        counted = f"{self.ticks} stored tick{'' if self.ticks == 1 else 's'}"
        if self.decisions:
            counted += f" and {self.decisions} decision{'' if self.decisions == 1 else 's'}"
        return f"{counted} replay to the same answers{self._by()}"

    def _by(self) -> str:
        """Which rules that is true of, where it is not plain."""
        if self.named:
            return "" if self.edition == EDITION else f" by edition {self.edition} of the rules"
        return f"; recorded before editions were, they are those of edition {self.edition}"

    def document(self) -> dict[str, JsonValue]:
        return {
            "step": self.step,
            "attempts": list(self.attempts),
            "ticks": self.ticks,
            "decisions": self.decisions,
            "series": str(self.series),
            "edition": self.edition,
            "edition_recorded": self.named,
            "action": self.action,
            "rule": self.rule,
            "same": self.same,
            "differences": [one.document() for one in self.differences],
        }


def watches(rows: Iterable[GateTick]) -> tuple[tuple[GateTick, ...], ...]:
    """Cut all rows of a step, in order of recording, into watches: each begins with its mark.

    Raises:
        Malformed: rows stand before the first mark.
    """
    cut: list[list[GateTick]] = []
    for row in rows:
        if row.action == ticks.START:
            cut.append([])
        elif not cut:
            raise Malformed(
                f"expected the mark of a watch, found a row at {row.t_ms} ms",
                where=f"stored ticks of {row.run_id} {row.step}",
            )
        cut[-1].append(row)
    return tuple(tuple(rows) for rows in cut)


def replay_watch(
    rows: Sequence[GateTick],
    decisions: Sequence[GateDecided] = (),
    evidence: Mapping[Digest, Mapping[str, Any] | None] | None = None,
) -> GateReplay:
    """Judge one watch again.

    Args:
        rows: of one watch, from its start mark on.
        decisions: the step's decision events of these attempts.
        evidence: the evidence documents by digest; None in it = the bytes are gone.

    Raises:
        Malformed: the rows cannot be read as ticks, or of an edition that is not known here.
    """
    edition = ticks.edition_of(rows[0].tick)
    if edition is not None:
        return _under(edition, rows, decisions, evidence, named=True)
    tried = (_under(one, rows, decisions, evidence, named=False) for one in UNNAMED)
    first = next(tried)
    return first if first.same else next((one for one in tried if one.same), first)


def _under(
    edition: int,
    rows: Sequence[GateTick],
    decisions: Sequence[GateDecided],
    evidence: Mapping[Digest, Mapping[str, Any] | None] | None,
    *,
    named: bool,
) -> GateReplay:
    answers = ticks.replay(rows, unnamed=edition)
    differences = [
        Difference(
            attempt=one.row.attempt,
            n=one.row.n,
            t_ms=one.row.t_ms,
            what="answer",
            expected=f"{one.row.action} by rule {one.row.rule}",
            found=f"{one.action} by rule {one.rule}",
        )
        for one in answers
        if not one.same
    ]
    by_time = {(one.row.attempt, one.row.t_ms): one for one in answers}
    for decision in decisions:
        answer = by_time.get((decision.attempt, decision.t_ms))
        differences += _decision(decision, answer, rows, evidence)
    differences.sort(key=lambda one: (one.t_ms, one.n))
    last = answers[-1] if answers else None
    return GateReplay(
        step=rows[0].step,
        attempts=(rows[0].attempt, rows[-1].attempt),
        ticks=len(answers),
        decisions=len(decisions),
        series=ticks.series_digest(rows),
        edition=edition,
        named=named,
        action="" if last is None else last.action,
        rule=0 if last is None else last.rule,
        differences=tuple(differences),
    )


def _decision(
    decision: GateDecided,
    answer: ticks.Replayed | None,
    rows: Sequence[GateTick],
    evidence: Mapping[Digest, Mapping[str, Any] | None] | None,
) -> list[Difference]:
    def differs(what: str, expected: str, found: str) -> Difference:
        return Difference(
            attempt=decision.attempt,
            n=0 if answer is None else answer.row.n,
            t_ms=decision.t_ms,
            what=what,
            expected=expected,
            found=found,
        )

    said = f"{decision.action} by rule {decision.rule}"
    if answer is None:
        return [differs("decision", said, "no stored tick at that time")]
    if (decision.action, decision.rule) != (answer.action, answer.rule):
        return [differs("decision", said, f"{answer.action} by rule {answer.rule}")]
    if evidence is None:
        return []
    document = evidence.get(decision.evidence)
    if document is None:
        return [differs("evidence", str(decision.evidence), "its bytes are gone")]
    until = [row for row in rows if row.t_ms <= decision.t_ms]
    series = document.get("series", {})
    now = {"rows": len(until), "digest": str(ticks.series_digest(until))}
    return [
        differs(*found)
        for found in (
            *_unlike("/decision", document.get("decision"), answer.evidence),
            *_unlike("/series", series, now),
        )
    ]


def _unlike(at: str, recorded: Any, now: Any) -> list[tuple[str, str, str]]:
    """Where `now` lacks or contradicts what was recorded, as (pointer, expected, found).

    A key that only `now` has is no contradiction: later versions may say more.
    """
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        found: list[tuple[str, str, str]] = []
        for name, value in recorded.items():
            if name in _WORDING:
                continue
            if name not in now:
                found.append((f"{at}/{name}", _short(value), "nothing"))
            else:
                found += _unlike(f"{at}/{name}", value, now[name])
        return found
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        pairs = enumerate(zip(recorded, now, strict=True))
        return [one for i, (a, b) in pairs for one in _unlike(f"{at}/{i}", a, b)]
    return [] if recorded == now else [(at, _short(recorded), _short(now))]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
