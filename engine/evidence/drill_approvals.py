"""Drills on approvals by a thief of every key: who decided what, about what, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.statemachine import RunStatus
from engine.evidence.chain import FILE
from engine.evidence.drill_copy import LeftOut, Scratch
from engine.evidence.drill_forger import Forger
from engine.evidence.drill_script import Act, Script, acted, files_of, rewritten
from engine.evidence.drill_stolen import stolen
from engine.evidence.predicates import SUMMARY

_NOTHING: Final = {"sha256": "0" * 64}


def approval_drills(script: Script, by: Forger) -> Iterator[Scratch]:
    given = [one for one in script.acts if one.statement.predicate_type.endswith("/approval/v1")]
    if not given:
        yield LeftOut(name="approval", why="nobody was asked to approve")
        return
    act = given[0]
    for name, what, change in _lies(script, given):
        told = f"the approval {act.path} {what}"
        yield stolen(name, told, rewritten(script, act.path, **change), by, *_paths(given))
    yield stolen(
        "approval.identity",
        f"the approval {act.path} was signed by somebody else than it names",
        acted(script, act.path, identity="mailto:somebody.else@other.invalid"),
        by,
        *files_of(script, act),
    )
    if script.chain is not None and script.chain.standing:
        yield stolen(
            "approval.standing",
            "the proof chain counts the approval of somebody who gave none",
            replace(script, chain=replace(script.chain, standing=("somebody.else",))),
            by,
            FILE,
        )


def _lies(script: Script, given: Sequence[Act]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, words and change of each untrue approval that can be made of the first one."""
    said = given[0].statement.predicate
    scope = dict(said["scope"])

    def other(name: str, what: str, **change: Any) -> tuple[str, str, dict[str, Any]]:
        return name, what, {"scope": {**scope, **change}}

    yield other("approval.run", "was given for another run", runId="run-0")
    yield other("approval.bundle", "was given for another bundle", bundle=_NOTHING)
    yield other("approval.attempt", "was given for another attempt", attempt=99)
    there = {**dict(scope.get("bound", {})), "environment": "elsewhere"}
    yield other(
        "approval.environment",
        "was given for another environment",
        environment="Elsewhere/elsewhere",
        bound=there,
        binding={"sha256": Digest.of(canonical(there)).hex},
    )
    bound = {**dict(scope.get("bound", {})), "plan": f"sha256:{'0' * 64}"}
    yield other("approval.binding", "is bound to another plan than its digest says", bound=bound)
    yield other("approval.view", "was given on another view than lies beside it", view=_NOTHING)
    past, future = (
        "2000-01-01T00:00:00Z",
        {
            "decidedAt": "2100-01-01T00:00:00Z",
            "expiresAt": "2100-01-02T00:00:00Z",
        },
    )
    yield "approval.expired", "had expired when it was given", {"expiresAt": past}
    yield "approval.time", "was decided after it was signed", future
    requester = {"requestedBy": said["approver"]["user"]}
    yield "approval.requester", "is by the person who asked for the promotion", requester
    if any(one.statement.predicate_type == SUMMARY for one in script.acts):
        basis = [{"name": said["basis"][0]["name"], "digest": _NOTHING}]
        yield "approval.basis", "rests on another policy decision", {"basis": basis}
    if len(given) > 1:
        nonce = given[1].statement.predicate["nonce"]
        yield "approval.nonce", "has the nonce of another one", {"nonce": nonce}
    if script.chain is not None and script.chain.outcome == RunStatus.SUCCEEDED.value:
        yield "approval.denied", "says no, and yet the run succeeded", {"decision": "rejected"}


def _paths(given: Sequence[Act]) -> tuple[str, ...]:
    return tuple(act.path for act in given)
