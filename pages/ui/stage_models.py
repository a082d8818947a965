"""View-models of a deploy stage: how it stands in words, its targets, its charts. No `st.` here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core import overrides
from engine.core.commands import Action
from engine.core.events import Recorded
from engine.core.fact_events import GateDecided
from engine.core.gate_replay import GateReplay
from engine.core.health_criteria import duration
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.core.statemachine import RunStatus, StepStatus
from engine.live import watched_step
from engine.live_stage import StageNow, criteria_of, criteria_sentence, stage_now
from engine.live_stage_burn import Burn, burns
from engine.live_stage_course import Course
from engine.live_stage_reader import Seen
from engine.live_text import clock, count, day_time, moment, plural
from engine.live_view import target_letter
from pages.ui import words
from pages.ui.stage_models_heat import Heat, heat, heat_text
from pages.ui.stage_models_series import Series, burn_text, series

_WATCHED: Final = frozenset({StepKind.DEPLOY, StepKind.VERIFY})
_RUNNING: Final = (Action.PAUSE, Action.CONTINUE, Action.ROLLBACK, Action.RETRY_ROLLBACK)
_PAUSED: Final = (Action.RESUME, Action.RETRY_STEP, *_RUNNING)
# Charts are drawn anew with every poll, but not more often than people can look.
_REFRESH_S_MIN: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHeader:
    """Attributes:
    live: the stage is being watched now; `refresh_s`: how often its charts are drawn anew.
    frozen: how it was left, as the numbers' component draws it; None while it moves.
    """

    badge: str
    line: str
    criteria: str
    live: bool
    refresh_s: float
    frozen: dict[str, Any] | None
    waiting: str


def header(run: Run, step: StepState, seen: Seen | None) -> StageHeader:
    criteria = criteria_of(step) if seen is None else seen.course.criteria
    now = None if seen is None else _now(run, step, seen)
    cohort = run.cohort(step.id)
    where = f"**{words.plain(run.label)}** to {run.request.region} / {run.environment}"
    sets = f" · this stage: {plural(len(cohort), 'target')} of {len(run.targets)}" if cohort else ""
    held = ""
    if run.request.speed > 1:
        was = duration(criteria.hold_ms * run.request.speed)
        held = f" (at speed {run.request.speed}, {was} held as {duration(criteria.hold_ms)})"
    watched = watched_step(run)
    live = watched is not None and watched.id == step.id
    return StageHeader(
        badge=words.STEP[step.status].badge,
        line=f"{where}{sets}",
        criteria=f"Policy: {criteria_sentence(criteria)}{held}",
        live=live,
        refresh_s=max(_REFRESH_S_MIN, step.spec.poll_ms / 1000),
        frozen=None if now is None else now.document() | {"answer": _left(run, step, now)},
        waiting=_waiting(run, step),
    )


def _now(run: Run, step: StepState, seen: Seen) -> StageNow:
    return stage_now(run, step, seen.course, seen.p95, by_minute=seen.by_minute)


def _left(run: Run, step: StepState, now: StageNow) -> dict[str, str]:
    """How a stage that is watched no more was left: the answer in one line."""
    look, name = words.STEP[step.status], now.short
    summary = f"{step.summary[:1].upper()}{step.summary[1:].rstrip('.')}." if step.summary else ""
    match step.status:
        case StepStatus.SUCCEEDED:
            head = f"{name} {_passed(run, step)}."
        case StepStatus.REVERTED:
            head = f"{name} was rolled back."
        case StepStatus.FAILED:
            head = f"{name} failed."
        case StepStatus.INCONCLUSIVE:
            head = f"{name} ended without an answer."
        case _:
            head = f"{name}: {look.word.lower()}."
    if now.trigger == "TRIGGERED":
        summary = f"Rule {now.rule}: {now.reason.rstrip('.')}."
    return {"tone": look.tone, "shape": look.shape, "head": head, "text": summary}


def _passed(run: Run, step: StepState) -> str:
    match step.attempt and step.attempt.result:
        case "OVERRIDDEN":
            return f"was continued {overrides.suppressed(run, step.id, len(step.attempts))}"
        case "CONTINUED":
            return "was continued by a person"
        case _:
            return "passed its gate"


def _waiting(run: Run, step: StepState) -> str:
    if step.attempts:
        return "Its targets are being set; health is watched as soon as they are."
    if run.terminal or run.outcome is not None:
        return f"This stage never began. {step.summary}".strip()
    return "This stage has not begun; its numbers appear with its first health tick."


def default_step(run: Run) -> str:
    """The stage that matters most now: the watched one, else the last that began, else the first.

    Empty for a run without any.
    """
    stages = [s for s in run.steps if s.spec.kind in _WATCHED]
    begun = [s for s in stages if s.attempts]
    watched = watched_step(run)
    chosen = watched or (begun[-1] if begun else stages[0] if stages else None)
    return "" if chosen is None else chosen.id


def actions_for(run: Run, step: StepState) -> tuple[Action, ...]:
    """Only the current stage can be acted on from its page; a retry is for one that stands."""
    current = run.current_step
    if current is None or current.id != step.id:
        return (Action.ROLLBACK,)
    return _PAUSED if run.status is RunStatus.PAUSED else _RUNNING


# --- charts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Everything that is drawn over time, with each picture told in words.

    Attributes:
        resets: every restart of the gate's clock, newest first: when, what it had held, why.
        decided: every answer that the gate changed to, newest first: when, action, rule, why.
        proof: whether the stored ticks give the recorded answers again; None = not all is shown.
    """

    series: Series
    heat: Heat
    chart_alt: str
    heat_alt: str
    burn: str
    resets: tuple[tuple[str, str, str], ...]
    decided: tuple[tuple[str, str, str], ...]
    proof: GateReplay
    note: str


