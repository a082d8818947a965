"""View-model of one approval: what the rows of a view say, now or as it was shown then. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.approving import telling
from engine.approving.telling import Document
from engine.core.digest import Digest
from engine.core.state import Approval, Run
from engine.core.statemachine import RunStatus
from engine.live_text import day_time, plural
from pages.ui import words
from pages.ui.words import Look

FINDINGS: Final = (
    {"name": "Severity"},
    {"name": "Flaw", "cls": "nowrap"},
    {"name": "Package"},
    {"name": "Exploited", "cls": "nowrap"},
    {"name": "Reachability"},
)
TARGETS: Final = (
    {"name": "Target"},
    {"name": "Runs now"},
    {"name": "Would run"},
    {"name": "Way back"},
)
SHOWN_MAX: Final = 50


def asked(run: Run) -> bool:
    """Whether somebody is asked about the run now."""
    return run.status is RunStatus.AWAITING_APPROVAL


def chosen(run: Run, text: str) -> int:
    """The decision that the address names, when something was shown for it; else 0."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    return number if any(one.number == number for one in decisions(run)) else 0


def title(run: Run, number: int) -> str:
    """`What bob.smith saw, Nov 30, 08:32:10 UTC`, or that of the page."""
    if not number:
        return "Approval"
    given = run.approvals[number - 1]
    return f"What {given.person} saw, {day_time(given.decided_us)}"


def closed_text(run: Run) -> str:
    """What the page says of a run that nobody is asked about now."""
    if run.approvals:
        return "Nobody is asked about this run now. What each person saw can be opened below."
    if run.status in {RunStatus.SCHEDULED, RunStatus.QUEUED, RunStatus.RUNNING}:
        return "Approval opens when the policy gate has passed and approval is asked for."
    return "Nobody was asked about this run."


