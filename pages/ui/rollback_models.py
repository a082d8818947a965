"""View-model of the Rollback / Re-run page: what may be chosen, and what it would do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.commands import Action, ActionState
from engine.core.rollback_preview import PreviewRow, RollbackPreview, RowAction
from engine.core.run import Run
from engine.core.standing import Hold
from engine.core.statemachine import RunStatus
from engine.core.way_back import FULL, WayBack
from engine.live_text import day_time, plural
from pages.ui import models, words

# In the order of the page: first what is milder.
_ORDER: Final = (
    Action.RERUN_STEP,
    Action.RETRY_STEP,
    Action.PAUSE,
    Action.ROLLBACK,
    Action.RETRY_ROLLBACK,
    Action.RERUN,
    Action.ROLLBACK_PROMOTION,
)
_BACK: Final = frozenset({Action.ROLLBACK, Action.RETRY_ROLLBACK, Action.ROLLBACK_PROMOTION})
BY_NAME: Final = "by_name"
_SIGNS: Final[Mapping[RowAction, str]] = {
    RowAction.REVERT: "↩ reverts",
    RowAction.UNCHANGED: "= unchanged",
    RowAction.IRREVERSIBLE: "✕ cannot go back",
    RowAction.UNKNOWN: "? no answer, is tried",
}


# So that the whole of both digests is seen on a small screen.
WIDTHS_PX: Final[Mapping[str, int]] = {
    "Target": 90,
    "What happens": 108,
    "Now": 143,
    "Afterwards": 143,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing that may be chosen. `key`: the action's word, or `by_name`."""

    key: str
    action: Action
    label: str
    caption: str
    button: str
    ok: bool

    @property
    def goes_back(self) -> bool:
        """It has a preview of targets."""
        return self.action in _BACK


def choices(states: Iterable[ActionState], run: Run) -> tuple[Choice, ...]:
    """What this page offers for this person now; what is not possible says why."""
    shown = {state.action: state for state in states if state.shown}
    found = []
    for action in _ORDER:
        state = shown.get(action)
        if state is None or (action is Action.RETRY_STEP and not state.ok):
            continue
        label, caption = _told(run, action)
        found.append(
            Choice(
                key=action.value,
                action=action,
                label=label,
                caption=caption if state.ok else state.why_not,
                button=words.ACTION[action].label,
                ok=state.ok,
            )
        )
        if action is Action.ROLLBACK:
            found.append(_by_name(state))
    return tuple(found)


def _by_name(state: ActionState) -> Choice:
    return Choice(
        key=BY_NAME,
        action=Action.ROLLBACK,
        label="Send single targets back",
        caption="The run is paused; only the targets you name go back, and are verified."
        if state.ok
        else state.why_not,
        button="Send back",
        ok=state.ok,
    )


def _told(run: Run, action: Action) -> tuple[str, str]:
    step = run.current_step
    name = "the current step" if step is None else step.spec.name
    number = 1 if step is None else len(step.attempts) + 1
    match action:
        case Action.RERUN_STEP | Action.RETRY_STEP:
            kept = "the earlier attempt and its evidence stay"
            return f"Re-run {name}", f"Attempt {number} begins and records new evidence; {kept}."
        case Action.PAUSE:
            return "Pause the promotion", models.pause_after_text(run)
        case Action.ROLLBACK:
            return (
                f"Roll back to the bundle before{_previous(run)}",
                "Every target that this run changed goes to what it ran before, and is verified.",
            )
        case Action.RETRY_ROLLBACK:
            return (
                "Try the rollback again",
                "Only targets that are not back yet are touched.",
            )
        case Action.RERUN:
            return (
                "Run the promotion again, as a new run",
                "Fresh inputs, today's workflow and policy; this run and its evidence stay.",
            )
        case _:
            return (
                f"Roll this promotion back{_previous(run)}, as a new run",
                "A run of kind ROLLBACK with its own evidence; no soak and no approval.",
            )


def _previous(run: Run) -> str:
    """The one bundle that ran before, when there is one."""
    before = {t.baseline for t in run.targets}
    if len(before) != 1:
        return " (each target to its own)"
    (only,) = before
    return "" if only is None else f" (manifest sha256:{only.short})"


def ticket_label(run: Run, choice: Choice) -> str:
    """Whether a ticket is needed, and of what form."""
    pattern = run.request.ticket_pattern
    if not pattern or choice.action not in {Action.ROLLBACK, Action.ROLLBACK_PROMOTION}:
        return "Ticket (optional)"
    return f"Ticket (required, here or in the reason: {words.plain(pattern)})"


def first(found: Sequence[Choice], asked: str) -> int:
    """Which choice the page opens with: what the address asks for, else the first rollback."""
    for i, choice in enumerate(found):
        if choice.key == asked:
            return i
    return next((i for i, c in enumerate(found) if c.goes_back and c.ok), 0)


# --- preview ------------------------------------------------------------------------------------