def charts(
    run: Run, step: StepState, seen: Seen, before: Sequence[Seen], log: Sequence[Recorded]
) -> Charts:
    """Args:
    before: watches of the run's earlier stages, oldest first.
    log: the run's whole log.
    """
    course = seen.course
    burn = burns(course, [one.course for one in before], changed_us=_changed_us(run, step))
    shown = series(seen, log, burn)
    map_ = heat(run, course)
    cohort = len(run.cohort(step.id)) or len(run.targets)
    return Charts(
        series=shown,
        heat=map_,
        chart_alt=_chart_alt(run, step, seen, shown),
        heat_alt=heat_text(map_, cohort),
        burn=_burn_line(course, burn),
        resets=tuple(
            (day_time(r.ts_us), clock(r.lost_ms), r.reason) for r in reversed(course.restarts)
        ),
        decided=_decided(run, log, course),
        proof=course.replayed([e.event for e in log if isinstance(e.event, GateDecided)]),
        note=" ".join(_notes(seen, shown)),
    )


def _notes(seen: Seen, shown: Series) -> Iterator[str]:
    if shown.cut:
        yield f"The {count(shown.cut)} oldest polls are not drawn."
    if seen.by_minute:
        yield (
            "This stage's raw samples are older than they are kept (retention.samples). Latency is "
            "drawn from its roll-ups by the minute, the highest value of each; every other line "
            "is exact, from the stored ticks."
        )


def _changed_us(run: Run, step: StepState) -> int:
    """When the run's first change began."""
    begun = [s.attempts[0].started_us for s in run.steps if s.spec.gate and s.attempts]
    return min(begun, default=step.attempts[0].started_us)


def _decided(run: Run, log: Iterable[Recorded], course: Course) -> tuple[tuple[str, str, str], ...]:
    first, last = course.attempts
    return tuple(
        (
            f"{moment(one.ts_us):%H:%M:%S}",
            f"{e.action}, rule {e.rule}{_overruled(run, e)}",
            e.reason,
        )
        for one in log
        if isinstance(e := one.event, GateDecided)
        and e.step == course.step
        and first <= e.attempt <= last
    )[::-1]


