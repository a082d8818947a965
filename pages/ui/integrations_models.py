"""View-model of the integrations: what each is worth, since when, and what rests on it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.core.data_health import Level, Look
from engine.integrations.read import IntegrationRow
from engine.live_text import day_time, plural, span
from pages.ui import words

ALL: Final = "All integrations"
COLUMNS: Final = (
    {"name": "Integration", "width": "19%"},
    {"name": "State", "width": "23%"},
    {"name": "Since", "width": "12%"},
    {"name": "Last good", "width": "12%"},
    {"name": "Latency", "width": "15%"},
    {"name": "What rests on it", "width": "19%"},
)
EXPLAINED: Final = (
    "The servers that promotions depend on. The engine looks at each in the background and changes "
    "nothing there; what was not looked at lately is UNKNOWN, never OK."
)
EMPTY: Final = (
    "No integration is named in the settings (`integrations` in releaseline.yaml), and no workflow "
    "asks a Prometheus."
)
_KINDS: Final = {
    "vault": "Vault",
    "consul": "Consul",
    "prometheus": "Prometheus",
    "registry": "OCI registry",
    "jenkins": "Jenkins",
    "webhook": "webhook receiver",
    "on_call": "on-call schedule",
    "http": "HTTP",
}
_BARS: Final = 24


def summary(rows: Sequence[IntegrationRow], every_s: int) -> str:
    """One sentence: how many work, and which do not."""
    good = sum(one.level == Level.OK for one in rows)
    odd = [
        f"{one.name} {words.DATA_HEALTH[one.level].word}" for one in rows if one.level != Level.OK
    ]
    head = f"{good} of {plural(len(rows), 'integration')} OK"
    return f"{'; '.join([head, *odd])}. Each is looked at every {every_s} s."


def rows(found: Sequence[IntegrationRow], now_us: int) -> list[dict[str, Any]]:
    return [_row(one, now_us) for one in found]


def _row(one: IntegrationRow, now_us: int) -> dict[str, Any]:
    look = words.DATA_HEALTH[one.level]
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {
                "text": one.name,
                "href": f"/integrations?name={one.name}",
                "open": json.dumps(["integrations", {"name": one.name}]),
                "sub": f"{_KINDS.get(one.kind, one.kind)} · {one.address}",
            },
            {"look": look.document(), "sub": "being looked at now" if one.looking else one.reason},
            when(one.since_us, now_us, ago=False),
            when(one.last_good_us, now_us, ago=True),
            latency(one),
            {"text": "; ".join(one.depends)} if one.depends else {"sub": "nothing"},
        ],
    }


def when(us: int | None, now_us: int, *, ago: bool) -> dict[str, Any]:
    """A moment, and how long it is gone: `for` what still holds, `ago` for what does not."""
    if us is None:
        return {"text": "never"} if ago else {"text": "–"}
    gone = span(max(0, now_us - us))
    return {"text": f"{gone} ago" if ago else f"for {gone}", "sub": day_time(us)}


def latency(one: IntegrationRow) -> dict[str, Any]:
    """The newest look's, above the course of those before; a look without an answer is a gap."""
    if not one.course:
        return {"text": "–", "sub": "since the engine started"} if one.last_us else {"text": "–"}
    newest = one.course[-1].latency_ms
    return {
        "text": "no answer" if newest is None else f"{newest} ms",
        "course": course(one.course[-_BARS:]),
    }


def course(looks: Sequence[Look]) -> dict[str, Any]:
    """Bars by look, oldest first, each as high as its share of the slowest; full when silent."""
    known = [look.latency_ms for look in looks if look.latency_ms is not None]
    slowest = max([1, *known])
    bars = [
        {
            "height": 100
            if look.latency_ms is None
            else max(8, round(100 * look.latency_ms / slowest)),
            "tone": words.DATA_HEALTH[look.level.value].tone,
        }
        for look in looks
    ]
    silent = len(looks) - len(known)
    told = f"{min(known)} to {max(known)} ms" if known else "no latency"
    label = f"{plural(len(looks), 'look')}: {told}, {silent} without an answer"
    return {"bars": bars, "label": label}


def facts(one: IntegrationRow, now_us: int) -> list[tuple[str, str]]:
    """Everything about one integration, as label and text."""
    look = words.DATA_HEALTH[one.level]
    found = [
        ("State", f"{look.word}: {one.reason}"),
        ("Asked at", f"{one.address} ({_KINDS.get(one.kind, one.kind)})"),
        ("Since", _moment(one.since_us, now_us)),
        ("Last look", _moment(one.last_us, now_us)),
        ("Last good", _moment(one.last_good_us, now_us)),
        ("Rests on it", "; ".join(one.depends) or "nothing in these settings"),
    ]
    if one.course:
        found.append(("Lately", course(one.course)["label"]))
    return found


def _moment(us: int | None, now_us: int) -> str:
    return "never" if us is None else f"{day_time(us)}, {span(max(0, now_us - us))} ago"