def impact(preview: RollbackPreview) -> tuple[str, ...]:
    """`2 targets now on the new bundle → go back to sha256:prev`, one line per kind of change."""
    lines = []
    groups: dict[tuple[RowAction, str], int] = {}
    for row in preview.rows:
        to = "" if row.to_digest is None else f"sha256:{row.to_digest.short}"
        groups[(row.action, to)] = groups.get((row.action, to), 0) + 1
    for (action, to), number in groups.items():
        targets = plural(number, "target")
        match action:
            case RowAction.REVERT:
                verb = "goes" if number == 1 else "go"
                lines.append(f"{targets} now on the new bundle → {verb} back to {to}")
            case RowAction.UNKNOWN:
                verb = "does" if number == 1 else "do"
                lines.append(f"{targets} {verb} not answer → tried all the same, to {to}")
            case RowAction.IRREVERSIBLE:
                lines.append(f"{targets} cannot go back")
            case _:
                lines.append(f"{targets} still on the old bundle → unchanged")
    return tuple(lines)


def table(preview: RollbackPreview) -> list[dict[str, str]]:
    """A row per target, those that stay as they are last; notes only when there is one."""
    noted = any(row.note for row in preview.rows)
    rows = sorted(preview.rows, key=lambda row: row.action is RowAction.UNCHANGED)
    return [
        {
            "Target": row.target,
            "What happens": _SIGNS[row.action],
            "Now": _bundle(row),
            "Afterwards": "–" if row.to_digest is None else f"bundle@{row.to_digest.short}",
            **({"Note": row.note} if noted else {}),
        }
        for row in rows
    ]


def _bundle(row: PreviewRow) -> str:
    return "unknown" if row.from_digest is None else f"bundle@{row.from_digest.short}"


def observed(preview: RollbackPreview) -> str:
    """Who looked and when, and which plan it gave."""
    at = day_time(preview.observed_at_us)
    how = "as last recorded" if preview.source == "record" else "as seen on the targets"
    return f"{how}, {at} · plan `sha256:{preview.digest.short}`"


# --- readiness and what was done ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether the way back is open. `level`: OK, WARN or UNKNOWN, as in `words.DATA_HEALTH`."""

    level: str
    head: str
    lines: tuple[str, ...]


def ready(run: Run) -> Ready:
    found = run.readiness
    if found is None:
        return Ready(
            level="UNKNOWN",
            head="The way back was not looked at yet",
            lines=("It is looked at before the first target is touched, and before each stage.",),
        )
    at = day_time(found.observed_at_us)
    said = f"Plan sha256:{found.plan.short}, looked at {at} before {_step_name(run, found.step)}."
    if found.stuck:
        count = plural(len(found.stuck), "target")
        stuck = tuple(f"{one.target}: {one.note}" for one in found.stuck)
        lines = (
            "A rollback does not begin by itself any more: the run pauses instead.", *stuck, said
        )  # fmt: skip
        return Ready(level="WARN", head=f"{count} cannot go back", lines=lines)
    one = len(found.targets) == 1
    held = f"{plural(len(found.targets), 'target')} {'holds its' if one else 'hold their'}"
    return Ready(
        level="OK",
        head="The way back is open",
        lines=(f"{held} previous bundle and can go back to it.", said),
    )


def hold_text(held: Hold) -> str:
    """Why the bundle may not be promoted here now, and since when."""
    return (
        f"{held.run} took {held.label} back from {held.environment} on {day_time(held.since_us)} "
        f"(by {held.by}): {held.why}. It is not promoted there again until somebody lifts this."
    )


def _step_name(run: Run, step_id: str) -> str:
    return next((s.spec.name for s in run.steps if s.id == step_id), step_id)


def ways(run: Run) -> list[dict[str, str]]:
    """Every way back of the run, newest first."""
    return [
        {
            "#": str(way.number),
            "Began": day_time(way.started_us),
            "By": way.by or way.trigger,
            "Scope": "every changed target" if way.scope == FULL else ", ".join(way.targets),
            "Reason": way.reason + (f" ({way.ticket})" if way.ticket else ""),
            "Came to": _came_to(way),
            "Evidence": _evidence(way),
        }
        for way in reversed(run.ways_back)
    ]


def _evidence(way: WayBack) -> str:
    if way.lost:
        return "missing: could not be signed"
    return f"{way.stem}.dsse logged" if way.sealed else "pending"


def _came_to(way: WayBack) -> str:
    if way.open:
        return "under way"
    return f"{way.outcome}: {way.note}" if way.note else way.outcome


def result_line(run: Run) -> tuple[str, str]:
    """Level and sentence of what has become of the run's rollback; empty when there was none."""
    match run.status:
        case RunStatus.ROLLING_BACK:
            return "WARN", "Going back right now; every target is looked at before it counts."
        case RunStatus.ROLLBACK_FAILED:
            why = run.ways_back[-1].note if run.ways_back else run.outcome_reason
            return "FAIL", f"The rollback did not get everything back: {why}."
        case RunStatus.ROLLED_BACK:
            return "OK", "Every changed target was seen on its previous bundle and healthy."
        case _ if run.rollback_suppressed:
            return "WARN", f"No rollback by itself: {run.rollback_suppressed}."
        case _:
            return "", ""
