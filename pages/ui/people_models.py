"""What pages say about overrides that take two people, and about reviews. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from engine.core import reviews
from engine.core.commands import Action, ActionState, OverrideOffer
from engine.core.run import Run
from engine.live_text import day_time


def override_text(offer: OverrideOffer) -> str:
    """How an override stands, in sentences."""
    if offer.turn == "ask":
        what = "It takes two people: one asks for an override, a second one confirms it."
        return what if offer.ok else offer.why_not
    asked = f"{offer.asked_by} asked for an override"
    asked += "" if offer.asked_us is None else f" {day_time(offer.asked_us)}"
    until = "" if offer.expires_us is None else f", open until {day_time(offer.expires_us)}"
    return f'{asked}: "{offer.reason}"{until}. {offer.why_not}'.strip()


def override_of(states: Iterable[ActionState], action: Action) -> OverrideOffer | None:
    """The override that pressing this action's button means; None when it means none."""
    for state in states:
        if state.action is action and not state.ok and state.override is not None:
            return state.override if state.override.ok else None
    return None


def override_notice(offer: OverrideOffer) -> str:
    """What stands above the form of an override."""
    missing = f"Not met now: {'; '.join(offer.missing)}. " if offer.missing else ""
    if offer.turn == "confirm":
        return (
            f"{missing}{override_text(offer)} With your confirmation it happens at once, under "
            "both names, and is reviewed within 72 hours."
        )
    return (
        f"{missing}Nothing moves until a second person confirms it, within 60 minutes. Both names "
        "go on record."
    )


def review_text(run: Run) -> str:
    """The reviews that wait for somebody."""
    lines = [
        f"{one.what} (by {' and '.join(one.doers)}), due {day_time(one.due_us)}."
        for one in reviews.due(run)
    ]
    return " ".join(lines)
