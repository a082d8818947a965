"""View-model of a candidate policy against recorded verdicts: figures, flips, what is unproven.

Pure. The words and the order are those of the Markdown report (`engine.policy.flips`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.replays import Flip, ReplayProgress, ReplayRow, replay_name
from engine.live_text import day_time, plural
from engine.policy.flips import PullRequest, Turn, causes, turn_of, words_now, words_then
from pages.ui import evidence_words, words

COLUMNS: Final = (
    {"name": "Run"},
    {"name": "Then"},
    {"name": "Candidate"},
    {"name": "Because"},
    {"name": "Live now"},
)
UNPROVEN_COLUMNS: Final = ({"name": "Verdict"}, {"name": "Cause"}, {"name": "Found"})
SHOWN_MAX: Final = 200
_TOLD_MAX: Final = 3
_TURNS: Final = {
    Turn.BLOCKS: "Would be blocked",
    Turn.ALLOWS: "Would be let through",
    Turn.WARNS: "Would warn anew",
    Turn.CHANGES: "Same decision, other rules",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    label: str
    value: str
    note: str


def figures(found: PullRequest) -> tuple[Figure, ...]:
    return (
        Figure(
            label="Baseline proven",
            value=f"{found.proven} of {found.asked}" if found.asked else "–",
            note="recorded verdicts that came out again under their own policy",
        ),
        _turned(found, Turn.BLOCKS, "passed then, would fail"),
        _turned(found, Turn.ALLOWS, "failed then, would pass"),
        _turned(found, Turn.WARNS, "same decision, with warnings that are new"),
    )


def _turned(found: PullRequest, turn: Turn, note: str) -> Figure:
    live = sum(bool(one.live) for one in found.of(turn))
    running = f"; {live} of them live now" if live else ""
    value = str(found.count(turn)) if found.proven else "–"
    return Figure(label=_TURNS[turn], value=value, note=note + running)


def groups(found: PullRequest) -> list[tuple[str, list[Flip]]]:
    """The changed verdicts by what becomes of them, flips first; empty groups are left out."""
    pairs = ((_TURNS[turn], found.of(turn)) for turn in Turn if turn in _TURNS)
    return [(head, flips) for head, flips in pairs if flips]


def rows(flips: Sequence[Flip]) -> list[dict[str, Any]]:
    return [_row(one) for one in flips[:SHOWN_MAX]]


def _row(one: Flip) -> dict[str, Any]:
    place = {"run": one.run_id, "step": "gate-eval"}
    told = [
        f"{word}: {fired.rule} – {fired.detail}"
        for word, results in causes(one)
        for fired in results
    ]
    more = len(told) - _TOLD_MAX
    shown = "; ".join([*told[:_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])])
    bad = turn_of(one) in {Turn.BLOCKS, Turn.ALLOWS}
    return {
        "tone": "err" if bad and one.live else "",
        "cells": [
            {
                "text": one.run_id,
                "href": evidence_words.address("step", **place),
                "open": json.dumps(["step", place]),
                "sub": f"{one.bundle_label} → {one.environment} · {day_time(one.decided_us)}",
            },
            {"text": words_then(one)},
            {"text": words_now(one)},
            {"text": shown, "title": "\n".join(told)},
            {"text": ", ".join(one.live) or "no"},
        ],
    }


def unproven_rows(found: Iterable[ReplayRow]) -> list[dict[str, Any]]:
    return [
        {
            "tone": "err",
            "cells": [
                {"text": one.subject, "sub": f"{one.run_id} → {one.environment}"},
                {"text": words.plain(one.cause or one.status)},
                {"text": one.sentence},
            ],
        }
        for one in list(found)[:SHOWN_MAX]
    ]


def more_text(count: int) -> str:
    return "" if count <= SHOWN_MAX else f"and {count - SHOWN_MAX} more; the report has their count"


def progress_text(progress: ReplayProgress) -> str:
    name = replay_name(progress.n)
    return f"{name}: {progress.done} of {plural(progress.total, 'verdict')} asked again"


def file_name(found: PullRequest) -> str:
    return f"policy-{found.policy.removeprefix('sha256:')[:12]}.md"
