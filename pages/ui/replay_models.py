"""View-models of the replay pages: what can be replayed, the form, the list of requests. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.replays import ALL, REASON_MAX, Depth, ReplayKind, ReplayMode, ReplayStatus
from engine.core.run import Run
from engine.live_text import day_time, plural, span
from pages.ui import evidence_words, models, replay_words, words

COLUMNS: Final = (
    {"name": "Request", "cls": "nowrap"},
    {"name": "Status"},
    {"name": "Result"},
    {"name": "Decision"},
    {"name": "Asked by"},
    {"name": "When", "cls": "nowrap"},
)
OTHER: Final = "Other"
REASONS: Final = (
    "Audit verification",
    "Policy change test",
    "Incident investigation",
    "Before a rollback",
    OTHER,
)
NOTHING_YET: Final = "Nothing of this run was replayed yet."
NO_DECISION: Final = (
    "There is nothing to replay yet: the policy gate has not spoken, and no stage was watched."
)
NO_VERDICTS: Final = (
    "No decision is on record yet. The first verdict comes with the Gate Eval step of a promotion."
)
OPEN: Final = frozenset({ReplayStatus.QUEUED, ReplayStatus.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that can be replayed.

    Attributes:
        scope: as `ReplayAsk` takes it.
        label: with what was decided and when, for a list to choose from.
        run_id: empty for everything on record.
    """

    scope: str
    label: str
    run_id: str


def subjects(run: Run, verdicts: Iterable[Mapping[str, Any]]) -> tuple[Subject, ...]:
    """What of a run can be replayed: its verdicts, the newest first, its stages, then all of it.

    Args:
        verdicts: rows of `queries_replays.verdicts` of this run.
    """
    found = [verdict_subject(row) for row in verdicts]
    found += [
        Subject(
            scope=f"{run.run_id}/{step.id}",
            label=f"Health gate of {step.spec.name} · {step.gate.action} by rule {step.gate.rule}",
            run_id=run.run_id,
        )
        for step in run.steps
        if step.gate is not None
    ]
    if len(found) > 1:
        label = f"Everything of {run.run_id} · {plural(len(found), 'decision')}"
        found.append(Subject(scope=run.run_id, label=label, run_id=run.run_id))
    return tuple(found)


def verdict_subject(row: Mapping[str, Any]) -> Subject:
    said = models.verdict_text(
        str(row["decision"]), int(row["warn"]), int(row["fail"]), bool(row["error"])
    )
    return Subject(
        scope=str(row["verdict_id"]),
        label=f"{row['verdict_id']} · {said} · {day_time(int(row['ts_us']))}",
        run_id=str(row["run_id"]),
    )


def everything() -> Subject:
    return Subject(scope=ALL, label="Every decision on record", run_id="")


def chosen(found: Sequence[Subject], *, verdict: str = "", step: str = "") -> int:
    """Which of them an address means; the first when it names none of them."""
    wanted = {verdict, f"{found[0].run_id}/{step}"} if found else set()
    return next((i for i, one in enumerate(found) if one.scope in wanted), 0)


def versions(
    in_force: Mapping[str, Sequence[str]], judged: Iterable[tuple[str, int]]
) -> dict[str, str]:
    """Policy digest to label: those in force first, then those that judged once.

    Args:
        in_force: digest to the environments in which it is.
        judged: digest and when it judged last (UTC microseconds), the newest first.
    """
    found = {
        digest: f"{evidence_words.short(digest)} · in force in {', '.join(environments)}"
        for digest, environments in in_force.items()
    }
    for digest, last_us in judged:
        label = f"{evidence_words.short(digest)} · judged last {day_time(last_us)}"
        found.setdefault(digest, label)
    return found


def is_gate_scope(scope: str) -> bool:
    """Whether it is the health gate of a stage, which has no policy that could be exchanged."""
    return "/" in scope


