"""What the approvals page and the menu ask the house: what waits, and for whom."""

from __future__ import annotations

from engine.approving.inbox import Waiting, inbox, signature
from engine.core.statemachine import Role
from engine.services import Services
from pages.ui import parts, session


def waiting(house: Services) -> tuple[Waiting, ...]:
    """Every run that waits for approval, as it stands for whoever is signed in."""
    who = session.asker()
    return inbox(house.store.runs_open(), lambda place: house.service.actor(who, place))


def approves_somewhere(house: Services) -> bool:
    """Whether whoever is signed in is an approver in any environment."""
    who = session.asker()
    return any(
        Role.APPROVER in house.service.actor(who, place).roles
        for place in house.settings.environments
    )


def watcher(house: Services) -> None:
    """Nothing to see: it redraws the page when something else waits, or waits otherwise."""
    now_ms = house.clock.now_us() // 1000
    sig = signature(house.store.runs_open())
    parts.draw(
        parts.LOG,
        key="approvals.watch",
        live={"run": "", "seq": 0, "sig": sig, "end": False},
        now_ms=now_ms,
        shape="watch",
        stream="/api/v1/approvals/stream",
        leads=True,
        lines=[],
        hidden=True,
    )
