"""A run as a page needs it at one moment: one small document, computed once for every viewer. Pure.

It says what happens now, whether it is healthy and what waits for whom. Words, icons and colours
of statuses are not in it; pages/ui/words.py has them. Times are UTC epoch milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from engine.core import evidence_forecast, step_times
from engine.core.rows import StepLog
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState, TargetState
from engine.core.statemachine import STEP_OPEN, RunStatus, StepStatus
from engine.live_now import now_sentence, under_way
from engine.live_stage import StageNow
from engine.live_text import plural

LOG_LINES: Final = 14
WIRE_MAX: Final = 4096
_TEXT_MAX: Final = 150


def document(run: Run, stage: StageNow | None, log: Sequence[StepLog]) -> dict[str, Any]:
    """Args:
    stage: the stage that is being watched; None outside one.
    log: newest first.
    """
    current, switching = current_step(run), under_way(run, log)
    return {
        "run": run.run_id,
        "status": run.status.value,
        "at": "" if current is None or run.started_us is None else short_name(current),
        "cur": "" if current is None else current.id,
        "end": run.terminal,
        "from": _ms(run.started_us or run.requested_us),
        "to": _ms(run.ended_us),
        "now": now_sentence(run, current, stage, log),
        "steps": [step_line(run, step, stage) for step in run.steps],
        "stage": None if stage is None else stage.document(),
        "tg": "".join(target_letter(run, target, stage, switching) for target in run.targets),
        "log": [
            [_ms(line.ts_us), line.level, line.step, log_text(line)] for line in log[:LOG_LINES]
        ],
        "sig": signature(run),
    }


def wire(document: dict[str, Any], version: int) -> bytes:
    """The server-sent event of a document, at most `WIRE_MAX` bytes: old log lines give way."""
    body = {**document, "seq": version}
    while True:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        event = f"event: snapshot\nid: {version}\ndata: {text}\n\n".encode()
        if len(event) <= WIRE_MAX:
            return event
        if body["log"]:
            body = {**body, "log": body["log"][:-1]}
        elif any(step["text"] for step in body["steps"]):
            longest = max(len(step["text"]) for step in body["steps"])
            body = {**body, "steps": [_shorter(step, longest // 2) for step in body["steps"]]}
        else:
            return event  # hundreds of targets: the letters alone are larger, and they matter


def signature(run: Run) -> str:
    """Changes when the page has to think again: other buttons, other links, another step."""
    step = run.current_step
    gate = None if step is None or step.gate is None else (step.gate.action, step.gate.rule)
    facts = (
        run.status,
        run.pause_reason,
        [(s.status, len(s.attempts), bool(s.attempt and s.attempt.applied)) for s in run.steps],
        [(a.person, a.decision, a.counts) for a in run.approvals],
        str(run.binding),
        run.evidence_count,
        run.seal_status,
        [str(t.current) for t in run.targets],
        gate,
        [s.time for s in run.steps],
        (run.unsettled, run.pause_cause, run.override, len(run.overrides), run.reviews),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def current_step(run: Run) -> StepState | None:
    """The step at hand; None when the run has ended."""
    if run.terminal:
        return None
    if run.status in {RunStatus.SEALING}:
        return run.step_of_kind(StepKind.SEAL)
    return run.current_step


def short_name(step: StepState) -> str:
    """As it stands behind the run's status: `Canary 10%`."""
    match step.spec.kind:
        case StepKind.INPUTS:
            return "Inputs"
        case StepKind.GATE_EVAL:
            return "Gate Eval"
        case StepKind.VERIFY:
            return "Verify"
        case StepKind.SEAL:
            return "Seal"
        case _:
            return step.spec.name.removeprefix("Deploy ")


def step_line(run: Run, step: StepState, stage: StageNow | None) -> dict[str, Any]:
    """Attributes of one row: `res` is the step's own judgement, `text` its one-line result, `ev`
    how many evidence items are in which state. `o`: when a step with a time opens."""
    attempt = step.attempt
    first, result, text = step.attempts[:1], "", step_text(run, step, stage)
    if attempt is not None and attempt.status not in STEP_OPEN:
        result = attempt.result
    verdict = run.verdict
    warned = step.spec.kind is StepKind.GATE_EVAL and verdict is not None and verdict.warn > 0
    time = step_times.wish(step)
    opens = {} if time is None or run.outcome is not None else {"o": _ms(time.opens_us)}
    return opens | {
        "id": step.id,
        "name": step.spec.name,
        "st": step.status.value,
        "res": result if step.status is StepStatus.SUCCEEDED else "",
        "text": text[:_TEXT_MAX],
        "a": _ms(first[0].started_us) if first else None,
        "b": None if attempt is None or step.open else _ms(attempt.ended_us),
        "n": len(step.attempts),
        "w": int(warned),
        "ev": evidence_forecast.states(run, step),
    }


