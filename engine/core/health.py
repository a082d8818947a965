"""The health gate of a deploy stage: hold, promote, pause or roll back, tick by tick. Pure.

No clock, no I/O, no chance: the same criteria, history and ticks give the same answers, so that a
decision can be replayed from what was stored. The numbered rows below are the gate's table; the
first that matches answers. Silence (row 1) is neither health nor illness: it holds, and pauses
when it lasts, and never rolls back. What carries which row lives next door: `health_criteria`,
`health_parse`, `health_evidence`, `health_judges`, `health_looks`, `health_ranks`, `health_probes`,
`health_tick`, `health_stage`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from engine.core.burn import history_state
from engine.core.errors import Malformed
from engine.core.health_criteria import (
    DEFAULT_CRITERIA,
    PLANNED,
    Criteria,
    criteria_from_document,
    duration,
    shown,
)
from engine.core.health_editions import EDITION, Rules, rules_of
from engine.core.health_evidence import (
    HISTORY_MS_MIN,
    History,
    dispersion,
    e_text,
    level_dispersion,
    whole_fleet,
)
from engine.core.health_judges import Judges, log_line
from engine.core.health_looks import PlannedLooks
from engine.core.health_parse import parse_gate
from engine.core.health_stage import SHUT_ROW, Answer, Stage, answered
from engine.core.health_tick import Tick, Window, pairs, read_tick, time_ms
from engine.core.jcs import JsonValue

__all__ = [
    "DEFAULT_CRITERIA",
    "Clock",
    "Criteria",
    "Gate",
    "GateWord",
    "Trigger",
    "criteria_from_document",
    "new_gate",
    "parse_gate",
]


class GateWord(StrEnum):
    """What a page says of the stage in one word."""

    WARMING_UP = "WARMING_UP"
    OK = "OK"
    AT_RISK = "AT_RISK"
    BREACHED = "BREACHED"
    NO_DATA = "NO_DATA"


class Trigger(StrEnum):
    """State of the automatic rollback. ARMED: beyond the suspect line, or counting seconds."""

    NOT_TRIGGERED = "NOT_TRIGGERED"
    ARMED = "ARMED"
    TRIGGERED = "TRIGGERED"
    SUPPRESSED = "SUPPRESSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Attributes:
    held_ms: how long the criteria have held without a break.
    restarts: (time, cause) of every restart of a running clock, oldest first.
    """

    held_ms: int
    needed_ms: int
    restarts: tuple[tuple[int, str], ...]


_WORD_OF_ROW: Final = {
    1: GateWord.NO_DATA,
    3: GateWord.BREACHED,
    4: GateWord.BREACHED,
    5: GateWord.BREACHED,
    6: GateWord.BREACHED,
    7: GateWord.AT_RISK,
    8: GateWord.AT_RISK,
    9: GateWord.WARMING_UP,
    10: GateWord.OK,
    12: GateWord.AT_RISK,
    SHUT_ROW: GateWord.OK,
}
_FINAL: Final = frozenset({"promote", "rollback"})
_STICKY: Final = _FINAL | {"pause"}
_RESUMED: Final = "went on after a pause"
_GAP_POLLS_MAX: Final = 2


def word_of_row(row: int) -> GateWord:
    """What a row of the gate's table amounts to; 0 = before the first answer."""
    return _WORD_OF_ROW.get(row, GateWord.WARMING_UP)


def new_gate(
    criteria: Criteria | Mapping[str, Any],
    history: History | None,
    poll_s: float,
    *,
    carry: Mapping[str, JsonValue] | None = None,
    edition: int = EDITION,
) -> Gate:
    """A gate for one stage.

    Args:
        criteria: or a workflow's `gate` mapping, which is parsed.
        history: (requests, errors) per target on the old version and poll, oldest first; None or
            less than 30 s = none is used, and the noise factor is 1.
        carry: `Gate.carry` of the stage before, when its evidence goes on.
        edition: of the rules; an older one only for what was recorded under it.

    Raises:
        Malformed: names what is not as described.
    """
    read = criteria if isinstance(criteria, Criteria) else parse_gate(criteria)
    poll_ms = time_ms(poll_s, "poll_s")
    if poll_ms < 1:
        raise Malformed(f"expected seconds above 0, found {shown(poll_s)}", where="poll_s")
    if not isinstance(carry, Mapping | None):
        raise Malformed(f"expected a mapping, found {shown(carry)}", where="carried evidence")
    carried = carry if read.carry_evidence else None
    return Gate(read, history or (), poll_ms, carried, rules_of(edition))


