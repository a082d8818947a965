"""View-models of a deploy stage: its numbers, its series, its targets. No `st.` here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from data import queries
from engine.core.commands import Action
from engine.core.health_criteria import Criteria
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.live import watched_step
from engine.live_feed import worst_p95
from engine.live_stage import (
    Arm,
    Poll,
    Restart,
    StageNow,
    criteria_of,
    criteria_sentence,
    polls_of,
    stage_now,
)
from engine.live_text import day_time, plural
from engine.live_view import target_letter
from pages.ui import words

_WATCHED: Final = frozenset({StepKind.DEPLOY, StepKind.VERIFY})
_ACTIONS: Final = (
    Action.RESUME,
    Action.RETRY_STEP,
    Action.PAUSE,
    Action.CONTINUE,
    Action.ROLLBACK,
    Action.RETRY_ROLLBACK,
)
# More points than pixels help nobody; the newest are kept.
_POINTS_MAX: Final = 300


class Reading(Protocol):
    """What a stage's page needs of the store."""

    def cursor(self) -> Any: ...

    def gate_ticks(self, run_id: str, step: str, first_attempt: int) -> tuple[GateTick, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StageData:
    """Attributes:
    times_us: of the polls, oldest first; the four series have one value per poll, None = gap.
    canary_errors, baseline_errors: percent of the poll's requests.
    """

    polls: tuple[Poll, ...]
    now: StageNow | None
    criteria: Criteria
    times_us: tuple[int, ...]
    canary_errors: tuple[float | None, ...]
    baseline_errors: tuple[float | None, ...]
    canary_p95: tuple[float | None, ...]
    baseline_p95: tuple[float | None, ...]
    restarts: tuple[Restart, ...]


def read(store: Reading, run: Run, step: StepState) -> StageData:
    """Everything that the step's watch has seen, from the newest attempt's beginning."""
    step = run.step(step.id)
    ticks = store.gate_ticks(run.run_id, step.id, step.watch_from) if step.attempts else ()
    samples: Sequence[Mapping[str, Any]] = ()
    if ticks:
        frame = queries.stage_samples(store.cursor(), run_id=run.run_id, step=step.id)
        samples = frame.to_dicts()
    return stage_data(run, step, ticks, samples)


def stage_data(
    run: Run, step: StepState, ticks: Sequence[GateTick], samples: Sequence[Mapping[str, Any]]
) -> StageData:
    polls, p95 = polls_of(ticks), worst_p95(samples)
    shown = polls[-_POINTS_MAX:]
    now = stage_now(run, step, ticks, p95) if ticks else None
    times = sorted(p95)[-_POINTS_MAX:]
    slow = {at: p95[at] for at in times}
    first = [_near(slow, p.ts_us) for p in shown]
    return StageData(
        polls=polls,
        now=now,
        criteria=criteria_of(step),
        times_us=tuple(p.ts_us for p in shown),
        canary_errors=tuple(_percent(p.canary) for p in shown),
        baseline_errors=tuple(_percent(p.baseline) for p in shown),
        canary_p95=tuple(pair[0] for pair in first),
        baseline_p95=tuple(pair[1] for pair in first),
        restarts=() if now is None else now.restarts,
    )


def _near(
    p95: Mapping[int, tuple[int | None, int | None]], ts_us: int
) -> tuple[float | None, float | None]:
    """The latencies of the poll at `ts_us`; its samples may carry a slightly older time."""
    known = [at for at in p95 if ts_us - 500_000 <= at <= ts_us]
    return p95[max(known)] if known else (None, None)


def _percent(arm: Arm | None) -> float | None:
    if arm is None or arm.requests == 0:
        return None
    return 100 * arm.errors / arm.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHeader:
    """Attributes:
    live: the stage is being watched now.
    frozen: how it was left, as the numbers' component draws it; None while it moves.
    """

    badge: str
    line: str
    live: bool
    frozen: dict[str, Any] | None
    waiting: str
    error_title: str
    error_alt: str
    latency_title: str
    latency_alt: str


def header(run: Run, step: StepState, data: StageData) -> StageHeader:
    sentence = criteria_sentence(data.criteria)
    held = f" {data.now.held_as()}." if data.now is not None and run.request.speed > 1 else ""
    cohort = run.cohort(step.id)
    where = f"**{words.plain(run.label)}** to {run.request.region} / {run.environment}"
    sets = f" Stage: {plural(len(cohort), 'target')} of {len(run.targets)}." if cohort else ""
    watched = watched_step(run)
    live = watched is not None and watched.id == step.id
    limit = data.criteria.error_rate_ppm_max / 10_000
    slow = data.criteria.slow_over_ms
    return StageHeader(
        badge=words.STEP[step.status].badge,
        line=f"{where} · Policy: {sentence}.{held}{sets}",
        live=live,
        frozen=None if live or data.now is None else data.now.document(),
        waiting=_waiting(run, step),
        error_title="**Error rate** :gray[· per poll, UTC]",
        error_alt=f"Error rate per poll of canary and baseline against the limit of {limit:g} %",
        latency_title="**Latency p95** :gray[· worst target of each arm, UTC]",
        latency_alt=f"p95 latency of canary and baseline; slow is over {slow} ms",
    )


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
    """Only the current stage can be acted on from its page."""
    current = run.current_step
    return _ACTIONS if current is not None and current.id == step.id else (Action.ROLLBACK,)


def target_rows(run: Run, step: StepState, data: StageData) -> list[dict[str, Any]]:
    """One row per target of the environment, in the order of the live letters."""
    cohort = set(run.cohort(step.id))
    return [
        {
            "target": target.target,
            "letter": (letter := target_letter(run, target, data.now)),
            "version": _version(run, target.current, target.baseline),
            "digest": "unknown" if target.current is None else str(target.current),
            "is_new": target.current == run.bundle,
            "note": target.note or _note(run, step, letter, target.target),
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
            return f"waits for {run.step(waits).spec.name}"
        return "unchanged by this run"
    return {"H": "serving", "X": "fails its probe", "Q": "gave no answer"}.get(
        letter, look.word.lower()
    )


def restarts(data: StageData) -> tuple[tuple[str, str], ...]:
    """Every restart of the gate's clock, newest first: when, why."""
    return tuple((day_time(r.ts_us), r.reason) for r in reversed(data.restarts))
