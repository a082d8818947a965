"""View-model of the Determinism page: the numbers, what they are out of, where they lead. Pure.

Every number leads to the list of the replays that it counts, narrowed by the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.determinism import Coverage, CrossEngine, Determinism, Share, percent
from engine.core.replays import ReplayMode, ReplayStatus
from engine.live_text import count, plural
from pages.ui import evidence_words, replay_models, replay_words

SHARES: Final = (
    {"name": "", "width": "40%"},
    {"name": "Matching", "cls": "num"},
    {"name": "Mismatching", "cls": "num"},
    {"name": "Failed", "cls": "num"},
    {"name": "Match rate", "cls": "num"},
)
CAUSES: Final = (
    {"name": "Cause"},
    {"name": "Mismatches", "cls": "num"},
    {"name": "What it means", "width": "55%"},
)
EMPTY: Final = (
    "Nothing was replayed yet, so nothing is known about determinism: no mismatch is not the same "
    "as a match."
)
TO_DO: Final = (
    "Ask for every decision to be verified: it reads what is stored and changes nothing, and the "
    "numbers appear here as the answers come in."
)
COMMAND: Final = "./run replay --all"
# The dimension of a table to the filter of the list that its numbers lead to.
_FILTER: Final[Mapping[str, str]] = {
    "Policy version": "policy",
    "Engine": "engine",
    "Environment": "environment",
    "Form of evaluation": "form",
    "Kind of decision": "kind",
    "Day of decision": "decided",
    "Day of replay": "replayed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number, what it is out of, and the list that it leads to (parameters of `replay`)."""

    label: str
    value: str
    note: str
    leads: dict[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """By what the page is narrowed; empty texts = by nothing."""

    environment: str = ""
    since: str = ""

    def parameters(self, **more: str) -> dict[str, str]:
        """Of the list of verifications that this number counts."""
        every = {
            "mode": ReplayMode.VERIFY.value,
            "environment": self.environment,
            "since": self.since,
            **more,
        }
        return {name: text for name, text in every.items() if text}


def figures(found: Determinism, asked: Asked) -> tuple[Figure, ...]:
    completed = found.matching + found.mismatching
    return (
        Figure(
            label="Match rate",
            value=percent(found.match_bp),
            note=f"of {count(completed)} completed" if completed else "nothing is completed",
            leads=None,
        ),
        Figure(
            label="Matching",
            value=count(found.matching),
            note="the same answer again",
            leads=asked.parameters(result="MATCH"),
        ),
        Figure(
            label="Mismatching",
            value=count(found.mismatching),
            note="another answer, or none could be had",
            leads=asked.parameters(result="MISMATCH"),
        ),
        Figure(
            label="Running",
            value=count(found.running),
            note="not in the rate",
            leads=asked.parameters(progress=ReplayStatus.RUNNING.value),
        ),
        Figure(
            label="Failed",
            value=count(found.failed),
            note="could not be carried out; not in the rate",
            leads=asked.parameters(progress=ReplayStatus.FAILED.value),
        ),
        Figure(
            label="Total",
            value=count(found.total),
            note="verifications asked for",
            leads=asked.parameters(),
        ),
    )


def is_empty(found: Determinism) -> bool:
    return not found.total


def coverage_lines(found: Coverage) -> tuple[str, str]:
    """The share, and the sentence under it."""
    if not found.verdicts:
        return percent(None), f"There is no verdict of the last {found.decided_days} days."
    missing = found.verdicts - found.replayed
    lacks = f" {plural(missing, 'verdict')} {'was' if missing == 1 else 'were'} not."
    return (
        percent(found.share_bp),
        f"{count(found.replayed)} of {plural(found.verdicts, 'verdict')} of the last "
        f"{found.decided_days} days were verified in the last {found.replayed_days}."
        f"{lacks if missing else ''}",
    )


def cross_lines(found: CrossEngine) -> tuple[str, str]:
    """Agreement of the two engines, and the sentence under it."""
    asked = found.agree + found.disagree
    if not asked and not found.failed:
        return percent(
            None
        ), "The second engine was not asked yet. Tick it in a request to have it answer."
    failed = f"; {plural(found.failed, 'time')} it could not answer" if found.failed else ""
    return (
        percent(found.agree_bp),
        f"Of {plural(asked, 'question')} to both engines {count(found.agree)} got the same answer"
        f"{failed}.",
    )


def shares(dimension: str, found: Sequence[Share], asked: Asked) -> list[dict[str, Any]]:
    """A row per value, each number a link to the list of what it counts."""
    return [_share(_FILTER[dimension], one, asked) for one in found]


def _share(filter_: str, one: Share, asked: Asked) -> dict[str, Any]:
    def number(value: int, **more: str) -> dict[str, Any]:
        if not value:
            return {"text": "0"}
        parameters = asked.parameters(**{filter_: one.name, **more})
        return {**replay_models.link("replay", **parameters), "text": count(value)}

    name: dict[str, Any] = {"text": name_of(filter_, one.name)}
    if filter_ == "policy":
        name["digest"] = one.name
    return {
        "tone": "err" if one.mismatching else "",
        "cells": [
            name,
            number(one.matching, result="MATCH"),
            number(one.mismatching, result="MISMATCH"),
            number(one.failed, progress=ReplayStatus.FAILED.value),
            {"text": percent(one.match_bp)},
        ],
    }


def name_of(filter_: str, name: str) -> str:
    if filter_ == "policy":
        return evidence_words.short(name)
    if filter_ == "kind":
        return replay_models.kind_text(name)
    return name or "not known"


def columns(dimension: str) -> list[dict[str, str]]:
    first, *rest = SHARES
    return [{**first, "name": dimension}, *rest]


def causes(found: Sequence[Share], asked: Asked) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        said = replay_words.cause(one.name)
        leads = replay_models.link("replay", **asked.parameters(result="MISMATCH", cause=one.name))
        rows.append(
            {
                "tone": "err",
                "cells": [
                    {"text": one.name, "sub": said.short if said else ""},
                    {**leads, "text": count(one.mismatching)},
                    {"text": "", "sub": said.means if said else ""},
                ],
            }
        )
    return rows


def worst(found: Determinism) -> str:
    """One sentence that an on-call person reads first."""
    if is_empty(found):
        return EMPTY
    completed = found.matching + found.mismatching
    if found.mismatching:
        head = f"{count(found.mismatching)} of {plural(completed, 'verification')} did not match"
        first = max(found.by_cause, key=lambda one: one.mismatching, default=None)
        said = replay_words.cause(first.name) if first else None
        if first is None or said is None:
            return f"{head}."
        if first.mismatching == found.mismatching:
            return f"{head}: {said.short}."
        most = 2 * first.mismatching > found.mismatching
        return f"{head}; most of them: {said.short}." if most else f"{head}, for several causes."
    if not found.matching:
        return "No verification is completed yet, so nothing is known."
    return f"Every completed verification gave the same answer again: {count(found.matching)}."
