"""View-model of webhooks: who is told what, what could not be delivered, and why. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.errors import ReleaselineError
from engine.core.hook_book import TRIES_MAX
from engine.core.hook_events import MessageRef
from engine.core.hook_rows import FAILED, WAITING, HookMessage
from engine.hooks.desk import REDELIVER_MAX
from engine.hooks.letters import Letters
from engine.hooks.words import HEADS
from engine.live_text import day_time, plural, span
from pages.ui import words

ALL: Final = "All webhooks"
PAGE: Final = "dead-letter"
SHOWN: Final = 100
DEAD: Final = "Dead"
# What the list shows, by the words on the page.
VIEWS: Final[Mapping[str, dict[str, Any]]] = {
    DEAD: {"dead": True},
    "Trying again": {"outcome": FAILED},
    "Everything": {},
}
EXPLAINED: Final = (
    f"What webhooks should have been told and were not: a message is tried {TRIES_MAX} times over "
    "a few minutes, then it waits here. Nothing is lost; it can be sent again."
)
NO_HOOKS: Final = (
    "Nobody is told anything yet. An admin adds a webhook in `releaseline.yaml`, or with "
    "`releaseline webhook add NAME URL`."
)
EMPTY: Final = {
    DEAD: "Nothing is dead: every message has arrived, or is still on its way.",
    "Trying again": "Nothing is being tried again.",
    "Everything": "Nothing was sent yet.",
}
HOOKS: Final = (
    {"name": "Webhook", "width": "17%"},
    {"name": "Where to", "width": "29%"},
    {"name": "Told of", "width": "22%"},
    {"name": "Messages", "width": "16%"},
    {"name": "Last answer", "width": "16%"},
)
COLUMNS: Final = (
    {"name": "Message", "width": "21%"},
    {"name": "State", "width": "16%"},
    {"name": "Last answer", "width": "27%"},
    {"name": "Webhook", "width": "14%"},
    {"name": "Since", "width": "22%"},
)
TRIES: Final = (
    {"name": "Try", "width": "14%"},
    {"name": "When", "width": "22%"},
    {"name": "Result", "width": "18%"},
    {"name": "Answer", "width": "46%"},
)


def summary(hooks: Sequence[Mapping[str, Any]], oldest_us: int | None, now_us: int) -> str:
    """One sentence: how much is dead, since when, and what is on its way."""
    dead = dead_count(hooks)
    waiting = sum(one["waiting"] for one in hooks)
    way = f" {plural(waiting, 'message')} on the way." if waiting else ""
    if not dead:
        return f"Nothing is dead.{way}"
    since = ""
    if oldest_us is not None:
        since = f", the oldest for {span(max(0, now_us - oldest_us))}"
    verb = "was" if dead == 1 else "were"
    return f"{plural(dead, 'message')} {verb} given up on{since}.{way}"


def dead_count(hooks: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["dead"] for one in hooks)


def all_label(count: int) -> str:
    """Args:
    count: of dead messages that can be sent again; as many as one wish takes may not be all.
    """
    if count >= REDELIVER_MAX:
        return f"Send the newest {count:,} again"
    return f"Send all dead again ({count})" if count else "Send all dead again"


def place_of(text: str) -> tuple[int, int] | None:
    """`12.0` of an address as (12, 0); None for anything else."""
    gseq, _, idx = text.partition(".")
    if not (gseq.isascii() and idx.isascii() and gseq.isdecimal() and idx.isdecimal()):
        return None
    return (int(gseq), int(idx)) if len(text) < 19 else None


def headline(one: Mapping[str, Any]) -> str:
    """The message's name and how it stands, as Markdown."""
    badge = words.DELIVERY[one["outcome"]].badge
    return f"**{words.plain(HEADS.get(one['name'], one['name']))}** {badge}"


def says(letters: Letters, one: Mapping[str, Any]) -> str:
    """What the message says to people; why that can't be read where it can't."""
    place = ref(one)
    message = HookMessage(
        hook=place.hook,
        gseq=place.gseq,
        idx=place.idx,
        wave=one["wave"],
        name=place.name,
        stream=place.stream,
        seq=place.seq,
        ts_us=one["ts_us"],
    )
    try:
        told = letters.told(message)
    except ReleaselineError as error:
        return f"It can't be read: {error}"
    about = f"{told.label}: " if told.label else ""
    return f"{about}{told.text} {told.waits}".strip()


def hook_rows(hooks: Sequence[Mapping[str, Any]], now_us: int) -> list[dict[str, Any]]:
    return [_hook_row(one, now_us) for one in hooks]


