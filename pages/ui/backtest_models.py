"""View-model of the back-test: what may be moved, and what each stage would have become. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.backtest import Outcome, summary
from engine.live_text import count, plural

RECORDED: Final = "as recorded"
ANY: Final = "Any environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One slider: `name` as in a workflow's gate, its stops in order, in a workflow's spelling."""

    name: str
    label: str
    stops: tuple[str, ...]
    help: str


KNOBS: Final = (
    Knob(
        name="error_rate.max",
        label="Error rate limit",
        stops=(RECORDED, "0.1%", "0.2%", "0.5%", "0.8%", "1%", "1.5%", "2%", "3%", "5%", "10%"),
        help="The canary's errors per request must stay below it over the window.",
    ),
    Knob(
        name="judge.margin",
        label="Margin over the baseline",
        stops=(RECORDED, "1", "1.1", "1.25", "1.5", "2", "3", "5"),
        help="How many times worse than the baseline still counts as equal.",
    ),
    Knob(
        name="error_rate.window",
        label="Window",
        stops=(RECORDED, "1m", "2m", "3m", "5m", "10m", "15m"),
        help="Over how long the error rate is taken. At a run's speed it is shorter, as then.",
    ),
    Knob(
        name="healthy.for",
        label="Hold",
        stops=(RECORDED, "1m", "2m", "3m", "5m", "10m", "15m"),
        help="How long the criteria must hold before the next stage.",
    ),
    Knob(
        name="judge.alpha",
        label="False rollbacks allowed",
        stops=(RECORDED, "0.01%", "0.1%", "0.5%", "1%", "2%", "5%"),
        help="Per stage and metric: the smaller, the more evidence a rollback needs.",
    ),
    Knob(
        name="error_rate.min_requests",
        label="Requests needed",
        stops=(RECORDED, "50", "100", "300", "1000", "3000"),
        help="Fewer requests in the window are too few to say yes.",
    ),
)

# What a row of the table says, and how serious it is: the icon stands before the word.
_WORDS: Final[Mapping[str, str]] = {
    "false_alarm": "🔺 false alarm",
    "missed": "🔻 missed",
    "rolls_back": "↩ rolls back",
    "earlier": "◀ earlier",
    "later": "▶ later",
    "pauses": "⏸ asks a person",
    "promotes": "▷ lets pass",
    "undecided": "? recording ends first",
    "not_reached": "– not reached",
    "same": "= same",
}
_ENDED: Final = {True: "well", False: "rolled back", None: "neither"}


def changes_of(chosen: Mapping[str, str]) -> dict[str, str]:
    """What was moved away from what was recorded."""
    return {name: stop for name, stop in chosen.items() if stop != RECORDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its name and what it is out of."""

    label: str
    value: str
    note: str


def figures(outcomes: Sequence[Outcome]) -> tuple[Figure, ...]:
    counts: Any = summary(outcomes)
    good, bad = counts["runs_good"], counts["runs_bad"]
    return (
        Figure(
            label="False alarms",
            value=f"{counts['false_alarms']} of {good}" if good else "–",
            note="runs that ended well and would have been rolled back",
        ),
        Figure(
            label="Bad runs caught",
            value=f"{counts['caught_now']} of {bad}" if bad else "–",
            note=f"by the gate; {counts['caught_then']} as recorded",
        ),
        Figure(
            label="Requests spared",
            value=count(counts["spared_requests"]),
            note=f"of bad versions, {count(counts['spared_errors'])} of them errors",
        ),
        Figure(
            label="Judged again",
            value=plural(counts["stages"], "stage"),
            note=f"of {plural(counts['runs'], 'run')}, on stored ticks only",
        ),
    )


def table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row per stage, in the order given."""
    return [
        {
            "Run": one.past.run_id,
            "Stage": one.past.step,
            "Run ended": _ENDED[one.past.good],
            "Recorded": str(one.then),
            "Would have": "–" if one.now is None else str(one.now),
            "Difference": _WORDS[one.verdict],
            "Why": "" if one.now is None else one.now.reason,
        }
        for one in outcomes
    ]


def bars(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """For the picture: when each gate spoke, in seconds since the stage's watch began."""
    return [
        {
            "stage": f"{one.past.run_id} {one.past.step}",
            "then_s": one.then.t_ms / 1000,
            "then": str(one.then),
            "now_s": None if one.now is None else one.now.t_ms / 1000,
            "now": "not reached" if one.now is None else str(one.now),
            "verdict": one.verdict,
            "word": _WORDS[one.verdict],
        }
        for one in outcomes
    ]


def picture_text(outcomes: Sequence[Outcome]) -> str:
    """The picture in words."""
    moved = [one for one in outcomes if one.verdict != "same"]
    if not moved:
        return f"{plural(len(outcomes), 'stage')}: every gate would have spoken as it did."
    said = "; ".join(
        f"{one.past.run_id} {one.past.step}: {one.then}, would have "
        f"{'not been reached' if one.now is None else str(one.now)}"
        for one in moved[:10]
    )
    return f"{len(moved)} of {plural(len(outcomes), 'stage')} would differ: {said}"
