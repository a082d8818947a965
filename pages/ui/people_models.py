"""What pages say about overrides that take two people, and about reviews. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.core import reviews
from engine.core.commands import Action, ActionState, OverrideOffer
from engine.core.run import Run
from engine.core.standing import Hold
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
        two = not state.ok or action is Action.BREAK_GLASS
        if state.action is action and two and state.override is not None:
            return state.override if state.override.ok else None
    return None


def override_label(action: Action, offer: OverrideOffer) -> str:
    """What the button under the form of an override says."""
    confirms = offer.turn == "confirm"
    if action is Action.BREAK_GLASS:
        return "Confirm: break the glass" if confirms else "Ask to break the glass"
    return "Confirm the override" if confirms else "Ask for an override"


def override_notice(offer: OverrideOffer, *, glass: bool = False) -> str:
    """What stands above the form of an override."""
    missing = f"Not met now: {'; '.join(offer.missing)}. " if offer.missing else ""
    missing += f"{offer.then} " if offer.then else ""
    if offer.turn == "confirm":
        return (
            f"{missing}{override_text(offer)} With your confirmation it happens at once, under "
            "both names, and is reviewed within 72 hours."
            + (" What it opens has to begin within 60 minutes." if glass else "")
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


def after_care(run: Run, held: Hold | None, now_us: int) -> tuple[tuple[str, str], ...]:
    """What is still to be looked at, or stands in the way of this bundle: (tone, sentence).

    Args:
        held: the hold on the run's bundle in its environment.
    """
    lines = [
        (
            "red" if one.overdue(now_us) else "orange",
            f"{'Overdue review' if one.overdue(now_us) else 'Review'} of {one.what}: due "
            f"{day_time(one.due_us)}, by somebody other than {' and '.join(one.doers)}.",
        )
        for one in reviews.due(run)
    ]
    if held is not None:
        since = day_time(held.since_us)
        why = f"{held.label} is held back from {held.environment} since {since}: {held.why}."
        lines.append(("orange", why))
    return tuple(lines)


def review_rows(rows: Iterable[Mapping[str, Any]], now_us: int) -> list[dict[str, str]]:
    """Rows of `queries.reviews` for the page, those that are due first."""
    return [
        {
            "Run": row["run_id"],
            "Environment": row["environment"],
            "What happened": row["what"],
            "By": " and ".join(row["doers"]),
            "Due": day_time(row["due_us"]),
            "State": _review_state(row, now_us),
            "Said": row["note"] or "",
        }
        for row in rows
    ]


def _review_state(row: Mapping[str, Any], now_us: int) -> str:
    if row["closed_us"] is not None:
        word = "agreed" if row["verdict"] == "agreed" else "follow-up needed"
        return f"✓ {word}, {row['closed_by']}"
    return "✕ overdue" if now_us >= row["due_us"] else "○ open"
