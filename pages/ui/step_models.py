"""View-models of a step's page: header, inputs, outputs, attempts, logs, evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core.commands import Action
from engine.core.event_parts import NamedDigest
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import Attempt, StepState
from engine.core.statemachine import StepStatus
from engine.live_text import day_time, plural, span
from engine.live_view import step_line, step_text
from pages.ui import words

_ACTIONS: Final[Mapping[StepKind, tuple[Action, ...]]] = {
    StepKind.APPROVAL: (Action.APPROVE, Action.REJECT, Action.WITHDRAW),
}
_COMMON: Final = (Action.RETRY_STEP, Action.RERUN_STEP, Action.MARK_STEP_FAILED, Action.PAUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of inputs or outputs; `digest` whole, to copy; empty when it is no digest.

    `page` is the address that explains it; empty when there is none.
    """

    name: str
    text: str
    digest: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHeader:
    badge: str
    line: str
    inputs: tuple[Fact, ...]
    outputs: tuple[Fact, ...]


def header(run: Run, step: StepState, number: int) -> StepHeader:
    """The top of the page for one attempt; `number` 0 = it has not begun."""
    attempt = attempt_of(step, number)
    return StepHeader(
        badge=_look(run, step, attempt).badge,
        line=_line(run, step, attempt),
        inputs=inputs_of(run, step),
        outputs=outputs_of(run, step, attempt),
    )


def attempt_of(step: StepState, number: int) -> Attempt | None:
    return next((a for a in step.attempts if a.number == number), None)


def _look(run: Run, step: StepState, attempt: Attempt | None) -> words.Look:
    status = step.status if attempt is None or attempt is step.attempt else attempt.status
    line = step_line(run, step, None)
    if status is StepStatus.SUCCEEDED and line["w"]:
        return words.PASSED_WITH_WARNINGS
    return words.STEP[status]


def _line(run: Run, step: StepState, attempt: Attempt | None) -> str:
    if attempt is None:
        return f":gray[Not started.] {step_text(run, step, None)}".strip()
    parts = [f":gray[Start] {day_time(attempt.started_us)}"]
    if attempt.ended_us is None:
        parts.append(":gray[still running]")
    else:
        parts.append(f":gray[End] {day_time(attempt.ended_us)}")
        parts.append(f":gray[Duration] {span(attempt.ended_us - attempt.started_us)}")
    result = attempt.result or words.STEP[attempt.status].word
    parts.append(f":gray[Result] **{words.plain(result)}**")
    return " · ".join(parts)


def inputs_of(run: Run, step: StepState) -> tuple[Fact, ...]:
    """What the step worked from, as far as the run knows it."""
    request = run.request
    facts = [_digest("Bundle manifest", run.bundle)]
    match step.spec.kind:
        case StepKind.INPUTS:
            facts.append(Fact(name="Environment", text=f"{request.region} / {run.environment}"))
            facts.append(_digest("Configuration", request.config_digest))
        case StepKind.GATE_EVAL:
            facts.append(_digest(f"Policy {request.policy}", request.policy_digest))
            if run.verdict is not None:
                facts.append(_digest("Policy input", run.verdict.policy_input))
        case StepKind.APPROVAL:
            if run.verdict is not None:
                verdict_id = run.verdict.verdict_id
                said = _digest(f"Verdict {verdict_id}", run.verdict.verdict)
                facts.append(replace(said, page=words.verdict_address(verdict_id)))
            if run.binding is not None:
                facts.append(_digest("Bound to", run.binding))
        case StepKind.DEPLOY | StepKind.VERIFY:
            if run.plan is not None:
                facts.append(_digest("Rollout plan", run.plan))
            cohort = run.cohort(step.id)
            if cohort:
                names = f"{cohort[0]} … {cohort[-1]}" if len(cohort) > 1 else cohort[0]
                facts.append(Fact(name="Targets", text=f"{len(cohort)}: {names}"))
        case StepKind.SEAL:
            text = plural(run.evidence_count, "evidence item")
            facts.append(Fact(name="Chain over", text=text))
    if step.spec.kind is not StepKind.INPUTS and run.resolved_inputs is not None:
        facts.append(_digest("Resolved inputs", run.resolved_inputs))
    return tuple(facts)