def step_text(run: Run, step: StepState, stage: StageNow | None) -> str:
    """What the step has to say in one line, in the spirit of a colleague's answer."""
    if stage is not None and stage.step == step.id and step.status is StepStatus.RUNNING:
        return stage.line()
    match step.status:
        case StepStatus.PENDING:
            return _pending(run, step)
        case StepStatus.RUNNING:
            return _running(run, step)
        case StepStatus.WAITING if step.spec.kind is StepKind.APPROVAL:
            given = len(run.counting_approvals)
            names = ", ".join(a.person for a in run.counting_approvals)
            so_far = f" ({names})" if names else ""
            return f"{given} of {run.request.approval.min_approvals} approvals{so_far}"
        case StepStatus.ERRORED if step.retry_at_us is not None:
            return f"{step.summary}; tried again by itself"
        case StepStatus.SUCCEEDED if step.spec.kind is StepKind.GATE_EVAL and run.verdict:
            return _verdict_notes(run) or step.summary
        case StepStatus.SUCCEEDED if step.spec.kind is StepKind.APPROVAL:
            return step.summary.removeprefix("approved ")
        case _:
            return step.summary


def _verdict_notes(run: Run) -> str:
    verdict = run.verdict
    return "" if verdict is None else "; ".join(verdict.notes)


def _pending(run: Run, step: StepState) -> str:
    before = run.steps[: [s.id for s in run.steps].index(step.id)]
    if run.terminal or run.outcome is not None:
        return ""
    time = step_times.wish(step)
    if time is not None:
        missed = f"missed its window, which opened {time.at}: {time.missed}"
        return missed if time.missed else f"opens {time.at}"
    waits_for = before[-1].spec.name if before else ""
    match step.spec.kind:
        case StepKind.DEPLOY:
            count = len(run.cohort(step.id))
            what = f"{plural(count, 'target')}, " if count else ""
            return f"{what}when {waits_for} has passed"
        case StepKind.APPROVAL:
            needed = run.request.approval.min_approvals
            return f"{plural(needed, 'approval')} needed" if needed else "asks nobody"
        case StepKind.VERIFY:
            return "every target's digest and health, runtime snapshot"
        case StepKind.SEAL:
            return "proof chain over every item, then the packs"
        case _:
            return ""


def _running(run: Run, step: StepState) -> str:
    match step.spec.kind:
        case StepKind.INPUTS:
            return "resolving inputs and re-hashing every artifact"
        case StepKind.GATE_EVAL:
            return f"evaluating policy {run.request.policy}"
        case StepKind.DEPLOY:
            cohort = set(run.cohort(step.id))
            done = sum(t.current == run.bundle for t in run.targets if t.target in cohort)
            if step.attempt is not None and step.attempt.applied:
                return f"{plural(len(cohort), 'target')} set, waiting for the first health tick"
            return f"{done} of {plural(len(cohort), 'target')} on {run.bundle.short}"
        case StepKind.VERIFY:
            return "reading every target's digest and health"
        case StepKind.SEAL:
            return "signing the proof chain"
        case _:
            return ""


def target_letter(
    run: Run, target: TargetState, stage: StageNow | None, switching: Sequence[str] = ()
) -> str:
    """How a target stands: O old, U updating, H healthy on new, X unhealthy, Q unknown,
    V reverting, R reverted. The newest health tick counts where it knows the target.

    Args:
        switching: targets whose switch a pause lets finish (`live_now.under_way`).
    """
    if target.target in switching:
        return "U"
    healthy = target.healthy
    if stage is not None and target.target in stage.health:
        healthy = stage.health[target.target]
    reverting = run.status in {RunStatus.ROLLING_BACK, RunStatus.ROLLBACK_FAILED}
    if target.baseline is None and target.current is None:
        return "O" if run.plan is None else "Q"
    if target.current != run.bundle:
        if target.current is None:
            return "U" if _being_set(run, target.target) else "Q"
        if target.target in touched(run):
            if run.outcome is RunStatus.ROLLED_BACK or reverting:
                return "R"
            if _being_set(run, target.target):
                return "U"
        return "X" if healthy is False else "O"
    if reverting and target.changed:
        return "V"
    return {True: "H", False: "X", None: "Q"}[healthy]


def touched(run: Run) -> frozenset[str]:
    begun = [c.targets for c in run.cohorts if run.step(c.step).attempts]
    return frozenset(target for targets in begun for target in targets)


def _being_set(run: Run, target: str) -> bool:
    step = run.current_step
    return (
        run.status is RunStatus.RUNNING
        and step is not None
        and step.status is StepStatus.RUNNING
        and target in run.cohort(step.id)
    )


def log_text(line: StepLog) -> str:
    text = f"{line.target}: {line.text}" if line.target else line.text
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…"


def _shorter(step: dict[str, Any], limit: int) -> dict[str, Any]:
    text = step["text"]
    return {**step, "text": text if len(text) <= limit else f"{text[:limit]}…" if limit else ""}


def _ms(us: int | None) -> int | None:
    return None if us is None else us // 1000
