"""View-models: what the pages about a run show, decided before Streamlit is called. Pure.

No `st.` here, so a test reads the screen without a browser and the wording lives in one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core import eligibility
from engine.core.commands import Action, ActionState, OverrideOffer
from engine.core.data_health import DataHealth
from engine.core.run import Run
from engine.core.spec import HOTFIX, StepKind
from engine.core.state import StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.live_text import day_time, plural
from engine.live_view import short_name
from engine.story import Line
from pages.ui import words
from pages.ui.people_models import override_text

_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}\b", re.ASCII)
_RAIL: Final = {StepKind.GATE_EVAL: "Policy"}
# The order in which a page offers actions; the rest of the row is for reading on.
ROW: Final = (
    Action.APPROVE,
    Action.REJECT,
    Action.START_NOW,
    Action.RESUME,
    Action.RETRY_STEP,
    Action.PAUSE,
    Action.CONTINUE,
    Action.ROLLBACK,
    Action.RETRY_ROLLBACK,
    Action.RERUN_STEP,
    Action.MARK_STEP_FAILED,
    Action.SCHEDULE_STEP,
    Action.UNSCHEDULE_STEP,
    Action.BREAK_GLASS,
    Action.DROP_OVERRIDE,
    Action.REVIEW,
    Action.WITHDRAW,
    Action.CANCEL,
    Action.CLOSE_FAILED,
    Action.ROLLBACK_PROMOTION,
    Action.RERUN,
    Action.COMMENT,
)
# Always a button of its own; the others are one when they can be pressed, else behind "More".
FIRST: Final = frozenset({Action.PAUSE, Action.ROLLBACK, Action.RETRY_ROLLBACK})
_OFTEN: Final = FIRST | {
    Action.APPROVE,
    Action.REJECT,
    Action.START_NOW,
    Action.RESUME,
    Action.RETRY_STEP,
    Action.CONTINUE,
    Action.DROP_OVERRIDE,
    Action.REVIEW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A button: live, or off with the sentence that says why and when it opens.

    Attributes:
        override: this button asks for an override of the action, or confirms one; None = the
            action itself, as one person may take it.
    """

    action: Action
    label: str
    icon: str
    primary: bool
    why_not: str
    override: OverrideOffer | None = None

    @property
    def ok(self) -> bool:
        return not self.why_not

    @property
    def key(self) -> str:
        return f"{self.action.value}.override" if self.override else self.action.value

    @property
    def first(self) -> bool:
        """Has a button of its own in the row; an override only when somebody waits for it."""
        if self.override is not None:
            return self.ok and self.override.turn == "confirm"
        return self.action in FIRST or (self.ok and self.action in _OFTEN)


def offers(states: Iterable[ActionState], run: Run) -> tuple[Offer, ...]:
    """The actions that a page shows for this person now, in the order of `ROW`."""
    by_action = {state.action: state for state in states if state.shown}
    found = []
    for action in ROW:
        state = by_action.get(action)
        if state is None:
            continue
        button = words.ACTION[action]
        if action is Action.BREAK_GLASS:  # it never is one person's
            found += [] if state.override is None else [_glass(button.label, state.override)]
            continue
        found.append(
            Offer(
                action=action,
                label=_label(run, action),
                icon=f":material/{button.icon}:",
                primary=button.primary and state.ok,
                why_not="" if state.ok else _why_not(state),
            )
        )
        if state.override is not None:
            found.append(_override(_label(run, action), action, state.override))
    return tuple(found)


def _glass(label: str, offer: OverrideOffer) -> Offer:
    made = _override(label, Action.BREAK_GLASS, offer)
    confirms = offer.turn == "confirm"
    return replace(
        made,
        label=f"Confirm: {label.lower()}" if confirms else label,
        icon=f":material/{words.ACTION[Action.BREAK_GLASS].icon}:",
    )


def _override(label: str, action: Action, offer: OverrideOffer) -> Offer:
    confirms = offer.turn == "confirm"
    return Offer(
        action=action,
        label=f"{'Confirm override' if confirms else 'Override'}: {label}",
        icon=":material/group:",
        primary=confirms and offer.ok,
        why_not="" if offer.ok else override_text(offer),
        override=offer,
    )