def saw_text(given: Approval) -> str:
    word = words.DECISION[(given.decision, given.counts)].word.lower()
    comment = f': "{given.comment}"' if given.comment else "."
    return f"{given.person} {given.decision} on this view{comment}" + (
        "" if given.counts else f" It {word}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A decision, and the number under which what was shown for it is opened; 0 = nothing was."""

    look: Look
    text: str
    number: int


def decisions(run: Run) -> tuple[Link, ...]:
    """Every decision of the run, in order."""
    return tuple(
        Link(
            look=words.DECISION[(one.decision, one.counts)],
            text=f"{one.person}, {day_time(one.decided_us)}"
            + (f': "{one.comment}"' if one.comment else ""),
            number=0 if one.view == one.binding else n,
        )
        for n, one in enumerate(run.approvals, start=1)
    )


def changed_text(before: Document, now: Document) -> str:
    """What is another now than on the view that is open."""
    parts = telling.changed(before, now)
    return f"Changed since you opened it: {', '.join(parts)}."


def verdict_look(shown: Document) -> Look:
    verdict = shown["verdict"]
    return words.VERDICT[(verdict["decision"], verdict["warn"] > 0)]


def warnings(shown: Document) -> tuple[str, ...]:
    """Each rule that fired, in words; of a verdict without any, that none did."""
    return telling.verdict_lines(shown)[1:] or ("No rule fired.",)


def health_look(shown: Document) -> Look:
    return words.DATA_HEALTH[shown["dataHealth"]["level"]]


def rollback_look(shown: Document) -> Look:
    """Whether every target can go back; what was not looked at is not known."""
    ready = shown["rollback"]["readiness"]
    stuck = any(one["irreversible"] for one in shown["targets"])
    if ready is None and not stuck:
        return words.DATA_HEALTH["UNKNOWN"]
    open_ = ready is not None and ready["ready"] == ready["targets"] and not stuck
    return words.DATA_HEALTH["OK" if open_ else "WARN"]


def findings_look(shown: Document) -> Look:
    """Red for a new one that is exploited or critical; what is not known is never called clean."""
    found = shown["findings"]
    if not found["known"] or found["gaps"]:
        return words.DATA_HEALTH["UNKNOWN"]
    added = [one for one in found["added"] if not one["suppressed"]]
    if any(one["kev"] or one["severity"] == "CRITICAL" for one in added):
        return words.DATA_HEALTH["FAIL"]
    return words.DATA_HEALTH["WARN" if added else "OK"]


def findings_word(shown: Document) -> str:
    """`2 NEW`, `NONE NEW` or `NOT KNOWN`."""
    found = shown["findings"]
    if not found["known"]:
        return "NOT KNOWN"
    return f"{len(found['added'])} NEW" if found["added"] else "NONE NEW"


def counts_text(found: Sequence[Mapping[str, Any]]) -> str:
    """`2 CRITICAL, 8 HIGH`"""
    counts = Counter(one["severity"] for one in found)
    return ", ".join(f"{counts[word]} {word}" for word in words.SEVERITY if counts[word])


def finding_rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The worst first, at most `SHOWN_MAX`."""
    severities = list(words.SEVERITY)
    worst = sorted(
        found,
        key=lambda one: (
            one["suppressed"], not one["kev"], severities.index(one["severity"]), -one["cvssDt"],
            one["id"],
        ),
    )  # fmt: skip
    return [_finding(one) for one in worst[:SHOWN_MAX]]


def _finding(one: Mapping[str, Any]) -> dict[str, Any]:
    score = one["cvssDt"]
    return {
        "tone": "err" if one["kev"] and not one["suppressed"] else "",
        "cells": [
            {
                "look": words.SEVERITY[one["severity"]].document(),
                "sub": "no CVSS score" if score < 0 else f"CVSS {score // 10}.{score % 10}",
            },
            {"text": one["id"], "sub": _standing(one)},
            {
                "text": one["purl"].removeprefix("pkg:").partition("?")[0],
                "sub": f"in {', '.join(one['foundIn'])}",
                "title": one["purl"],
            },
            {"look": words.KEV.document()} if one["kev"] else {"text": "not in KEV"},
            {"look": words.REACH[one["reach"]].document()},
        ],
    }


def _standing(one: Mapping[str, Any]) -> str:
    """What takes the finding out of what the rules look at, or the rules that fired on it."""
    if one["suppressed"]:
        return "suppressed by VEX"
    if one.get("waivers"):
        return f"waived by {', '.join(one['waivers'])}"
    return ", ".join(one["rules"])


def more_text(found: Sequence[Mapping[str, Any]]) -> str:
    more = len(found) - SHOWN_MAX
    return f"and {plural(more, 'more finding')}, all of them in the document" if more > 0 else ""


def target_rows(shown: Document) -> list[dict[str, Any]]:
    """Those that cannot go back first, at most `SHOWN_MAX`."""
    targets = sorted(shown["targets"], key=lambda one: not one["irreversible"])
    known = shown["rollback"]["readiness"] is not None
    return [_target(one, known) for one in targets[:SHOWN_MAX]]


def _target(one: Mapping[str, Any], known: bool) -> dict[str, Any]:
    if one["irreversible"]:
        back: dict[str, Any] = {
            "look": {**words.DATA_HEALTH["WARN"].document(), "word": "CANNOT GO BACK"},
            "sub": one["irreversible"],
        }
    elif known:
        back = {"text": "open"}
    else:
        back = {"text": "not looked at yet"}
    return {
        "tone": "err" if one["irreversible"] else "",
        "cells": [
            {"text": one["target"]},
            _bundle(one["before"]),
            _bundle(one["after"]),
            back,
        ],
    }


def _bundle(digest: str | None) -> dict[str, Any]:
    if digest is None:
        return {"text": "not known"}
    return {"text": f"sha256:{Digest.parse(digest).short}", "digest": digest}


def policy_rows(shown: Document) -> list[dict[str, str]]:
    return [
        {
            "Change": one["kind"],
            "What": f"{one['what']} {one['name']}",
            "Before": one["before"] or "–",
            "After": one["after"] or "–",
            "Effect": {True: "stricter", False: "looser", None: "–"}[one["stricter"]],
        }
        for one in shown["policy"]["changes"] or ()
    ]


def comment_label(shown: Document) -> str:
    if shown["quorum"]["commentRequired"]:
        return "Comment (required: say why this is all right, or what has to change)"
    return "Comment (required to reject)"
