"""Every refusal goes on record here, whichever door it was said at."""

from __future__ import annotations

from typing import Any

from engine.core.commands import Command, Refusal
from engine.core.digest import Digest
from engine.core.duties import self_approval
from engine.core.errors import Refused
from engine.core.house import ADMIN, CommandRejected
from engine.core.run import Run
from engine.ports import EventStore
from engine.recording import append_to


def denied(
    store: EventStore,
    *,
    user: str,
    action: str,
    code: str,
    reason: str,
    run: str = "",
    environment: str = "",
    subject: str = "",
    asked: str = "",
    ticket: str = "",
    override: bool = False,
    own: bool = False,
    before: Digest | None = None,
    after: Digest | None = None,
) -> None:
    """Record that `user` asked for `action` and did not get it.

    Args:
        code, reason: why, for programs and for people.
        asked: the reason that they gave; the rest as in `CommandRejected`.
    """
    event = CommandRejected(
        action=action,
        run=run,
        code=code,
        reason=reason,
        environment=environment,
        subject=subject,
        asked=asked.strip(),
        ticket=ticket.strip(),
        override=override,
        own=own,
        before=before,
        after=after,
    )
    append_to(store, ADMIN, event, actor=user)


def admit(
    store: EventStore, why_not: Refusal | None, *, user: str, action: str, **more: Any
) -> None:
    """Let somebody on whom nothing speaks against; `more` as in `denied`.

    Raises:
        Refused: why not. It is on record.
    """
    if why_not is not None:
        given = {"action": action, "code": why_not.code, "reason": why_not.sentence, **more}
        denied(store, user=user, **given)
        raise Refused(why_not.sentence, code=why_not.code)


def of_command(run: Run, command: Command, user: str, hand: str) -> dict[str, Any]:
    """What of a command stands in the record of its denial. `hand`: as in `approvals.Actor`."""
    return {
        "asked": command.reason,
        "ticket": command.ticket,
        "override": command.override,
        "own": self_approval(run, command, user, hand),
        "subject": " ".join(command.targets),
    }


def of_wish(bundle: Digest, environment: str, reason: str, ticket: str) -> dict[str, Any]:
    """What of a wish about a bundle stands in the record of its denial."""
    return {
        "subject": str(bundle),
        "environment": environment,
        "asked": reason,
        "ticket": ticket,
    }