def _why_not(state: ActionState) -> str:
    opens = "" if state.opens_at_us is None else f" Opens {day_time(state.opens_at_us)}."
    return f"{state.why_not}{opens}"


def _label(run: Run, action: Action) -> str:
    label = words.ACTION[action].label
    if action is Action.CONTINUE:
        following = next_step(run)
        return label if following is None else f"{label} to {short_name(following)}"
    return label


def next_step(run: Run) -> StepState | None:
    """The step behind the current one."""
    step = run.current_step
    if step is None:
        return None
    ids = [s.id for s in run.steps]
    behind = run.steps[ids.index(step.id) + 1 :]
    return behind[0] if behind else None


def head_meta(run: Run, found: DataHealth) -> list[list[str]]:
    """Label, text, kind: `time` and `elapsed` are drawn by the browser, a digest can be copied,
    `look:` brings a sign with it."""
    request = run.request
    source = f"{request.promotes_from} → " if request.promotes_from else ""
    meta = [
        ["Manifest", f"sha256:{run.bundle.short}…", str(run.bundle)],
        ["Target", f"{request.region} / {source}{request.environment}", ""],
        ["Workflow", workflow_text(run), ""],
        ["Requested by", run.requested_by, ""],
        ["Started", str(run.started_us // 1000), "time"]
        if run.started_us is not None
        else ["Requested", str(run.requested_us // 1000), "time"],
        ["Elapsed", "", "elapsed"],
    ]
    if request.rolls_back:
        meta.insert(0, ["Kind", f"{request.kind} of {request.rolls_back}", ""])
    elif request.kind == HOTFIX:
        meta.insert(0, ["Kind", "HOTFIX: one more approval", ""])
    elif request.rerun_of:
        meta.insert(0, ["Again", f"as {request.rerun_of}", ""])
    if request.speed > 1:
        meta.append(["Waiting times", f"divided by {request.speed}", ""])
    look = words.DATA_HEALTH[found.level.value]
    meta.append(["Data health", found.line, f"look:{look.tone}:{look.shape}:{look.word}"])
    return meta


def workflow_text(run: Run) -> str:
    """`Canary 10 → 50 → 100`, from the stages that the run really has."""
    shares = [
        f"{step.spec.share_bp // 100}"
        for step in run.steps
        if step.spec.kind is StepKind.DEPLOY and step.spec.share_bp % 100 == 0
    ]
    return f"Canary {' → '.join(shares)}" if len(shares) > 1 else run.request.workflow


def rail_names(run: Run) -> dict[str, str]:
    return {step.id: _RAIL.get(step.spec.kind, short_name(step)) for step in run.steps}


def page_of(run: Run, step_id: str) -> str:
    """Where a step is explained: a stage that has begun on its own page, others in detail."""
    step = run.step(step_id)
    watched = step.spec.kind in {StepKind.DEPLOY, StepKind.VERIFY} and step.attempts
    return "releases/stage.py" if watched else "releases/step.py"


# --- the list -------------------------------------------------------------------------------


def list_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `data.queries.runs_list` as the list component draws them."""
    return [_list_row(row) for row in rows]


def _list_row(row: Mapping[str, Any]) -> dict[str, Any]:
    source = f"{row['promotes_from']} → " if row["promotes_from"] else ""
    digest = str(row["bundle"])
    status = RunStatus(row["status"])
    return {
        "id": row["run_id"],
        "status": status.value,
        "bundle": f"{row['bundle_name']} {row['bundle_version']}",
        "digest": digest[:19] + "…",
        "whole": digest,
        "target": f"{row['region']} / {source}{row['environment']}",
        "rail": _mini_rail(status, row),
        "verdict": _verdict_look(row),
        "verdict_text": _at(status, row),
        "who": row["requested_by"],
        "kind": str(row["kind"]).lower(),
        "started": _ms(row["started_us"] or row["requested_us"]),
        "ended": _ms(row["ended_us"]),
    }


def _at(status: RunStatus, row: Mapping[str, Any]) -> str:
    """Where the run is; for one that may not start, why."""
    if status is RunStatus.QUEUED and row["current_step_summary"]:
        return f"waits: {row['current_step_summary']}"
    return str(row["current_step_name"] or "")


def _mini_rail(status: RunStatus, row: Mapping[str, Any]) -> list[list[str]]:
    look = words.RUN[status]
    done, total = int(row["steps_done"]), int(row["steps_total"])
    done_tone = words.STEP[StepStatus.SUCCEEDED].tone
    rail = [[done_tone, "on"] for _ in range(done)]
    if done < total:
        rail.append([look.tone, "open" if row["ended_us"] is None else "on"])
    return rail + [["idle", ""] for _ in range(total - len(rail))]


def _verdict_look(row: Mapping[str, Any]) -> dict[str, str] | None:
    if not row["verdict"]:
        return None
    warn = int(row["verdict_warn"])
    look = words.VERDICT[(row["verdict"], warn > 0)]
    text = verdict_text(row["verdict"], warn, int(row["verdict_fail"]), bool(row["verdict_error"]))
    page = f"/replay-run?run={row['run_id']}"
    return {"word": text, "tone": look.tone, "page": page}


def verdict_text(decision: str, warn: int, fail: int, error: bool) -> str:
    """`PASS (2 WARN)`; an evaluation error is a FAIL that says so."""
    if error:
        return f"{decision} (could not be evaluated)"
    counts = [f"{fail} FAIL"] * (fail > 0) + [f"{warn} WARN"] * (warn > 0)
    return f"{decision} ({', '.join(counts)})" if counts else decision


# --- cards ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalCard:
    """Who has decided so far. `link`: what the page of the approval is good for now."""

    given: str
    requester: str
    binding_short: str
    decisions: tuple[tuple[str, str, str], ...]
    link: str
    shortage: str


def approval_card(run: Run) -> ApprovalCard | None:
    """None while nobody is asked and nobody was."""
    if run.binding is None and not run.approvals:
        return None
    return ApprovalCard(
        given=f"{len(run.counting_approvals)} of {run.request.approval.min_approvals} approvals",
        requester=run.requested_by,
        binding_short="" if run.binding is None else f"sha256:{run.binding.short}",
        decisions=tuple(
            (
                a.person,
                a.decision if a.counts else f"{a.decision}, no longer counts",
                f"{day_time(a.decided_us)}{': ' + a.comment if a.comment else ''}"
                + (f" With a link or token that {a.hand} made." if a.hand else ""),
            )
            for a in run.approvals
        ),
        link="Look at it and decide" if approval_first(run) else "What they saw",
        shortage=eligibility.shortage(run) if approval_first(run) else "",
    )


def approval_first(run: Run) -> bool:
    """Whether people are what the run waits for right now."""
    return run.status is RunStatus.AWAITING_APPROVAL


def story_rows(lines: Sequence[Line], *, last: int) -> tuple[tuple[str, str, str], ...]:
    """The newest sentences, newest first: time, sentence, the event that it rests on.

    Digests are cut to twelve digits: whole ones stand in the story of the packs.
    """
    newest = list(lines)[-last:][::-1]
    return tuple(
        (
            day_time(x.ts_us),
            _DIGEST.sub(r"\1…", x.text),
            f"event {x.seq} {x.hash[:8]}",
        )
        for x in newest
    )


def pause_after_text(run: Run) -> str:
    """What pausing does, said before it is done."""
    step = run.current_step
    if step is None or step.spec.kind is not StepKind.DEPLOY:
        return "The run stops before its next step. Nothing else changes."
    one = len(run.changed_targets) == 1
    stay = "stays on the new bundle and goes" if one else "stay on the new bundle and go"
    return (
        f"The gate's clock stops at once; {plural(len(run.changed_targets), 'target')} {stay} on "
        "serving. "
        "Health is still read and shown."
    )


def _ms(us: int | None) -> int | None:
    return None if us is None else int(us) // 1000
