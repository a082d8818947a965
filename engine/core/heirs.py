"""New runs from finished ones: trying a run again, and taking a finished promotion back. Pure.

Neither touches the old run. What is said here is who may ask, when, and which bundle the targets go
back to; the shell (`engine.again`) pins the new run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.core import holds
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now, Refusal
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.event_parts import PinnedChange
from engine.core.plan import Observation
from engine.core.run_events import RunRequested
from engine.core.spec import ROLLBACK
from engine.core.standing import Hold, Standing
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus

# Actions that make a new run out of a finished one.
NEW_RUN: Final = frozenset({Action.RERUN, Action.ROLLBACK_PROMOTION})
_MAY: Final = {
    Action.RERUN: (Role.RELEASE_MANAGER, Role.CI),
    Action.ROLLBACK_PROMOTION: (Role.RELEASE_MANAGER, Role.SRE),
}


def refusal(run: Run, command: Command, actor: Actor, now: Now) -> Refusal | None:
    """Say why no new run may be made from `run` now; None when one may."""
    if not run.terminal:
        return _state(
            "Opens when the run has ended."
            if command.action is Action.RERUN
            else "Opens when the promotion has succeeded; until then the run itself rolls back."
        )
    may = _MAY[command.action]
    if not actor.roles & set(may):
        who = " or ".join(role.replace("_", " ") for role in may)
        return Refusal(
            sentence=f"This needs the role {who} in {run.environment}; {actor.user} has none.",
            code="role",
        )
    standing = now.standing
    if standing is None:
        return _state("It is not known what happened here since; look again.")
    against = (
        _rerun_against(run) if command.action is Action.RERUN else _rollback_against(run, standing)
    )
    if against:
        return _state(against)
    held = standing.hold if command.action is Action.RERUN else standing.hold_before
    return _hold_against(held, command, actor)


def _rerun_against(run: Run) -> str:
    if run.request.kind == ROLLBACK:
        return (
            f"{run.run_id} took {run.request.rolls_back} back: to try that again, roll back "
            f"{run.request.rolls_back} once more."
        )
    return ""


def _rollback_against(run: Run, standing: Standing) -> str:
    if run.request.kind == ROLLBACK:
        return f"{run.run_id} is a rollback itself: promote the bundle that you want instead."
    if run.status is not RunStatus.SUCCEEDED:
        status = run.status.value.replace("_", " ").lower()
        return f"{run.run_id} is {status}: only a promotion that succeeded can be taken back."
    if standing.under_way:
        return f"{standing.under_way} is under way in {run.environment}: it has to end first."
    if standing.overtaken_by:
        return (
            f"{standing.overtaken_by} came after it: {run.environment} does not run what "
            f"{run.run_id} brought any more."
        )
    try:
        bundle_before(run)
    except Refused as refused:
        return str(refused)
    return ""


def _hold_against(held: Hold | None, command: Command, actor: Actor) -> Refusal | None:
    if held is None:
        return None
    if not command.lift_hold:
        return holds.refusal(held)
    return holds.lift_refusal(
        held, actor, environment=held.environment, reason=command.reason, ended=True
    )


def _state(sentence: str) -> Refusal:
    return Refusal(sentence=sentence, code="state")


def bundle_before(run: Run) -> Digest:
    """The one bundle that every target ran before this run.

    A run, its health and its evidence are about one bundle, so targets that differed cannot go
    back together: which one is right for all is for a person to say, by promoting it.

    Raises:
        Refused: it is not known of every target, or there were several, or none changed.
    """
    unknown = [t.target for t in run.targets if t.baseline is None]
    if unknown:
        raise Refused(
            f"It is not known what {', '.join(unknown)} ran before {run.run_id}: there is no way "
            "back."
        )
    befores = {t.baseline: 0 for t in run.targets if t.baseline is not None}
    for target in run.targets:
        if target.baseline is not None:
            befores[target.baseline] += 1
    if len(befores) != 1:
        shares = ", ".join(f"{digest.short} on {n}" for digest, n in sorted(befores.items()))
        raise Refused(
            f"Before {run.run_id} the targets ran {len(befores)} bundles ({shares}): promote the "
            "one that all of them are to run."
        )
    (before,) = befores
    if before == run.bundle:
        raise Refused(f"{run.run_id} changed no target: they ran its bundle before it.")
    return before


def strangers(run: Run, observation: Observation) -> tuple[str, ...]:
    """Targets of a ROLLBACK run that run neither the bundle they leave nor the one they go to:
    somebody else changed them meanwhile. One that does not answer is tried all the same."""
    seen = observation.by_target()
    ours = {None, run.bundle, run.request.takes_back}
    return tuple(
        f"{target} runs {digest.short}, which {run.request.rolls_back} did not bring"
        for target in run.request.targets
        if (digest := seen[target].digest if target in seen else None) not in ours
        and digest is not None
    )


def held_by_targets(run: Run, observation: Observation) -> bool:
    """Every target holds the bundle whole and checks it itself: no source has to be up."""
    seen = observation.by_target()
    return all(t in seen and run.bundle in seen[t].present for t in run.request.targets)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PinnedChange, ...]:
    """What two runs rest on that is not the same, by name; `""` where one has nothing."""
    return tuple(
        PinnedChange(name=name, before=before.get(name, ""), after=after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "") != after.get(name, "")
    )


def pinned(request: RunRequested) -> dict[str, str]:
    """What a run rests on from the moment of its request: name to digest."""
    return {
        "config": str(request.config_digest),
        "policy": str(request.policy_digest),
        "workflow": str(request.workflow_digest),
    }