class Gate:
    """Judges one stage. `observe` is the only thing that changes it, besides `resume`.

    Attributes:
        edition: of the rules that it judges by.
    """

    def __init__(
        self,
        criteria: Criteria,
        history: History,
        poll_ms: int,
        carry: Mapping[str, JsonValue] | None,
        rules: Rules,
    ) -> None:
        self.criteria, self._poll_ms, self.edition = criteria, poll_ms, rules.edition
        asked = max(1, criteria.history_ms // poll_ms)
        kept = [tuple(pairs(tick, "history")) for tick in tuple(history)[-asked:]]
        self._history = kept if len(kept) * poll_ms >= HISTORY_MS_MIN else []
        self._phi = self._phi_limit = 1.0
        if self._history:
            windows_ms = criteria.dispersion_windows_ms
            self._phi = dispersion(self._history, poll_ms=poll_ms, windows_ms=windows_ms)
            level = level_dispersion(self._history, poll_ms=poll_ms, windows_ms=windows_ms)
            self._phi_limit = max(self._phi, level) if rules.level_noise else self._phi
        self._before = whole_fleet(self._history) if criteria.baseline == "history" else []
        self._carried = carry is not None
        judges = Judges(criteria, self._phi, self._phi_limit, carry, rules)
        looks = None
        if criteria.method in PLANNED:
            looks = PlannedLooks(criteria, self._phi, self._phi_limit)
        self._stage = Stage(criteria, poll_ms, self._phi, judges, looks, rules)
        self._ticks = self._used = self._last_ok_ms = 0
        self._answer = Answer(action="hold", rule=0, reason="no tick yet", row=0)
        self._late = False

    # --- the face ---------------------------------------------------------------------------

    def observe(self, tick: Mapping[str, Any]) -> str:
        """Take in one tick and answer continue, hold, promote, rollback or pause.

        A rollback, a promotion or a pause stays the answer, whatever comes after it.
        """
        stage = self._stage
        seen = read_tick(tick, parts=self.criteria.method == "mann_whitney")
        if self.action in _STICKY:
            return self.action
        self._late = seen.t_ms <= stage.t_ms
        if self._late:  # row 0
            return "hold"
        gap_ms = seen.t_ms - stage.t_ms if self._ticks else 0
        self._ticks += 1
        stage.t_ms, stage.opening = seen.t_ms, seen.opening
        self._answer = self._no_data(seen) or self._judged(seen, gap_ms)
        return self.action

    def resume(self, t: float) -> None:
        """Go on after a pause, at `t` seconds: the clock starts again, the evidence stays.

        Only what proved a fleet-wide fault (row 5) has to be proven anew: with the old proof the
        stage would pause again at once, whatever became of the fleet. Nothing happens after a
        rollback or a promotion: they are final.
        """
        if self.action in _FINAL:
            return
        t_ms = max(time_ms(t, "t"), self._stage.t_ms)
        self._last_ok_ms = t_ms
        self._stage.resume(t_ms, _RESUMED, limits_too=self._answer.rule == 5)
        self._late = False
        self._answer = Answer(action="hold", rule=0, reason=_RESUMED, row=0)

    @property
    def action(self) -> str:
        return self._answer.action

    @property
    def rule(self) -> int:
        """Row of the table behind the last answer; 0 = a late tick, or none yet."""
        return 0 if self._late else self._answer.rule

    @property
    def reason(self) -> str:
        return "late or repeated tick, ignored" if self._late else self._answer.reason

    @property
    def word(self) -> GateWord:
        if self._ticks <= 1 and self._answer.row in {0, 10}:
            return GateWord.WARMING_UP
        return word_of_row(self._answer.row)

    @property
    def trigger(self) -> Trigger:
        if self.action == "rollback":
            return Trigger.TRIGGERED
        stage = self._stage
        suspect = stage.judge.proves("errors", "relative", self.criteria.alpha_hold_ppm)
        if suspect and not self.criteria.rollback_worse:
            return Trigger.SUPPRESSED  # by the workflow, which does not list the rule
        if suspect or stage.low_from_ms is not None or stage.slow_from_ms is not None:
            return Trigger.ARMED
        return Trigger.NOT_TRIGGERED

    @property
    def clock(self) -> Clock:
        return Clock(
            held_ms=self._stage.held_ms,
            needed_ms=self.criteria.hold_ms,
            restarts=tuple(self._stage.restarts),
        )

    def carry(self) -> dict[str, JsonValue]:
        """The evidence for the stage after this one, as JSON without floats."""
        return self._stage.judges.carry()

    @property
    def evidence(self) -> dict[str, JsonValue]:
        """What the last answer rests on, as JSON without floats."""
        answer, stage = self._answer, self._stage
        probes, before = stage.probes, stage.totals_baseline
        return {
            "action": answer.action,
            "rule": answer.rule,
            "row": answer.row,
            "reason": answer.reason,
            "word": self.word.value,
            "trigger": self.trigger.value,
            "t_ms": max(stage.t_ms, 0),
            "ticks": self._ticks,
            "criteria": str(self.criteria.digest),
            "thresholds": self.criteria.document(),
            "window": _edges(stage.window),
            "last_30s": _edges(stage.short),
            "canary": stage.totals.document(),
            "baseline": {
                "kind": self.criteria.baseline if before.requests else "none",
                **before.document(),
            },
            "health": {
                "expected": probes.expected,
                "healthy": probes.expected - len(probes.sick),
                "up": probes.up,
                "unhealthy": probes.sick,
                **self._fleet(),
            },
            "e_values": stage.judges.document(),
            "e_lines": {
                "rollback": e_text(log_line(self.criteria.alpha_ppm)),
                "suspect": e_text(log_line(self.criteria.alpha_hold_ppm)),
            },
            "evidence_carried": self._carried,
            **({} if stage.looks is None else {"judge": stage.looks.document()}),
            "phi": f"{self._phi:.6f}",
            "phi_limit": f"{self._phi_limit:.6f}",
            "history": {
                "asked_ms": self.criteria.history_ms,
                "used_ms": len(self._history) * self._poll_ms,
                "targets": max((len(tick) for tick in self._history), default=0),
            },
            "env_guard": self._guard(),
            **({} if stage.opening is None else {"opening": stage.opening.document()}),
            "clock": {
                "held_ms": stage.held_ms,
                "needed_ms": self.criteria.hold_ms,
                "restarts": [{"t_ms": t_ms, "cause": cause} for t_ms, cause in stage.restarts],
            },
        }

    def _no_data(self, seen: Tick) -> Answer | None:
        """Row 1."""
        if seen.usable:
            return None
        what = seen.note or (
            "the stage's targets are missing" if seen.status == "ok" else seen.status
        )
        self._stage.unseen(f"no data: {what}")
        silent_ms = seen.t_ms - self._last_ok_ms
        if silent_ms >= self.criteria.no_data_ms:
            return answered(1, "pause", f"no data for {duration(silent_ms)}: {what}")
        return answered(1, "hold", f"no data: {what}")

    def _judged(self, seen: Tick, gap_ms: int) -> Answer:
        canary, baseline = seen.canary, seen.baseline
        assert canary is not None  # `usable`
        if gap_ms > _GAP_POLLS_MAX * self._poll_ms:  # row 2, which goes on to row 3
            self._stage.unseen(f"no tick for {duration(gap_ms)}")
        if self.criteria.baseline == "history":
            baseline = self._before[self._used] if self._used < len(self._before) else None
            self._used += 1
        self._last_ok_ms = seen.t_ms
        self._stage.fleet = seen.fleet
        self._stage.take_in(canary, baseline, seen.targets, seen.parts)
        return self._stage.answer()

    def _fleet(self) -> dict[str, JsonValue]:
        if not self.criteria.fleet_share_bp_min:
            return {}
        seen = self._stage.fleet
        return {"fleet": None if seen is None else {"healthy": seen[0], "targets": seen[1]}}

    def _guard(self) -> list[JsonValue]:
        """What the environment's burn rate was before the deploy, per rule of the guard."""
        return [
            {
                "burn_centi": rule.burn_centi,
                "windows_ms": list(rule.windows_ms),
                "state": history_state(
                    rule,
                    self._history,
                    poll_ms=self._poll_ms,
                    slo_bp=self.criteria.guard_slo_bp,
                ),
            }
            for rule in self.criteria.guard_burns
        ]


def _edges(window: Window) -> dict[str, JsonValue]:
    return {
        "from_ms": window.from_ms,
        "to_ms": window.to_ms,
        "ticks": len(window),
        "canary": window.canary.document(),
        "baseline": window.baseline.document(),
    }
