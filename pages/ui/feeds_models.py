"""View-model of the feeds: how each stands against its limits, and what was tried. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from engine.child import Progress
from engine.core.feeds import Freshness, is_url
from engine.feeds_read import FAILED, NOT_SCHEDULED, FeedRow, Feeds, Try
from engine.live_text import count, day_time, moment, plural, span
from pages.ui import words

ALL: Final = "All feeds"
SHOWN: Final = 50
COLUMNS: Final = (
    {"name": "Feed", "width": "14%"},
    {"name": "State", "width": "12%"},
    {"name": "Age against its limits", "width": "23%"},
    {"name": "Snapshot", "width": "20%"},
    {"name": "Last sync", "width": "19%"},
    {"name": "Next sync", "width": "12%"},
)
HISTORY: Final = (
    {"name": "When", "width": "17%"},
    {"name": "Feed", "width": "8%"},
    {"name": "Result", "width": "17%"},
    {"name": "What came of it", "width": "38%"},
    {"name": "Snapshot", "width": "20%"},
)
EXPLAINED: Final = (
    "What the policy gate knows of flaws. A feed is as old as the newest thing that its source "
    "said, or as the last time when its source said that there is nothing new. The date of a file "
    "never counts."
)
EMPTY: Final = "Nothing was synced yet."
_TELLS: Final = {
    "EPSS": "how likely a flaw is exploited",
    "GHSA": "advisories of GitHub",
    "KEV": "flaws known to be exploited",
    "NVD": "severities of flaws",
    "OSV": "advisories by package",
}


def summary(feeds: Feeds) -> str:
    """One sentence: how many feeds there are, and what is not in order."""
    fresh = sum(one.word is Freshness.FRESH for one in feeds.rows)
    odd = [
        f"{one.name} {words.FEED[one.word].word.lower()}"
        for one in feeds.rows
        if one.word is not Freshness.FRESH
    ]
    head = f"{fresh} of {plural(len(feeds.rows), 'feed')} fresh"
    return f"{head}; {', '.join(odd)}." if odd else f"{head}."


def rows(feeds: Feeds, now_us: int) -> list[dict[str, Any]]:
    return [_row(one, now_us) for one in feeds.rows]


def _row(one: FeedRow, now_us: int) -> dict[str, Any]:
    look = words.FEED[one.word]
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {
                "text": one.name,
                "href": f"/feeds?feed={one.name}",
                "open": json.dumps(["feeds", {"feed": one.name}]),
                "sub": _TELLS[one.name],
            },
            {"look": look.document(), "sub": _required(one)},
            {"text": age_text(one), "bar": bar(one), "sub": limit_text(one)},
            snapshot_cell(one),
            _last(one, now_us),
            _next(one, now_us),
        ],
    }


def _required(one: FeedRow) -> str:
    if one.limits is None:
        return "no policy names it"
    return "required" if one.limits.required else "not required"


def age_text(one: FeedRow) -> str:
    if one.age_s is None:
        return "No snapshot"
    if one.word is Freshness.FUTURE:
        return "dated after this clock"
    return f"{span(one.age_s * 1_000_000)} old"


def limit_text(one: FeedRow) -> str:
    if one.limits is None:
        return "no limit, so nobody can call it fresh"
    warn, fail = (whole_span(s) for s in (one.limits.warn_s, one.limits.fail_s))
    return f"warns after {warn}, fails after {fail}"


def whole_span(seconds: int) -> str:
    """A limit as people write it: `1 h`, `2 d`; an uneven one in two units."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return span(seconds * 1_000_000)


def date_time(seconds: int) -> str:
    """With its year, because a snapshot may be of another one: `2025-08-25 17:04 UTC`."""
    return f"{moment(seconds * 1_000_000):%Y-%m-%d %H:%M} UTC"


def size(bytes_read: int) -> str:
    if bytes_read < 1_000:
        return f"{bytes_read} B"
    return f"{bytes_read / 1e3:.0f} kB" if bytes_read < 1e6 else f"{bytes_read / 1e6:.1f} MB"


def bar(one: FeedRow) -> dict[str, Any] | None:
    """How much of the time until FAIL is over, and where WARN stands; None without an age."""
    if one.limits is None or one.age_s is None:
        return None
    whole = max(1, one.limits.fail_s)
    return {
        "share": min(100, round(100 * one.age_s / whole)),
        "mark": min(100, round(100 * one.limits.warn_s / whole)),
        "tone": words.FEED[one.word].tone,
        "label": f"{age_text(one)}; {limit_text(one)}",
    }


