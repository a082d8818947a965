"""What evidence a run has, what will still arrive and what can't any more. Pure.

Counted are the items of the proof chain, the run record of the seal among them; the chain itself,
which the seal signs last, is none of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from engine.core import evidence_due
from engine.core.spec import StepKind
from engine.core.state import Attempt, Run, StepState
from engine.core.statemachine import STEP_OPEN, StepStatus
from engine.core.way_back import WayBack

_NEVER: Final = {StepStatus.SKIPPED: "step skipped", StepStatus.CANCELLED: "step cancelled"}
_ENDED: Final = "the run ended before it"
_LOST: Final = "could not be signed"
# States of items that a run knows of (vocabulary 2), in the order in which they are told.
STATES: Final = ("SEALED", "LOGGED", "SUPERSEDED", "EXPECTED", "MISSING", "CANNOT_ARRIVE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Of one step.

    Attributes:
        signed: items that are there.
        due: items that will arrive if the run goes on as it should.
        missing: attempts and ways back whose evidence could not be signed.
        barred: items that can't arrive any more; `why`: the reason, empty without any.
    """

    step: str
    signed: int
    due: int
    missing: int
    barred: int
    why: str


def outlook(run: Run, step: StepState) -> Outlook:
    due = barred = 0
    for attempt in step.attempts or (None,):
        coming, never = _left(run, step, attempt)
        due, barred = due + coming, barred + never
    lost = ways_lost(run, step)
    due += sum(w.open or evidence_due.way_back_to_tell(w) for w in _ways_back(run, step))
    if run.terminal:
        due, barred = 0, due + barred
    return Outlook(
        step=step.id,
        signed=sum(len(attempt.evidence) for attempt in step.attempts),
        due=due,
        missing=sum(attempt.evidence_missing for attempt in step.attempts) + len(lost),
        barred=barred,
        why=_why(step) if barred else "",
    )


def states(run: Run, step: StepState) -> dict[str, int]:
    """How many items of the step are in which state, those to come among them.

    In the order of `STATES`; those without any item are left out. The seal binds all at once.
    """
    found = outlook(run, step)
    kept = [len(attempt.evidence) for attempt in step.attempts if attempt.evidence]
    newest = kept[-1] if kept else 0
    counted = {
        "SEALED" if run.seal_status == "SEALED" else "LOGGED": newest,
        "SUPERSEDED": found.signed - newest,
        "EXPECTED": found.due,
        "MISSING": found.missing,
        "CANNOT_ARRIVE": found.barred,
    }
    return {state: counted[state] for state in STATES if counted.get(state)}


def whole(run: Run) -> dict[str, int]:
    """As `states`, of all steps together."""
    found: Counter[str] = Counter()
    for step in run.steps:
        found.update(states(run, step))
    return {state: found[state] for state in STATES if found[state]}


def sentence(run: Run) -> str:
    """`If sealed now 7 of 11; 2 will arrive, 2 can't: step skipped`, or how it ended."""
    found = [outlook(run, step) for step in run.steps]
    signed, coming = sum(o.signed for o in found), sum(o.due for o in found)
    why: Counter[str] = Counter()
    for one in found:
        why[_LOST] += one.missing
        why[one.why] += one.barred
    barred = why.total()
    every = signed + coming + barred
    told = {reason: count for reason, count in why.items() if count}
    reasons = ", ".join(
        f"{count} {reason}" if len(told) > 1 else reason for reason, count in told.items()
    )
    if run.terminal:
        head = f"{'Sealed with' if run.chain is not None else 'Not sealed:'} {signed} of {every}"
        return f"{head}; {barred} never arrived: {reasons}." if barred else f"{head}."
    parts = [
        f"{coming} will arrive" if coming else "",
        f"{barred} can't: {reasons}" if barred else "",
    ]
    return "; ".join([f"If sealed now {signed} of {every}", ", ".join(filter(None, parts))]) + "."


def _left(run: Run, step: StepState, attempt: Attempt | None) -> tuple[int, int]:
    """What is still to come of an attempt, and what can't come any more.

    Args:
        attempt: None = the step has not begun.
    """
    if attempt is None:
        whole = _expected(run, step, 1)
        return (0, whole) if step.status in _NEVER else (whole, 0)
    coming = never = 0
    match step.spec.kind:
        case StepKind.APPROVAL:
            coming = evidence_due.approval_items(run, attempt) - evidence_due.own_items(attempt)
            lacking = _lacking(run, step, attempt)
            if attempt.status in STEP_OPEN:
                coming += lacking
            elif attempt is step.attempt:
                never = lacking
        case StepKind.SEAL:
            if attempt is step.attempt:
                kept = sum(len(one.evidence) for one in step.attempts)
                coming = max(0, _expected(run, step, attempt.number) - kept)
        case _:
            if not evidence_due.own_items(attempt):
                coming = _expected(run, step, attempt.number)
    if attempt.evidence_missing:
        # One of them is the one that is said to be missing.
        return 0, max(0, coming + never - 1)
    return coming, never


def _expected(run: Run, step: StepState, number: int) -> int:
    """Items of an attempt that goes as it should; what it finds may add one, a VEX for example."""
    match step.spec.kind:
        case StepKind.APPROVAL:
            return max(1, run.request.approval.min_approvals)
        case StepKind.DEPLOY:  # what was set, what the gate said; the first one's provenance too
            stages = [one.id for one in run.steps if one.spec.kind is StepKind.DEPLOY]
            return 3 if step.id == stages[0] and number == 1 else 2
        case StepKind.VERIFY:  # what was seen running, what the gate said
            return 2
        case StepKind.SEAL:  # homes of before sealed without a run record
            return int(run.chain is None)
        case _:
            return 1


def _lacking(run: Run, step: StepState, attempt: Attempt) -> int:
    """Decisions that the approval still waits for, or waited for in vain."""
    given = [a for a in run.approvals if a.attempt == attempt.number]
    told = int(attempt.status not in STEP_OPEN and not given)
    return max(0, _expected(run, step, attempt.number) - sum(a.counts for a in given) - told)


def ways_lost(run: Run, step: StepState) -> tuple[int, ...]:
    """The numbers of those ways back whose evidence could not be signed, told with this step."""
    return tuple(way.number for way in _ways_back(run, step) if way.lost)


def _ways_back(run: Run, step: StepState) -> tuple[WayBack, ...]:
    """Those whose evidence lies with this step, or will."""
    place = evidence_due.way_back_step(run)
    return run.ways_back if place is not None and place.id == step.id else ()


def _why(step: StepState) -> str:
    if any(attempt.evidence_missing for attempt in step.attempts):
        return _LOST
    return _NEVER.get(step.status, _ENDED)
