"""View-model of the waiver register: what waits for whom, what holds and until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.waivers import Waiver, WaiverState, ends_soon, sentence
from engine.findings import FindingRow
from engine.live_text import day_time, plural, span
from pages.ui import words

COLUMNS: Final = (
    {"name": "Finding", "width": "26%"},
    {"name": "Now", "width": "22%"},
    {"name": "Where", "width": "16%"},
    {"name": "Asked for by", "width": "36%"},
)
EXPLAINED: Final = (
    "A waiver accepts one flaw in one package for a while: one person asks, another one grants. "
    "The policy gate reads those that hold; a waived finding is still shown, with its waiver."
)
EMPTY: Final = "No waiver was ever asked for."
NONE_WAIT: Final = "Nothing waits for a second person."
NONE_HOLD: Final = "No waiver holds now."
NOBODY: Final = "nobody may grant it: no other approver there is in exception_approvers"
_OPEN: Final = (WaiverState.REQUESTED, WaiverState.GRANTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A waiver as it is now.

    Attributes:
        may: people who may grant or refuse it; of one that waits.
        mine: it waits, and for whoever looks.
        runs: open runs that rest on it.
    """

    waiver: Waiver
    state: WaiverState
    may: tuple[str, ...]
    mine: bool
    runs: tuple[str, ...]


def waiting(every: Sequence[Shown]) -> list[Shown]:
    """Those that wait for a second person, the viewer's own duty first, then the oldest."""
    found = [one for one in every if one.state is WaiverState.REQUESTED]
    return sorted(found, key=lambda one: (not one.mine, one.waiver.number))


def in_force(every: Sequence[Shown]) -> list[Shown]:
    """Those that hold, the one that ends first on top."""
    found = [one for one in every if one.state is WaiverState.GRANTED]
    return sorted(found, key=lambda one: (one.waiver.fact.expires_us, one.waiver.number))


def over(every: Sequence[Shown]) -> list[Shown]:
    """Those that can't hold any more, the newest first."""
    return sorted(
        (one for one in every if one.state not in _OPEN), key=lambda one: -one.waiver.number
    )


def summary(every: Sequence[Shown], now_us: int) -> str:
    """`1 waits for you, 2 wait for others. 3 hold; 1 ends soon.`"""
    asked, holding = waiting(every), in_force(every)
    mine = sum(one.mine for one in asked)
    soon = sum(ends_soon(one.waiver, now_us) for one in holding)
    others = len(asked) - mine
    heads = [f"{mine} {'waits' if mine == 1 else 'wait'} for you"] if mine else []
    heads += [f"{others} {'waits' if others == 1 else 'wait'} for others"] if others else []
    head = ", ".join(heads) or "none waits"
    held = f"{len(holding)} {'holds' if len(holding) == 1 else 'hold'}"
    end = f"; {soon} {'ends' if soon == 1 else 'end'} soon" if soon else ""
    return f"{head[0].upper()}{head[1:]}. {held}{end}."


def rows(found: Sequence[Shown], now_us: int) -> list[dict[str, Any]]:
    return [_row(one, now_us) for one in found]


def _row(shown: Shown, now_us: int) -> dict[str, Any]:
    one, fact = shown.waiver, shown.waiver.fact
    ticket = f" ({fact.ticket})" if fact.ticket else ""
    bundle = "every bundle" if fact.bundle is None else f"only {fact.bundle.short}"
    soon = shown.state is WaiverState.GRANTED and ends_soon(one, now_us)
    return {
        "tone": "warn" if soon or shown.mine else "",
        "cells": [
            {"text": fact.finding, "sub": fact.purl, "title": fact.purl},
            {"look": words.WAIVER[shown.state.value].document(), "sub": _now(shown, now_us)},
            {"text": ", ".join(fact.environments), "sub": bundle},
            {
                "text": f"{one.by}, {day_time(one.asked_us)}",
                "sub": f"{one.id} · {fact.reason}{ticket}",
            },
        ],
    }


def _now(shown: Shown, now_us: int) -> str:
    one, left_us = shown.waiver, shown.waiver.fact.expires_us - now_us
    rests = f"; rests on it: {', '.join(shown.runs)}" if shown.runs else ""
    match shown.state:
        case WaiverState.REQUESTED:
            who = f"for {', '.join(shown.may)}" if shown.may else NOBODY
            return f"{who}; ends in {span(left_us)}"
        case WaiverState.GRANTED if one.granted is not None:
            return f"by {one.granted.by}, for {span(left_us)} more{rests}"
        case _:
            return f"{sentence(one, now_us)}{rests}"


def label(one: Waiver) -> str:
    """In the list of what can be decided about."""
    return f"{one.id}: {one.fact.finding} in {one.fact.purl} ({', '.join(one.fact.environments)})"


def failing(found: Sequence[FindingRow]) -> dict[str, tuple[str, str]]:
    """Findings of a verdict that could be waived, those that failed it first: label to names."""
    left = [row for row in found if row.fired and not row.waived]
    left.sort(key=lambda row: not any(one.level == "FAIL" for one in row.fired))
    return {f"{row.id} in {row.purl}": (row.id, row.purl) for row in left}


def count_text(found: Sequence[Shown]) -> str:
    return f"Over ({plural(len(found), 'waiver')})"