def depths(mode: ReplayMode, *, gate: bool) -> list[str]:
    """How deep this question can be asked, the usual one first.

    A candidate is asked about frozen facts, today's feeds have to be read, and a gate rests on its
    stored ticks alone.
    """
    if mode is ReplayMode.TODAY:
        return [Depth.DEEP.value]
    if mode is ReplayMode.WHAT_IF or gate:
        return [Depth.SHALLOW.value]
    return [depth.value for depth in Depth]


def unknown_verdict(found: Sequence[Subject], verdict: str) -> str:
    """A sentence when an address names a verdict that is not among them; else empty."""
    if not verdict or any(one.scope == verdict for one in found):
        return ""
    return f"This run has no verdict {words.plain(repr(verdict))}; the newest decision is chosen."


def decision_fact(subject: Subject) -> dict[str, str]:
    """The first line of the form: what is asked about."""
    name = "Verdict ID" if subject.scope.startswith("verdict-") else "Decision"
    return _fact(name, subject_text(subject.scope))


def prefilled(run: Run) -> list[dict[str, str]]:
    """Bundle, manifest and baseline of the run, as the form shows them."""
    request = run.request
    return [
        _fact("Bundle", run.label),
        _fact("Manifest", evidence_words.short(str(run.bundle)), str(run.bundle)),
        _fact("Environment", f"{request.region} / {run.environment}"),
        *_baseline(run),
    ]


def _baseline(run: Run) -> list[dict[str, str]]:
    """What the targets ran before this run touched anything."""
    known = sorted({str(t.baseline) for t in run.targets if t.baseline is not None})
    unknown = sum(t.baseline is None for t in run.targets)
    if not known:
        return [_fact("Baseline", "not known: no target was observed yet")]
    if len(known) == 1 and not unknown:
        return [_fact("Baseline", evidence_words.short(known[0]), known[0])]
    more = f", {plural(unknown, 'target')} not known" if unknown else ""
    return [_fact("Baseline", f"{plural(len(known), 'bundle')} over the targets{more}")]


def _fact(name: str, text: str, digest: str = "") -> dict[str, str]:
    return {"name": name, "text": text, "digest": digest, "href": ""}


def reason(choice: str | None, more: str) -> str:
    """What goes on record: the choice, and what was typed behind it; empty = not given yet."""
    typed = " ".join(more.split())
    if choice is None:
        return ""
    if choice == OTHER:
        return typed
    return f"{choice}: {typed}" if typed else choice


def reason_problem(text: str) -> str:
    """Why a reason will not do; empty when it will."""
    if not text:
        return "A reason is required: choose one, and for “Other” say which."
    if len(text) > REASON_MAX:
        return f"The reason has {len(text)} characters; at most {REASON_MAX} go on record."
    return ""


# --- the list -------------------------------------------------------------------------------


