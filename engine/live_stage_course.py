"""The course of one watch: every stored tick as the gate judges it today, point by point. Pure.

A page draws what the gate thought at each poll, which the stored rows do not say: how long the
criteria had held, how much evidence there was. The gate is asked again. Doing that from the first
tick at every poll would cost more with every poll, so a reader keeps the gate where it stands and
feeds it only the rows that are new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core import ticks
from engine.core.digest import Digest
from engine.core.fact_events import GateDecided
from engine.core.gate_replay import Difference, GateReplay
from engine.core.health import Gate
from engine.core.health_criteria import Criteria
from engine.core.health_editions import EDITION, UNNAMED
from engine.core.health_evidence import History
from engine.core.rows import GateTick


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Counts of one arm."""

    requests: int = 0
    errors: int = 0
    slow: int = 0

    def plus(self, other: Arm | None, sign: int = 1) -> Arm:
        if other is None:
            return self
        return Arm(
            requests=self.requests + sign * other.requests,
            errors=self.errors + sign * other.errors,
            slow=self.slow + sign * other.slow,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One tick: what was counted, what was answered, and what the gate knew behind it.

    Attributes:
        ok: the source answered and knew the stage's targets. Else the counts are unknown, not 0.
        window: canary counts over the criteria's window up to here; `base_window` the baseline's.
        held_ms: how long the criteria had held without a break.
        evidence: log10 of every evidence value, by its name in the gate's evidence.
        up, expected: targets of the cohort that answer, and all of them.
    """

    t_ms: int
    ts_us: int
    ok: bool
    note: str
    canary: Arm | None
    baseline: Arm | None
    health: Mapping[str, bool | None]
    action: str
    rule: int
    reason: str
    window: Arm
    base_window: Arm
    held_ms: int
    evidence: Mapping[str, float]
    up: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The stage's clock began again, and why; `lost_ms` is what it had held until then."""

    ts_us: int
    reason: str
    lost_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One planned look of a judge that does not speak at every poll.

    Attributes:
        number: within its plan, from 1 on; a number that is not higher begins another plan.
        line, suspect: the z that this look had to reach, to roll back and to hold.
        z: by name as in the gate's evidence.
    """

    ts_us: int
    number: int
    line: float
    suspect: float
    z: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A watch up to its newest row. Immutable: what one viewer draws, nobody changes.

    Attributes:
        rows: how many stored rows it rests on, marks included.
        history: (requests, errors) per target and poll before the first change, oldest first.
        resumes: when the run went on after a pause.
        looks: of a judge that looks a planned number of times, oldest first.
        word, trigger, held_ms, evidence: the gate's own, after the newest tick.
        differences: ticks that are answered otherwise today than they were then.
        series: digest over the stored texts, as in the sealed evidence.
        edition, named: of the gate's rules, as in `GateReplay`.
    """

    step: str
    attempts: tuple[int, int]
    rows: int
    criteria: Criteria
    poll_ms: int
    history: History
    history_note: str
    points: tuple[Point, ...]
    restarts: tuple[Restart, ...]
    resumes: tuple[int, ...]
    looks: tuple[Look, ...]
    word: str
    trigger: str
    held_ms: int
    evidence: Mapping[str, Any]
    differences: tuple[Difference, ...]
    series: Digest
    edition: int
    named: bool

    @property
    def last(self) -> Point:
        return self.points[-1]

    def replayed(self, decisions: Sequence[GateDecided]) -> GateReplay:
        """Whether the stored ticks give the recorded answers again.

        Args:
            decisions: the step's decision events; those of other watches are left out.
        """
        answers = {p.t_ms: (p.action, p.rule) for p in self.points}
        first, last = self.attempts
        mine = [d for d in decisions if d.step == self.step and first <= d.attempt <= last]
        wrong = [
            Difference(
                attempt=d.attempt,
                n=0,
                t_ms=d.t_ms,
                what="decision",
                expected=f"{d.action} by rule {d.rule}",
                found=_said(answers.get(d.t_ms)),
            )
            for d in mine
            if answers.get(d.t_ms) != (d.action, d.rule)
        ]
        return GateReplay(
            step=self.step,
            attempts=self.attempts,
            ticks=len(self.points),
            decisions=len(mine),
            series=self.series,
            edition=self.edition,
            named=self.named,
            action=self.last.action,
            rule=self.last.rule,
            differences=(*self.differences, *wrong),
        )


def _said(answer: tuple[str, int] | None) -> str:
    if answer is None:
        return "no stored tick at that time"
    return f"{answer[0]} by rule {answer[1]}"


class CourseReader:
    """Follows the rows of one watch. Not thread-safe; what it returns is."""

    def __init__(self) -> None:
        self._unnamed = EDITION
        self._forget()

    def _forget(self) -> None:
        self._rows: list[GateTick] = []
        self._gate: Gate | None = None
        self._points: list[Point] = []
        self._restarts: list[Restart] = []
        self._resumes: list[int] = []
        self._looks: list[Look] = []
        self._differences: list[Difference] = []
        self._series = hashlib.sha256()
        self._sum = Arm()
        self._oldest = 0  # first point that is still in the window
        self._course: Course | None = None

    def follow(self, rows: Sequence[GateTick]) -> Course | None:
        """The course up to the last of `rows`; None before its first tick.

        Args:
            rows: all of the watch, from its start mark on. When they do not go on from what was
                followed before, everything is read anew.

        Raises:
            Malformed: the rows do not begin with a start mark, or cannot be read.
        """
        known = len(self._rows)
        if len(rows) < known or (known and rows[known - 1] != self._rows[-1]):
            self._unnamed, known = EDITION, 0
            self._forget()
        if len(rows) > known:
            self._read(rows[known:])
            if self._differences and ticks.edition_of(rows[0].tick) is None:
                self._read_otherwise(rows)
        return self._course

    def _read(self, rows: Sequence[GateTick]) -> None:
        try:
            for row in rows:
                self._take(row)
        except Exception:
            self._forget()
            raise
        self._course = self._made() if self._points else None

    def _read_otherwise(self, rows: Sequence[GateTick]) -> None:
        """A mark without an edition may stand for an older one: that one counts when it fits."""
        first = self._unnamed
        for edition in (*(one for one in UNNAMED if one != first), first):
            self._unnamed = edition
            self._forget()
            self._read(rows)
            if not self._differences:
                return

    def _take(self, row: GateTick) -> None:
        gate = self._gate
        if gate is None:
            gate = self._gate = ticks.gate_of(row.tick, unnamed=self._unnamed)
        else:
            held_ms = gate.clock.held_ms
            restarts = len(gate.clock.restarts)
            ticks.feed(gate, row)
            for _, cause in gate.clock.restarts[restarts:]:
                self._restarts.append(Restart(ts_us=row.ts_us, reason=cause, lost_ms=held_ms))
            if ticks.is_mark(row):
                self._resumes.append(row.ts_us)
            else:
                self._judged(gate, row)
        self._rows.append(row)
        self._series.update(f"{row.tick}\n".encode())

    def _judged(self, gate: Gate, row: GateTick) -> None:
        evidence = gate.evidence
        point = _point(row, evidence)
        self._points.append(point)
        self._looks += _new_looks(evidence, row)
        self._sum = self._sum.plus(point.canary)
        while self._points[self._oldest].t_ms <= point.t_ms - gate.criteria.window_ms:
            self._sum = self._sum.plus(self._points[self._oldest].canary, -1)
            self._oldest += 1
        self._points[-1] = replace(
            point, window=self._sum, held_ms=min(gate.clock.held_ms, gate.criteria.hold_ms)
        )
        if (gate.action, gate.rule) != (row.action, row.rule):
            self._differences.append(
                Difference(
                    attempt=row.attempt,
                    n=row.n,
                    t_ms=row.t_ms,
                    what="answer",
                    expected=f"{row.action} by rule {row.rule}",
                    found=f"{gate.action} by rule {gate.rule}",
                )
            )

    def _made(self) -> Course:
        gate, first = self._gate, self._rows[0]
        assert gate is not None
        mark = ticks.decode(first.tick)
        return Course(
            step=first.step,
            attempts=(first.attempt, self._rows[-1].attempt),
            rows=len(self._rows),
            criteria=gate.criteria,
            poll_ms=int(mark["poll_ms"]),
            history=ticks.history_of(first.tick),
            history_note=str(mark.get("history_note", "")),
            points=tuple(self._points),
            restarts=tuple(self._restarts),
            resumes=tuple(self._resumes),
            looks=tuple(self._looks),
            word=gate.word.value,
            trigger=gate.trigger.value,
            held_ms=min(gate.clock.held_ms, gate.criteria.hold_ms),
            evidence=gate.evidence,
            differences=tuple(self._differences),
            series=Digest(self._series.hexdigest()),
            edition=gate.edition,
            named=ticks.edition_of(first.tick) is not None,
        )


def course_of(rows: Iterable[GateTick]) -> Course | None:
    """The course of a watch, read once."""
    return CourseReader().follow(tuple(rows))


def _point(row: GateTick, evidence: Mapping[str, Any]) -> Point:
    body = json.loads(row.tick)
    health = evidence["health"]
    return Point(
        t_ms=row.t_ms,
        ts_us=row.ts_us,
        ok=body["status"] == "ok" and body["canary"] is not None,
        note=body["note"],
        canary=_arm(body["canary"]),
        baseline=_arm(body["baseline"]),
        health=body["targets"] or {},
        action=row.action,
        rule=row.rule,
        reason=row.reason,
        window=Arm(),
        base_window=_arm(evidence["window"]["baseline"]) or Arm(),
        held_ms=0,
        evidence={name: float(value["log10"]) for name, value in evidence["e_values"].items()},
        up=health["up"],
        expected=health["expected"],
    )


def _new_looks(evidence: Mapping[str, Any], row: GateTick) -> tuple[Look, ...]:
    """The look that was made with this tick, if one was."""
    looks = evidence.get("judge", {}).get("looks", [])
    if not looks or looks[-1]["t_ms"] != row.t_ms:
        return ()
    newest = looks[-1]
    return (
        Look(
            ts_us=row.ts_us,
            number=newest["look"],
            line=float(newest["line"]),
            suspect=float(newest["suspect_line"]),
            z={name: float(z) for name, z in newest["z"].items()},
        ),
    )


def _arm(body: Mapping[str, int] | None) -> Arm | None:
    if body is None:
        return None
    return Arm(
        requests=int(body.get("requests", 0)),
        errors=int(body.get("errors", 0)),
        slow=int(body.get("slow", 0)),
    )
