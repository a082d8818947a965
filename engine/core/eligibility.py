"""Who may still approve, whose approval counts no more, and what that means for a run. Pure.

The shell looks up who holds the role and records it (`ApproversSeen`); everything here is worked
out from that fact: before anybody is asked, when a quorum seems met, and when the deploy begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.core.approvals import Actor, approval_step, conflict, lack, missing
from engine.core.events import RunEvent
from engine.core.people_events import ApprovalsLapsed, ApproversSeen
from engine.core.spec import StepKind
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus, StepStatus
from engine.core.step_events import StepCancelled, StepStarted

APPROVED: Final = "APPROVED"
BREAK_GLASS: Final = "BREAK_GLASS"
_APPROVERS: Final = frozenset({Role.APPROVER})


def may_approve(run: Run) -> tuple[str, ...]:
    """People who may approve now and have not; empty also when nobody was looked up yet."""
    return tuple(user for user in run.approvers or () if _why_not(run, user) is None)


def may_not_approve(run: Run) -> tuple[tuple[str, str], ...]:
    """Of those with the role, who may not all the same, and why; who has approved is not among
    them."""
    decided = {one.person for one in run.counting_approvals}
    barred = ((user, _why_not(run, user)) for user in run.approvers or () if user not in decided)
    return tuple((user, why) for user, why in barred if why is not None)


def _why_not(run: Run, user: str) -> str | None:
    return conflict(run, Actor(user=user, roles=_APPROVERS))


def shortage(run: Run) -> str:
    """Why the people there are cannot make a quorum, as a sentence; empty when they can.

    `Needs 2 approvals; only carol.wu may approve.` Empty too while nobody was looked up.
    """
    if run.approvers is None:
        return ""
    rule, free, open_ = run.request.approval, may_approve(run), lack(run)
    lacks = []
    if open_.approvals > len(free):
        more = " more" if run.counting_approvals else ""
        lacks.append(f"{open_.approvals}{more} approval{'' if open_.approvals == 1 else 's'}")
    members = {group.name: group.members for group in rule.groups}
    lacks += [f"one from {name}" for name in open_.groups if not set(free) & set(members[name])]
    if not lacks:
        return ""
    who = f"only {' and '.join(free)} may approve" if free else "nobody may approve"
    return f"Needs {' and '.join(lacks)}; {who}."


def lapsed(run: Run, approvers: Sequence[str], at_us: int) -> tuple[ApprovalsLapsed, ...]:
    """Approvals that count no more at `at_us`: their people lost the role, or they are too old."""
    step = run.step(approval_step(run))
    lost = [a.person for a in run.counting_approvals if a.person not in approvers]
    old = [a.person for a in run.counting_approvals if at_us >= a.expires_us]
    return tuple(
        ApprovalsLapsed(
            step=step.id, attempt=len(step.attempts), people=tuple(sorted(people)), reason=reason
        )
        for people, reason in (
            (lost, f"no longer an approver in {run.environment}"),
            (sorted(set(old) - set(lost)), "given too long ago"),
        )
        if people
    )


def last_decision_us(run: Run) -> int:
    """When the newest approval that counts was given: by then all of them have to stand."""
    return max((a.decided_us for a in run.counting_approvals), default=0)


def deploy_begun(run: Run) -> bool:
    """Whether a target was touched: from then on the way out is back, not a new approval."""
    deploys = (s for s in run.steps if s.spec.kind is StepKind.DEPLOY)
    return bool(run.changed_targets) or any(a.applied for s in deploys for a in s.attempts)


def before_deploy(run: Run, seen: ApproversSeen, now_us: int) -> tuple[RunEvent, ...]:
    """What a look at the approvers means when the first target is about to be touched.

    Empty when everything still stands. Otherwise the approvals that lapsed, and where the quorum
    is lost by that, the approval step is opened once more.
    """
    approval, stage = run.step_of_kind(StepKind.APPROVAL), run.current_step
    if approval is None or approval.attempt is None or deploy_begun(run):
        return ()
    if run.status is not RunStatus.RUNNING or stage is None or not stage.open:
        return ()
    result = approval.attempt.result
    if approval.status is not StepStatus.SUCCEEDED or result not in {APPROVED, BREAK_GLASS}:
        return ()
    gone = lapsed(run, seen.approvers, now_us)
    if result == BREAK_GLASS:
        fell = not run.glass_broken(now_us)
        why = "the glass was broken too long ago"
    else:
        people = {person for one in gone for person in one.people}
        fell = bool(people) and bool(missing(run, without=people))
        why = "the approvals no longer suffice"
    if not fell:
        return (seen, *gone) if gone else ()
    assert stage.attempt is not None  # it is open
    number = len(approval.attempts) + 1
    op_id = f"{run.run_id}/{approval.id}/{number}"
    return (
        seen,
        *gone,
        StepCancelled(step=stage.id, attempt=stage.attempt.number, reason=why),
        StepStarted(step=approval.id, attempt=number, op_id=op_id),
    )