def rows(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `queries_replays.replays` as a list draws them."""
    return [_row(row) for row in found]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    name, status = str(row["name"]), str(row["status"])
    cause = replay_words.cause(str(row["cause"]))
    facet = f" ({row['facet']})" if row["facet"] else ""
    open_ = status in OPEN
    bad = row["result"] == "MISMATCH" or status == ReplayStatus.FAILED.value
    return {
        "tone": "err" if bad else "",
        "cells": [
            {**link("replay-request", name=name), "text": name, "sub": _asked(row)},
            {"look": words.REPLAY[status].document()},
            {
                "look": replay_words.result(str(row["result"]), status).document()
                if row["result"]
                else None,
                "text": "" if row["result"] or open_ else "–",
                "sub": f"{cause.short}{facet}" if cause else _progress(row),
            },
            _decision(row),
            {"text": str(row["actor"]), "sub": str(row["reason"])},
            {"text": day_time(int(row["asked_us"])), "sub": _took(row)},
        ],
    }


def _asked(row: Mapping[str, Any]) -> str:
    return replay_words.mode_text(str(row["mode"]), str(row["depth"]))


def _progress(row: Mapping[str, Any]) -> str:
    """Of a request under way: how many outcomes are there; of a failed one: why."""
    if row["status"] in OPEN and int(row["total"]) > 1:
        return f"{int(row['done']):,} of {int(row['total']):,}"
    if row["status"] == ReplayStatus.FAILED.value:
        return str(row["sentence"])
    if row["mode"] != ReplayMode.VERIFY.value and row["result"]:
        return f"{row['decision_then']} → {row['decision_now']}"
    return ""


def _decision(row: Mapping[str, Any]) -> dict[str, Any]:
    subject = str(row["subject"] or row["scope"])
    cell: dict[str, Any] = {"text": subject_text(subject)}
    if row["run_id"]:
        cell |= link("replay-run", **decision_place(str(row["run_id"]), subject))
    then = f"{row['decision_then']} · " if row["decision_then"] else ""
    where = f"{row['run_id']} → {row['environment']}" if row["run_id"] else "the whole home"
    cell["sub"] = f"{then}{where}"
    return cell


def decision_place(run_id: str, subject: str) -> dict[str, str]:
    """The parameters of the page on which this very decision can be replayed again."""
    if subject.startswith("verdict-"):
        return {"run": run_id, "verdict": subject}
    parts = subject.split("/")
    return {"run": run_id, "step": parts[1]} if len(parts) > 1 else {"run": run_id}


def scope_of(subject: str) -> str:
    """`run-42/canary-10/1` was asked for as `run-42/canary-10`."""
    return "/".join(subject.split("/")[:2])


def explained_at(run_id: str, subject: str) -> tuple[str, dict[str, str]]:
    """Script and parameters of the page of the step that decided."""
    parts = subject.split("/")
    if len(parts) > 1:
        return "releases/stage.py", {"run": run_id, "step": parts[1]}
    return "releases/step.py", {"run": run_id, "step": "gate-eval"}


_NAME: Final = re.compile(r"rr-(\d{1,9})(?:\.(\d{1,7}))?", re.ASCII)


def number_of(name: str) -> tuple[int, int] | None:
    """Request and outcome of `rr-007` (outcome 0) or `rr-007.3`; None for anything else."""
    found = _NAME.fullmatch(name)
    return (int(found[1]), int(found[2] or 0)) if found else None


def request_text(row: Mapping[str, Any]) -> str:
    """A row of `queries_replays.replay_requests` in one sentence."""
    asked = replay_words.mode_text(str(row["mode"]), str(row["depth"]))
    return (
        f"{asked}: {subject_text(str(row['scope']))}. Asked by {row['actor']}, "
        f"{day_time(int(row['ts_us']))}: {row['reason']}"
    )


def counts_text(row: Mapping[str, Any]) -> str:
    """`12 of 14 done: 11 matching, 1 failed`."""
    names = ("matching", "mismatching", "same", "flipped", "unproven", "failed")
    said = ", ".join(f"{int(row[name]):,} {name}" for name in names if row[name])
    done = f"{int(row['done']):,} of {int(row['total']):,} done"
    return f"{done}: {said}" if said else done


def subject_text(subject: str) -> str:
    """`verdict-42`, `gate of canary-10`, `everything of run-42`, `every decision`."""
    if subject == ALL:
        return "every decision"
    parts = subject.split("/")
    if len(parts) > 1:
        attempt = f", attempt {parts[2]}" if len(parts) > 2 and parts[2] != "1" else ""
        return f"gate of {parts[1]}{attempt}"
    return f"everything of {subject}" if subject.startswith("run-") else subject


def _took(row: Mapping[str, Any]) -> str:
    if row["ended_us"] is None:
        return ""
    return f"took {span(int(row['ended_us']) - int(row['asked_us']))}"


def link(page: str, **parameters: str) -> dict[str, str]:
    """A cell that leads to a page of the console."""
    return {
        "href": evidence_words.address(page, **parameters),
        "open": json.dumps([page, parameters]),
    }


def under_way(found: Iterable[Mapping[str, Any]]) -> bool:
    """Whether something of it is still being worked on, so that the list has to look again."""
    return any(row["status"] in OPEN for row in found)


def kind_text(kind: str) -> str:
    return "Health gate" if kind == ReplayKind.GATE.value else "Policy verdict"