def _hook_row(one: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    parts = [f"{one['delivered']:,} arrived"]
    if one["waiting"]:
        parts.append(f"{one['waiting']:,} on the way")
    asked = {"webhook": one["name"]}
    places = ", ".join(one["environments"]) or "every environment"
    origin = "in the settings" if one["from_settings"] else f"by {one['by']}"
    return {
        "tone": "err" if one["dead"] else "",
        "cells": [
            {
                "text": one["name"],
                "href": f"/{PAGE}?webhook={one['name']}",
                "open": json.dumps([PAGE, asked]),
                "sub": origin,
            },
            {"text": one["url"], "sub": f"{one['format']} · {_signed(one)}"},
            {"text": told_of(one["events"]), "sub": places},
            {
                "text": f"{one['dead']:,} dead" if one["dead"] else "none dead",
                "sub": ", ".join(parts),
            },
            _last(one, now_us),
        ],
    }


def told_of(events: Sequence[str]) -> str:
    if "*" in events:
        return "everything"
    return ", ".join("what waits for people" if one == "waiting" else one for one in events)


def _signed(one: Mapping[str, Any]) -> str:
    how = one["signed_with"]
    return how if how == "not signed" else f"signed, secret {how}"


def _last(one: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    if one["last_us"] is None:
        return {"text": "never asked"}
    look = words.DELIVERY[one["last_outcome"]]
    ago = f"{span(max(0, now_us - one['last_us']))} ago"
    status = f"status {one['last_status']}, " if one["last_status"] else ""
    return {"look": look.document(), "sub": f"{status}{ago}"}


def rows(deliveries: Sequence[Mapping[str, Any]], now_us: int) -> list[dict[str, Any]]:
    """Rows of `queries.deliveries` as the list draws them."""
    return [_row(one, now_us) for one in deliveries]


def _row(one: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    look = words.DELIVERY[one["outcome"]]
    asked = {"webhook": one["hook_name"], "message": message_id(one)}
    removed = " · removed" if one["removed"] else ""
    again = " · sent again" if one["wave"] else ""
    return {
        "cells": [
            {
                "text": HEADS.get(one["name"], one["name"]),
                "href": f"/{PAGE}?webhook={asked['webhook']}&message={asked['message']}",
                "open": json.dumps([PAGE, asked]),
                "sub": f"{one['name']} · {one['stream']}",
            },
            {"look": look.document(), "sub": tries_text(one, now_us)},
            {"text": answer_text(one)},
            {"text": one["hook_name"], "sub": f"message {message_id(one)}{again}{removed}"},
            {
                "text": day_time(one["ts_us"]),
                "sub": f"{span(max(0, now_us - one['ts_us']))} ago",
            },
        ],
    }


def message_id(one: Mapping[str, Any]) -> str:
    return f"{one['gseq']}.{one['idx']}"


def tries_text(one: Mapping[str, Any], now_us: int) -> str:
    """`tried 5 times`, and when the next try is."""
    if not one["tries"]:
        return "not tried yet"
    times = "tried once" if one["tries"] == 1 else f"tried {one['tries']} times"
    if not one["next_us"]:
        return times
    return f"{times}, again in {span(max(0, one['next_us'] - now_us))}"


def answer_text(one: Mapping[str, Any]) -> str:
    """The last answer: its status and what it said, or why there was none."""
    if not one["tries"]:
        return "–"
    if not one["status"]:
        return f"no answer: {one['note']}" if one["note"] else "no answer"
    said = f": {one['note']}" if one["note"] else ""
    return f"status {one['status']}{said}"


def tries(found: Sequence[Mapping[str, Any]], now_us: int) -> list[dict[str, Any]]:
    return [
        {
            "cells": [
                {"text": f"Try {one['n']}", "sub": "sent again" if one["wave"] else ""},
                {"text": day_time(one["ts_us"]), "sub": f"took {one['took_ms']:,} ms"},
                {"look": _try_look(one).document()},
                {"text": answer_text({**one, "tries": 1})},
            ],
        }
        for one in found
    ]


def _try_look(one: Mapping[str, Any]) -> words.Look:
    if one["outcome"] == "DELIVERED":
        return words.DELIVERY["DELIVERED"]
    return words.TRY_FAILED if one["status"] else words.NO_ANSWER


def ref(one: Mapping[str, Any]) -> MessageRef:
    return MessageRef(
        hook=one["hook"],
        gseq=one["gseq"],
        idx=one["idx"],
        name=one["name"],
        stream=one["stream"],
        seq=one["seq"],
    )


def why_not_again(one: Mapping[str, Any]) -> str:
    """Why a message can't be sent again now; empty when it can."""
    if one["removed"]:
        return f"{one['hook_name']} was removed."
    if one["outcome"] in {WAITING, FAILED}:
        return "It is being tried already."
    return ""


def count_text(shown: int, more: bool) -> str:
    return f"{plural(shown, 'message')}, newest first{'; there are more' if more else ''}"
