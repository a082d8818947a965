"""Health-gate back-test: what other limits would have done to stages whose ticks are stored. Pure.

Only what was stored is judged: nothing is simulated, and where the recording ends before the
changed gate decides, that is the answer. A run's stages are judged in order, so that evidence is
carried from one to the next as the changed gate itself would have carried it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core import ticks
from engine.core.errors import Malformed
from engine.core.health import new_gate, parse_gate
from engine.core.health_criteria import DIVIDED_BY_SPEED, Criteria, clock_time
from engine.core.jcs import JsonValue
from engine.core.rows import GateTick

# What may be moved: its name in a workflow's gate, and the field of the criteria that it sets.
# A latency limit in milliseconds is not among them: requests were counted against the old one.
KNOBS: Final[Mapping[str, str]] = {
    "healthy.share": "healthy_share_bp_min",
    "healthy.for": "hold_ms",
    "error_rate.max": "error_rate_ppm_max",
    "error_rate.window": "window_ms",
    "error_rate.min_requests": "requests_min",
    "latency_p95.max_slow_share": "slow_share_ppm_max",
    "judge.method": "method",
    "judge.margin": "margin_bp",
    "judge.alpha": "alpha_ppm",
    "judge.alpha_hold": "alpha_hold_ppm",
    "judge.min_bad": "bad_min",
    "max_hold": "max_hold_ms",
}
_SPOKEN: Final = frozenset({"promote", "rollback", "pause"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`fields`: criteria fields and their values at speed 1; `texts`: as they were written."""

    fields: Mapping[str, Any]
    texts: Mapping[str, str]

    def apply(self, criteria: Criteria, speed: int) -> Criteria:
        """The criteria of a stage that ran at `speed`, changed.

        Raises:
            Malformed: the changed gate could never promote, or would hold less surely than it acts.
        """
        scaled = {
            name: max(1, value // speed) if name in DIVIDED_BY_SPEED else value
            for name, value in self.fields.items()
        }
        after = replace(criteria, **scaled)
        if after.max_hold_ms < after.hold_ms:
            raise Malformed("expected at least healthy.for", where="max_hold")
        if after.alpha_ppm > after.alpha_hold_ppm:
            raise Malformed("expected at least judge.alpha", where="judge.alpha_hold")
        return after


def read_change(texts: Mapping[str, str]) -> Change:
    """Read what is to be moved, by its names in a workflow: `{"error_rate.max": "2%"}`.

    Raises:
        Malformed: an unknown name, a value that a workflow would refuse, or nothing at all.
    """
    if not texts:
        raise Malformed(f"expected one of {', '.join(KNOBS)}, found nothing", where="changes")
    fields: dict[str, Any] = {}
    for name, text in texts.items():
        if name not in KNOBS:
            raise Malformed(f"expected one of {', '.join(KNOBS)}, found {name!r}", where="changes")
        fields[KNOBS[name]] = getattr(parse_gate(_gate_with(name, text)), KNOBS[name])
    return Change(fields=fields, texts=dict(texts))


def _gate_with(name: str, text: str) -> dict[str, Any]:
    """A gate that says nothing beyond what every gate must, except `name`."""
    gate: dict[str, Any] = {
        "proceed_if": {
            "healthy": {"share": 0.95, "for": "1ms"},
            "error_rate": {"max": 0.01},
            "latency_p95": {"slow_over": "250ms", "max_slow_share": 0.1},
        },
        "judge": {"alpha": "0.0001%", "alpha_hold": "100%"},
        "max_hold": "366d" if name == "max_hold" else f"{366 * 24}h",
    }
    section, _, key = name.rpartition(".")
    value: Any = int(text) if text.strip().isdecimal() else text
    if section == "judge":
        gate["judge"][key] = value
    elif section:
        gate["proceed_if"][section][key] = value
    else:
        gate[key] = value
    return gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One watched stage as it was recorded.

    Attributes:
        rows: of one watch, from its start mark on.
        good: the run ended well with this bundle live (True), was rolled back (False), or neither
            is known (None): then no alarm can be called false, and no silence a miss.
    """

    run_id: str
    step: str
    attempt: int
    speed: int
    rows: Sequence[GateTick]
    good: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a gate said of a stage: its last word, or the last it said while the ticks lasted."""

    action: str
    rule: int
    reason: str
    t_ms: int

    @property
    def decided(self) -> bool:
        return self.action in _SPOKEN

    def __str__(self) -> str:
        """`rollback at 1:25 (rule 4)`; what was not decided says so."""
        word = self.action if self.decided else "no decision"
        return f"{word} at {clock_time(self.t_ms)} (rule {self.rule})"

    def document(self) -> dict[str, JsonValue]:
        return {
            "action": self.action,
            "rule": self.rule,
            "reason": self.reason,
            "t_ms": self.t_ms,
            "decided": self.decided,
            "text": str(self),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One stage under the changed gate, beside what was recorded.

    Attributes:
        then: the recorded answer. now: the changed gate's; None = it would have rolled back in an
            earlier stage of the run, so that this one never began.
        verdict: one of `VERDICTS`.
        spared_requests, spared_errors: of the new version, between the changed gate's rollback and
            the end of the recording.
    """

    past: Past
    then: Told
    now: Told | None
    verdict: str
    spared_requests: int
    spared_errors: int

    def document(self) -> dict[str, JsonValue]:
        return {
            "run": self.past.run_id,
            "step": self.past.step,
            "attempt": self.past.attempt,
            "good": self.past.good,
            "ticks": sum(not ticks.is_mark(row) for row in self.past.rows),
            "then": self.then.document(),
            "now": None if self.now is None else self.now.document(),
            "verdict": self.verdict,
            "spared_requests": self.spared_requests,
            "spared_errors": self.spared_errors,
        }


# What the change comes to in one stage, worst first.
VERDICTS: Final = (
    "false_alarm",  # rolls back a run that ended well
    "missed",  # lets pass what was rolled back
    "rolls_back",  # rolls back a run of which neither is known
    "earlier",
    "later",
    "pauses",  # a person would have been asked who was not
    "promotes",  # lets pass what a person was asked about
    "undecided",  # the recording ends before it decides
    "not_reached",
    "same",
)


def backtest(stages: Sequence[Past], change: Change) -> tuple[Outcome, ...]:
    """Judge every stage again under the changed gate.

    Args:
        stages: a run's stages stand together, in the order in which they were watched.
    """
    outcomes: list[Outcome] = []
    run_id, carry, ended = "", None, False
    for past in stages:
        if past.run_id != run_id:
            run_id, carry, ended = past.run_id, None, False
        if ended:
            outcomes.append(_outcome(past, None, len(past.rows)))
            continue
        now, used, carry = _judge(past, change, carry)
        ended = now.action == "rollback"
        outcomes.append(_outcome(past, now, used))
    return tuple(outcomes)


def _judge(
    past: Past, change: Change, carry: Mapping[str, JsonValue] | None
) -> tuple[Told, int, Mapping[str, JsonValue]]:
    """Returns: the gate's last word, how many rows it took, and what it would carry on."""
    mark = ticks.decode(past.rows[0].tick)
    recorded = ticks.gate_of(past.rows[0].tick)
    criteria = change.apply(recorded.criteria, past.speed)
    carried = mark.get("carry") is not None
    gate = new_gate(
        criteria,
        ticks.history_of(past.rows[0].tick),
        mark["poll_ms"] / 1000,
        carry=carry if carried else None,
        edition=recorded.edition,
    )
    told, used = Told(action="hold", rule=0, reason=gate.reason, t_ms=0), len(past.rows)
    for i, row in enumerate(past.rows[1:], start=1):
        ticks.feed(gate, row)
        if ticks.is_mark(row):
            continue
        at = told.t_ms if told.decided and told.action == gate.action else row.t_ms
        told = Told(action=gate.action, rule=gate.rule, reason=gate.reason, t_ms=at)
        if gate.action in {"promote", "rollback"}:
            used = i + 1
            break
    return told, used, gate.carry()


def _outcome(past: Past, now: Told | None, used: int) -> Outcome:
    answers = [row for row in past.rows if not ticks.is_mark(row)]
    last = answers[-1] if answers else None
    then = Told(
        action="hold" if last is None else last.action,
        rule=0 if last is None else last.rule,
        reason="" if last is None else last.reason,
        t_ms=0 if last is None else last.t_ms,
    )
    first = next((row for row in answers if row.action == then.action), last)
    if first is not None and then.decided:
        then = replace(then, t_ms=first.t_ms)
    spared = (0, 0)
    if now is not None and now.action == "rollback":
        spared = _canary(past.rows[used:])
    elif now is None:
        spared = _canary(past.rows)
    return Outcome(
        past=past,
        then=then,
        now=now,
        verdict=_verdict(past, then, now),
        spared_requests=spared[0],
        spared_errors=spared[1],
    )


def _verdict(past: Past, then: Told, now: Told | None) -> str:
    if now is None:
        return "not_reached"
    if now.action == "rollback" and then.action != "rollback":
        if past.good is None:
            return "rolls_back"
        return "false_alarm" if past.good else "earlier"
    if now.action == "promote" and then.action == "rollback":
        return "missed"
    if not now.decided and then.decided:
        return "undecided"
    if now.action == "pause" and then.action != "pause":
        return "pauses"
    if now.action == "promote" and then.action == "pause":
        return "promotes"
    if now.decided and now.t_ms != then.t_ms:
        return "earlier" if now.t_ms < then.t_ms else "later"
    return "same"


def _canary(rows: Sequence[GateTick]) -> tuple[int, int]:
    arms = [ticks.decode(row.tick).get("canary") or {} for row in rows if not ticks.is_mark(row)]
    return sum(arm.get("requests", 0) for arm in arms), sum(arm.get("errors", 0) for arm in arms)


def summary(outcomes: Sequence[Outcome]) -> dict[str, JsonValue]:
    """Counts over runs and stages: a run is a false alarm when one of its stages is."""
    good = {o.past.run_id for o in outcomes if o.past.good}
    bad = {o.past.run_id for o in outcomes if o.past.good is False}
    alarms = {o.past.run_id for o in outcomes if o.verdict == "false_alarm"}
    caught = {
        o.past.run_id
        for o in outcomes
        if o.past.good is False and o.now is not None and o.now.action == "rollback"
    }
    then = {o.past.run_id for o in outcomes if o.past.good is False and o.then.action == "rollback"}
    return {
        "runs": len({o.past.run_id for o in outcomes}),
        "stages": len(outcomes),
        "runs_good": len(good),
        "runs_bad": len(bad),
        "false_alarms": len(alarms),
        "caught_then": len(then),
        "caught_now": len(caught),
        "spared_requests": sum(o.spared_requests for o in outcomes if o.past.good is False),
        "spared_errors": sum(o.spared_errors for o in outcomes if o.past.good is False),
        "verdicts": {word: sum(o.verdict == word for o in outcomes) for word in VERDICTS},
    }


def sentence(outcomes: Sequence[Outcome]) -> str:
    """`47 stages of 14 runs: 1 of 12 good runs rolled back, 2 of 2 bad runs caught (2 then)`."""
    counts: Any = summary(outcomes)
    return (
        f"{counts['stages']} stages of {counts['runs']} runs judged again on their stored ticks: "
        f"{counts['false_alarms']} of {counts['runs_good']} runs that ended well would have been "
        f"rolled back, {counts['caught_now']} of {counts['runs_bad']} that were rolled back would "
        f"have been caught by the gate ({counts['caught_then']} were)."
    )
