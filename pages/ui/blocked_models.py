"""View-model of "what would have blocked this": the changes in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.live_text import plural
from pages.ui import evidence_words

COLUMNS: Final = (
    {"name": "Change"},
    {"name": "From", "cls": "nowrap"},
    {"name": "To", "cls": "nowrap"},
    {"name": "Size", "cls": "num"},
    {"name": "Would also have stopped"},
    {"name": "Because"},
)
EXPLAINED: Final = (
    "The smallest single changes under which this promotion would not have passed. Each limit is "
    "moved to the very value at which the frozen verdict turns; nothing is estimated. Each change "
    "is then asked about the runs of this environment that ended well."
)
SIZES: Final = (
    "Size: how far from what it was; 100 % = down to nothing or twice as much. A whole entry of a "
    "list, a level and a severity's rank count as 100 %."
)
NOTHING: Final = (
    "No single change of a limit, a list, a level or the approvals would have stopped this run."
)
_RUNS_SHOWN: Final = 3
_ENTRIES_SHOWN: Final = 3
_UNITS: Final = {"_s": "s", "_bp": "bp", "_ppm": "ppm", "_dt": "tenths"}


def headline(answer: Mapping[str, Any]) -> tuple[str, str]:
    """(level, sentence): level is OK, INFO or WARN."""
    if str(answer["word"]).startswith("FAIL"):
        return "INFO", f"The policy did block it: {answer['word']}. There is nothing to look for."
    if not answer["blockers"]:
        return "OK", NOTHING
    first = answer["blockers"][0]
    return "WARN", (
        f"{answer['run']} passed ({answer['word']}). The smallest change that would have stopped "
        f"it: {change(first)}, from {value(first, 'old')} to {value(first, 'new')}. "
        f"{collateral(first, answer)}"
    )


def collateral(one: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    good, stops = int(answer["good"]), len(one["stops"])
    if not good:
        return "No other run of this environment has ended well yet, so its cost is not known."
    if not stops:
        return f"None of {plural(good, 'good run')} would have been stopped with it."
    return f"It would also have stopped {stops} of {plural(good, 'good run')}."


def change(one: Mapping[str, Any]) -> str:
    where = str(one["where"]).strip("/").replace("/", ".")
    match one["kind"]:
        case "limit":
            return f"limit {where}"
        case "word":
            return f"severity {where}"
        case "added":
            return f"{where} with {one['new']}"
        case "removed":
            return f"{where} without {one['old']}"
        case "level":
            return f"rule {where} as FAIL"
        case _:
            return "approvals asked for"


def value(one: Mapping[str, Any], side: str) -> str:
    """A value with its unit, which its name ends in."""
    match one["kind"]:
        case "added" | "removed":
            listed = (one["kind"] == "added") == (side == "new")
            return "listed" if listed else "not listed"
        case "limit":
            ends = (unit for end, unit in _UNITS.items() if str(one["where"]).endswith(end))
            return f"{int(one[side]):,} {next(ends, '')}".rstrip()
        case _:
            return str(one[side])


def rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The smallest first; of a list's many entries those that would stop the fewest good runs."""
    return [_row(one, answer) for one in answer["blockers"] if one in _shown(answer)]


def _shown(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in answer["blockers"]:
        groups.setdefault((one["kind"], one["where"]), []).append(one)
    return [
        one
        for found in groups.values()
        for one in sorted(found, key=lambda one: len(one["stops"]))[:_ENTRIES_SHOWN]
    ]


def _row(one: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    stops, good = list(one["stops"]), int(answer["good"])
    shown = ", ".join(stops[:_RUNS_SHOWN])
    more = len(stops) - _RUNS_SHOWN
    because = [f"{b['rule']}: {b['detail']}" for b in one["because"]]
    waits = "one more person would have had to approve"
    cost: dict[str, Any] = {
        "text": f"{len(stops)} of {good} good runs" if good else "not known",
        "sub": f"{shown} and {more} more" if more > 0 else shown,
    }
    if stops:
        place = {"run": stops[0]}
        cost |= {
            "href": evidence_words.address("run", **place),
            "open": json.dumps(["run", place]),
        }
    return {
        "cells": [
            {"text": change(one)},
            {"text": value(one, "old")},
            {"text": value(one, "new")},
            {"text": size(int(one["size_bp"]))},
            cost,
            {"text": because[0] if because else waits, "title": "\n".join(because)},
        ]
    }


def size(size_bp: int) -> str:
    if size_bp >= 1_000_000:
        return "> 100 ×"
    # Rounded down: what is not quite the whole must not read as all of it.
    return f"{size_bp // 10 / 10:.1f} %" if size_bp % 100 else f"{size_bp // 100} %"


def notes(answer: Mapping[str, Any]) -> Sequence[str]:
    """What the figures leave out."""
    told = []
    hidden = len(answer["blockers"]) - len(_shown(answer))
    if hidden:
        entries = "more list entry" if hidden == 1 else "more list entries"
        told.append(
            f"{hidden} {entries} would have done the same; `policy blockers` lists them all."
        )
    if answer["already"]:
        told.append(
            f"{plural(len(answer['already']), 'good run')} would fail under this run's policy as "
            "it is; they are not counted."
        )
    if answer["unread"]:
        told.append(
            f"{plural(len(answer['unread']), 'good run')} could not be asked: what their verdict "
            "rests on is missing or damaged."
        )
    return told