def snapshot_cell(one: FeedRow) -> dict[str, Any]:
    if not one.digest:
        return {"text": "–"}
    as_of = "" if one.as_of_s is None else f"as of {date_time(one.as_of_s)}"
    return {
        "text": one.digest.removeprefix("sha256:")[:12],
        "digest": one.digest,
        "sub": f"{as_of} · {holds(one)}",
    }


def holds(one: FeedRow) -> str:
    """How many records, and how many of them need a word."""
    if one.records is None:
        return "put there by hand, not counted"
    parts = [plural(one.records, "record")]
    if one.withdrawn:
        parts.append(f"{count(one.withdrawn)} withdrawn")
    if one.unreadable:
        parts.append(f"{count(one.unreadable)} unreadable")
    return ", ".join(parts)


def _last(one: FeedRow, now_us: int) -> dict[str, Any]:
    if one.progress is not None:
        return {"look": words.FEED_TRY["UNDER WAY"].document(), "sub": progress_text(one.progress)}
    if one.tried is None:
        return {"text": "never synced", "sub": f"files from {one.source}" if one.kept else ""}
    ago = span(max(0, now_us - one.tried.at_us))
    sub = f"{ago} ago. {one.tried.text}" if one.failing else f"{ago} ago"
    return {"look": words.FEED_TRY[one.tried.word].document(), "sub": sub}


def _way(one: FeedRow) -> str:
    return "by hand: Sync now" if one.configured else "no source in the settings"


def progress_text(progress: Progress) -> str:
    """`PyPI/all.zip: 3.1 of 24.8 MB`, or a word while nothing is known."""
    if not progress.what:
        return "waits for its turn"
    if not progress.unit:
        return progress.what
    done, of, unit = progress.done, progress.of, progress.unit
    if unit == "bytes":
        told = f"{done / 1e6:.1f} of {of / 1e6:.1f} MB" if of else f"{done / 1e6:.1f} MB"
    else:
        told = f"{count(done)} of {count(of)} {unit}" if of else f"{count(done)} {unit}"
    return f"{progress.what}: {told}"


def _next(one: FeedRow, now_us: int) -> dict[str, Any]:
    if one.next_sync == NOT_SCHEDULED:
        return {"text": NOT_SCHEDULED, "sub": _way(one)}
    late = f"{one.overdue}; " if one.overdue else ""
    return {"text": _when(one, now_us), "sub": f"{late}{one.next_sync}"}


def _when(one: FeedRow, now_us: int) -> str:
    if one.next_sync_us is None:
        return "now"
    left_us = one.next_sync_us - now_us
    return f"in {span(left_us)}" if left_us > 0 else "due now"


def facts(one: FeedRow) -> list[tuple[str, str]]:
    """What there is to know of one feed beyond its row."""
    source = one.source if is_url(one.source) else f"folder {one.source}"
    unchecked = "nothing but the connection"
    if one.kept == "folder" or not is_url(one.source):
        unchecked = "nothing: files in a folder"
    return [
        ("Source", source),
        ("Checked by", one.checked_by or unchecked),
        ("As of", "–" if one.as_of_s is None else date_time(one.as_of_s)),
        ("Holds", holds(one) if one.digest else "–"),
        ("Next sync", f"{one.next_sync}; {one.overdue or _way(one)}"),
    ]


def tries(found: Sequence[Try]) -> list[dict[str, Any]]:
    return [_tried(one) for one in found[:SHOWN]]


def _tried(one: Try) -> dict[str, Any]:
    look = words.FEED_TRY[one.word]
    took = "" if one.took_ms is None else f"took {span(one.took_ms * 1000)}"
    read = "" if one.bytes_read is None else f", {size(one.bytes_read)} read"
    named = f" First: {one.problems[0]}" if one.problems else ""
    snapshot: dict[str, Any] = {"text": "as before" if one.word == FAILED else "–"}
    if one.digest:
        snapshot = {
            "text": one.digest.removeprefix("sha256:")[:12],
            "digest": one.digest,
            "sub": "" if one.as_of_s is None else f"as of {date_time(one.as_of_s)}",
        }
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {"text": day_time(one.at_us), "sub": f"by {one.by}"},
            {
                "text": one.name,
                "href": f"/feeds?feed={one.name}",
                "open": json.dumps(["feeds", {"feed": one.name}]),
            },
            {"look": look.document(), "sub": f"{took}{read}"},
            {"text": f"{one.text}{named}", "sub": f"from {one.source}"},
            snapshot,
        ],
    }


def count_text(shown: int, known: int) -> str:
    """How many of the tries are shown; the newest come first."""
    of = f" of {known:,}" if shown < known else ""
    return f"{plural(shown, 'sync')}{of}, newest first"