def _overruled(run: Run, decided: GateDecided) -> str:
    by = overrides.suppressed(run, decided.step, decided.attempt, decided.evidence)
    return f" · SUPPRESSED {by}" if by else ""


def _burn_line(course: Course, burn: Sequence[Burn]) -> str:
    """`5m 0.4x (12 of n = 3,004) · 1h not enough history (2 m 10 s known)`."""
    parts = []
    for one in burn:
        bad, total = (one.bad[-1], one.total[-1]) if one.total else (None, None)
        told = burn_text(bad, total, course.criteria)
        parts.append(f"{one.name} {told or 'not enough history'}")
    return " · ".join(parts)


def _chart_alt(run: Run, step: StepState, seen: Seen, shown: Series) -> str:
    now = _now(run, step, seen)
    restarts = plural(len(seen.course.restarts), "restart")
    evidence = shown.evidence_missing or _evidence_alt(shown)
    gaps = f" {plural(len(shown.gaps), 'gap')} without data." if shown.gaps else ""
    return (
        f"{now.short} over {plural(len(seen.course.points), 'poll')}. Error rate of the canary "
        f"{now.error_rate} of {count(now.window.requests)} requests in the window, limit "
        f"{shown.criteria.error_rate_ppm_max / 10_000:g} %; p95 "
        f"{'unknown' if now.p95_ms is None else f'at most {now.p95_ms} ms'}"
        f"{', the highest of its minute' if seen.by_minute else ''}. {evidence} Criteria "
        f"held {clock(now.held_ms)} of {clock(shown.criteria.hold_ms)} with {restarts}; "
        f"{now.requests_text()} requests in the window.{gaps}"
    )


def _evidence_alt(shown: Series) -> str:
    suspect, rollback = shown.lines_log10
    known = [v for v in shown.evidence[0].values if v is not None]
    now = f"{known[-1]:.2f}" if known else "unknown"
    return (
        f"Evidence against the release (log10): {now}, suspect from {suspect:.2f}, "
        f"rollback from {rollback:.2f}."
    )


# --- targets ----------------------------------------------------------------------------------


def target_rows(
    run: Run, step: StepState, seen: Seen | None, switching: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row per target of the environment, in the order of the live letters.

    Args:
        switching: targets whose switch a pause lets finish.
    """
    now = None if seen is None else _now(run, step, seen)
    cohort = set(run.cohort(step.id))
    return [
        {
            "target": target.target,
            "letter": (letter := target_letter(run, target, now, switching)),
            "version": _version(run, target.current, target.baseline),
            "digest": "unknown" if target.current is None else str(target.current),
            "is_new": target.current == run.bundle,
            "note": "the run is pausing after this one: its switch finishes"
            if target.target in switching
            else target.note or _note(run, step, letter, target.target),
            "cohort": target.target in cohort,
        }
        for target in run.targets
    ]


def _version(run: Run, current: Any, baseline: Any) -> str:
    if current is None:
        return "not looked at yet" if run.plan is None else "no answer"
    if current == run.bundle:
        return f"bundle@{current.short} new"
    return f"bundle@{current.short}" + (" old" if current == baseline else "")


def _note(run: Run, step: StepState, letter: str, target: str) -> str:
    look = words.TARGET[letter]
    if letter == "O":
        waits = next((c.step for c in run.cohorts if target in c.targets), "")
        if waits and run.outcome is None and not run.terminal:
            if run.status is RunStatus.PAUSED and waits == step.id:
                return "the run is paused; not changed until it goes on"
            return f"pending, waits for {run.step(waits).spec.name}"
        return "unchanged by this run"
    return {
        "H": "ok, serving",
        "X": "fails its probe",
        "Q": "gave no answer",
        "U": "being drained, switched and seen healthy",
        "V": "going back to its bundle from before",
        "R": "back on its bundle from before",
    }.get(letter, look.word.lower())
