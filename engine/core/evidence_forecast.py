"""What evidence a run has, what will still arrive and what can't any more. Pure.

Counted are the items of the proof chain, the run record of the seal among them; the chain itself,
which the seal signs last, is none of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from engine.core.spec import StepKind
from engine.core.state import Run, StepState
from engine.core.statemachine import StepStatus

_NEVER: Final = {StepStatus.SKIPPED: "step skipped", StepStatus.CANCELLED: "step cancelled"}
_ENDED: Final = "the run ended before it"
_LOST: Final = "could not be signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Of one step.

    Attributes:
        signed: items that are there.
        due: items that will arrive if the run goes on as it should.
        barred: items that can't arrive any more; `why`: the reason, empty without any.
    """

    step: str
    signed: int
    due: int
    barred: int
    why: str


def due(run: Run, step: StepState) -> int:
    """Items that are still to come for this step, the proof chain included; 0 where none will."""
    if run.terminal or step.status in _NEVER or any(a.evidence_missing for a in step.attempts):
        return 0
    if step.spec.kind is StepKind.SEAL:
        return 0 if run.chain is not None else 1
    if step.spec.kind is StepKind.APPROVAL:
        return max(0, _expected(run, step) - _signed(step))
    attempt = step.attempt
    return int(attempt is None or not attempt.evidence)


def outlook(run: Run, step: StepState) -> Outlook:
    signed, whole, coming = _signed(step), _expected(run, step), due(run, step)
    match step.spec.kind:
        case StepKind.APPROVAL:
            barred = max(0, whole - signed - coming)
        case StepKind.SEAL:
            coming = min(coming, max(0, whole - signed))
            barred = max(0, whole - signed - coming)
        case _:
            coming = whole if coming else 0
            barred = 0 if signed else whole - coming
    return Outlook(
        step=step.id, signed=signed, due=coming, barred=barred, why=_why(step) if barred else ""
    )


def sentence(run: Run) -> str:
    """`If sealed now 7 of 11; 2 will arrive, 2 can't: step skipped`, or how it ended."""
    found = [outlook(run, step) for step in run.steps]
    signed, coming = sum(o.signed for o in found), sum(o.due for o in found)
    why: Counter[str] = Counter()
    for one in found:
        why[one.why] += one.barred
    barred = why.total()
    whole = signed + coming + barred
    reasons = ", ".join(reason for reason, count in why.items() if count)
    if run.terminal:
        head = f"{'Sealed with' if run.chain is not None else 'Not sealed:'} {signed} of {whole}"
        return f"{head}; {barred} never arrived: {reasons}." if barred else f"{head}."
    parts = [
        f"{coming} will arrive" if coming else "",
        f"{barred} can't: {reasons}" if barred else "",
    ]
    return "; ".join([f"If sealed now {signed} of {whole}", ", ".join(filter(None, parts))]) + "."


def _signed(step: StepState) -> int:
    return sum(len(attempt.evidence) for attempt in step.attempts)


def _expected(run: Run, step: StepState) -> int:
    """Items of one attempt that goes as it should; what it finds may add one, a VEX for example."""
    match step.spec.kind:
        case StepKind.APPROVAL:
            return max(1, run.request.approval.min_approvals)
        case StepKind.DEPLOY:  # what was set, what the gate said; the first one's provenance too
            stages = [one.id for one in run.steps if one.spec.kind is StepKind.DEPLOY]
            return 3 if step.id == stages[0] and len(step.attempts) < 2 else 2
        case StepKind.VERIFY:  # what was seen running, what the gate said
            return 2
        case StepKind.SEAL:  # homes of before sealed without a run record
            return int(run.chain is None)
        case _:
            return 1


def _why(step: StepState) -> str:
    if any(attempt.evidence_missing for attempt in step.attempts):
        return _LOST
    return _NEVER.get(step.status, _ENDED)