def outputs_of(run: Run, step: StepState, attempt: Attempt | None) -> tuple[Fact, ...]:
    if attempt is None:
        return ()
    facts = [_digest(output.name, output.digest) for output in attempt.outputs]
    verdict = run.verdict
    if step.spec.kind is StepKind.GATE_EVAL and verdict and verdict.attempt == attempt.number:
        page = words.verdict_address(verdict.verdict_id)
        facts.insert(0, Fact(name="Verdict id", text=verdict.verdict_id, page=page))
        facts.insert(1, _digest("Decision digest", verdict.verdict))
    if step.spec.kind is StepKind.SEAL and run.chain is not None:
        facts.append(_digest("Proof chain", run.chain))
    if step.spec.kind in {StepKind.DEPLOY, StepKind.VERIFY} and attempt is step.attempt:
        facts += _stage_outputs(run, step)
    return tuple(facts)


def _stage_outputs(run: Run, step: StepState) -> list[Fact]:
    """What a stage left behind: targets on the new bundle, and the gate's latest decision."""
    cohort = run.cohort(step.id) or run.request.targets
    on_new = sum(t.current == run.bundle for t in run.targets if t.target in cohort)
    facts = [Fact(name="On the new bundle", text=f"{on_new} of {plural(len(cohort), 'target')}")]
    if step.gate is not None:
        facts.append(Fact(name="Gate's answer", text=f"{step.gate.action}, rule {step.gate.rule}"))
        facts.append(_digest("Gate decision", step.gate.evidence))
    return facts


def notes(run: Run, step: StepState) -> tuple[str, ...]:
    """What the step has to say beyond its result: a verdict's notes, an approval's comments."""
    verdict = run.verdict
    if step.spec.kind is StepKind.GATE_EVAL and verdict is not None:
        return verdict.notes
    if step.spec.kind is StepKind.APPROVAL:
        return tuple(
            f"{a.person} {a.decision}{': ' + a.comment if a.comment else ''}" for a in run.approvals
        )
    text = step_text(run, step, None)
    return (text,) if text else ()


def attempt_rows(step: StepState) -> tuple[dict[str, str], ...]:
    """Every attempt, newest first; old ones and their evidence stay."""
    rows = []
    for attempt in reversed(step.attempts):
        ended = attempt.ended_us
        rows.append(
            {
                "Attempt": str(attempt.number),
                "Status": words.STEP[attempt.status].badge,
                "Started": day_time(attempt.started_us),
                "Took": "–" if ended is None else span(ended - attempt.started_us),
                "Result": words.plain(attempt.result) or "–",
                "Reason": words.plain(attempt.reason) or "–",
                "By": words.plain(attempt.operator),
                "Evidence": plural(len(attempt.evidence), "item"),
            }
        )
    return tuple(rows)


def log_rows(rows: Sequence[Mapping[str, Any]], *, target: str) -> list[list[Any]]:
    """Lines for the log component, oldest first as they happened; `target` narrows them."""
    shown = [row for row in rows if not target or row["target"] == target]
    ordered = sorted(shown, key=lambda row: int(row["ts_us"]))
    return [
        [int(row["ts_us"]) // 1000, row["level"], row["target"] or "step", row["text"]]
        for row in ordered
    ]


def artifacts(run: Run, step: StepState, number: int) -> tuple[Fact, ...]:
    """Blobs that the attempt made or that it was about: each can be fetched by its digest."""
    attempt = attempt_of(step, number)
    made = [] if attempt is None else [_named(output) for output in attempt.outputs]
    about = [_digest("Bundle manifest", run.bundle)]
    if step.spec.kind is StepKind.GATE_EVAL and run.verdict is not None:
        about += [
            _digest("Policy input", run.verdict.policy_input),
            _digest("Verdict capsule", run.verdict.capsule),
        ]
    if step.gate is not None:
        about.append(_digest("Gate's last answer", step.gate.evidence))
    known = {fact.digest for fact in made}
    return (*made, *(fact for fact in about if fact.digest not in known))


def actions_for(run: Run, step: StepState) -> tuple[Action, ...]:
    """What may be done from this step's page: the actions that are about this very step."""
    current = run.current_step
    if not step.attempts and not run.terminal:
        return (Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP, Action.COMMENT)
    if current is None or current.id != step.id:
        return (Action.COMMENT,)
    return (*_ACTIONS.get(step.spec.kind, ()), *_COMMON)


def _named(output: NamedDigest) -> Fact:
    return _digest(output.name, output.digest)


def _digest(name: str, digest: Any) -> Fact:
    return Fact(name=name, text=f"sha256:{digest.short}…", digest=str(digest))
