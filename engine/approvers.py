"""Who holds the approver role where a run goes: looked up, and put on record for the core to judge.

Roles can change between two starts of the server, so they are looked at when somebody is asked,
after every decision, when a former engine's run is taken up, and when a deploy is about to begin.
"""

from __future__ import annotations

from engine.core import eligibility
from engine.core.approvals import approval_step
from engine.core.events import RunEvent
from engine.core.people_events import ApproversSeen
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.statemachine import Role, RunStatus
from engine.outside import Outside
from engine.recording import record
from engine.steps import is_open


def see(out: Outside, run: Run, step: str, attempt: int) -> None:
    """Record who may approve by their role, for the approval that is at hand."""
    seen = _seen(out, run, step, attempt)
    record(out.store, run.run_id, lambda now: (seen,) if is_open(now, step, attempt) else ())


def see_again(out: Outside, run: Run) -> None:
    """Record it once more for a run that waits for approval, when it is not as last seen."""
    if run.status is not RunStatus.AWAITING_APPROVAL or run.approvers is None:
        return
    step = run.step(approval_step(run))
    seen = _seen(out, run, step.id, len(step.attempts))
    if seen.approvers != run.approvers:
        record(out.store, run.run_id, lambda now: (seen,) if now.version == run.version else ())


def still_stand(out: Outside, run: Run) -> bool:
    """Whether the approvals still stand now that the first target is about to be touched.

    Where they don't, that is recorded, and the approval step is open again.
    """
    approval = run.step_of_kind(StepKind.APPROVAL)
    if approval is None or (not run.approvals and run.glass is None):
        return True
    seen, now_us = _seen(out, run, approval.id, len(approval.attempts)), out.clock.now_us()

    def build(now: Run) -> tuple[RunEvent, ...]:
        return eligibility.before_deploy(now, seen, now_us)

    after = record(out.store, run.run_id, build)
    return len(after.step(approval.id).attempts) == len(approval.attempts)


def _seen(out: Outside, run: Run, step: str, attempt: int) -> ApproversSeen:
    # The settings alone say so: no group of a provider may give this role.
    approvers = out.settings.holders(Role.APPROVER, run.environment)
    return ApproversSeen(step=step, attempt=attempt, approvers=approvers)
