"""View-model of the separation of duties: where people and deeds lie, and what is red. Pure.

Three columns: what brought the release about, the people, what let it through or went back. A line
for each deed of somebody. Whoever has lines to both sides against a rule is red, and so are these
lines; a line that was refused is broken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from engine.core.duties import CHECKING, DOING, MAKING, Duties, Duty, DutyConflict, Edge
from engine.live_text import day_time, plural
from pages.ui import words

WORDS: Final[Mapping[Duty, str]] = {
    Duty.REQUESTED: "requested it",
    Duty.STARTED: "started it",
    Duty.MADE_BUNDLE: "made the bundle",
    Duty.AUTHORED_COMMITS: "wrote commits of it",
    Duty.OWNED_TOKEN: "made the token or link that requested it",
    Duty.CHANGED_POLICY: "changed its policy",
    Duty.WROTE_WAIVER: "wrote a waiver for it",
    Duty.BROKE_GLASS: "broke the glass",
    Duty.ASKED_OVERRIDE: "asked for an override",
    Duty.GRANTED_WAIVER: "granted a waiver for it",
    Duty.APPROVED: "approved it",
    Duty.CONFIRMED_OVERRIDE: "confirmed an override",
    Duty.REJECTED: "rejected it",
    Duty.ROLLED_BACK: "rolled it back",
    Duty.REVIEWED: "reviewed what was done",
    Duty.LET_IN: "made what an approver came in with",
}
_LEFT: Final = MAKING
_RIGHT: Final = (*CHECKING, *DOING)
_LEFT_X, _RIGHT_X = 30, 70  # where the lines end, in percent; people stand between
_PEOPLE_X: Final = (42, 58)
EXPLAINED: Final = (
    "What brought this release about stands left, what let it through or looked at it right. "
    "Nobody may be on both ends against a rule."
)
CLEAN: Final = "Nobody stood on both sides, and nobody tried to."
COLUMNS: Final = (
    {"name": "When", "cls": "nowrap", "width": "17%"},
    {"name": "Who", "width": "17%"},
    {"name": "What", "width": "22%"},
    {"name": "Result", "width": "12%"},
    {"name": "Said", "width": "32%"},
)


def graph(found: Duties) -> dict[str, Any]:
    """Nodes and lines, in rows from 0; a line's ends are rows of their columns."""
    left = [duty for duty in _LEFT if any(edge.duty is duty for edge in found.edges)]
    right = [duty for duty in _RIGHT if any(edge.duty is duty for edge in found.edges)]
    people = _ordered(found)
    red = {(one.person, duty) for one in found.conflicts for duty in (one.made, one.checked)}
    bad = {one.person for one in found.conflicts}
    height = max(len(left), len(right), len(people), 1)
    return {
        "height": height,
        "left": _column([WORDS[duty] for duty in left]),
        "right": _column([WORDS[duty] for duty in right]),
        "people": [
            node | {"tone": "err" if node["text"] in bad else ""} for node in _column(people)
        ],
        "lines": _lines(found.edges, left, right, people, red),
    }


def _ordered(found: Duties) -> list[str]:
    """Who made it first, then who let it through: fewer lines cross."""
    makers = {edge.person for edge in found.edges if edge.duty in _LEFT}
    return sorted(found.people, key=lambda person: person not in makers)


def _column(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Spread over the height, in percent of it."""
    return [{"text": text, "y": _y(at, len(texts))} for at, text in enumerate(texts)]


def _lines(
    edges: Sequence[Edge],
    left: Sequence[Duty],
    right: Sequence[Duty],
    people: Sequence[str],
    red: set[tuple[str, Duty]],
) -> list[dict[str, Any]]:
    lines: dict[tuple[str, Duty, bool], dict[str, Any]] = {}
    for edge in edges:
        on_left = edge.duty in _LEFT
        side = left if on_left else right
        y = _y(people.index(edge.person), len(people))
        duty_y = _y(side.index(edge.duty), len(side))
        x, duty_x = (_PEOPLE_X[0], _LEFT_X) if on_left else (_PEOPLE_X[1], _RIGHT_X)
        bend = (x + duty_x) / 2
        lines[edge.person, edge.duty, edge.denied] = {
            "d": f"M{x} {y} C{bend} {y} {bend} {duty_y} {duty_x} {duty_y}",
            "tone": "err" if edge.denied or (edge.person, edge.duty) in red else "",
            "denied": edge.denied,
            "title": f"{edge.person} {'tried: ' if edge.denied else ''}{WORDS[edge.duty]}",
        }
    return list(lines.values())


def _y(at: int, of: int) -> float:
    return round((at + 0.5) * 100 / of, 3)


def summary(found: Duties) -> tuple[str, str]:
    """A look's word of `words.DUTIES`, and a sentence."""
    broken = [one for one in found.conflicts if not one.prevented]
    if broken:
        return "CONFLICT", f"{plural(len(broken), 'conflict')}: one person stood on both sides."
    if found.conflicts:
        tried = plural(len(found.conflicts), "attempt")
        return "PREVENTED", f"{tried} to stand on both sides, refused and on record."
    return "SEPARATE", CLEAN


def conflict_text(one: DutyConflict) -> str:
    """Whose conflict, by which rule, and whether it happened."""
    head = f"{one.person} {WORDS[one.made]} and {'tried to have ' if one.prevented else ''}"
    end = "It was refused." if one.prevented else "It happened."
    return f"{head}{WORDS[one.checked]}: {one.rule} {end}"


def rows(found: Duties) -> list[dict[str, Any]]:
    """Every edge, the oldest first, with the record behind it."""
    return [_row(edge) for edge in found.edges]


def _row(edge: Edge) -> dict[str, Any]:
    when: dict[str, Any] = {"text": day_time(edge.ts_us)}
    if edge.gseq:
        event = {"event": str(edge.gseq)}
        when |= {"href": f"/audit?{urlencode(event)}", "open": json.dumps(["audit", event])}
    result = words.AUDIT["denied" if edge.denied else "allowed"]
    return {
        "tone": "err" if edge.denied else "",
        "cells": [
            when,
            {"text": edge.person},
            {"text": WORDS[edge.duty]},
            {"look": result.document()},
            {"text": edge.note or "–"},
        ],
    }
