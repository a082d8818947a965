"""View-model of SBOM rescans: how the bundles stand against the feeds, and every try. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.core.data_health import Level
from engine.core.rescan_events import BundleRescan
from engine.live_text import count, day_time, plural, span
from engine.rescans_read import CAUSES, FINISHED, RescansNow, TryRow
from pages.ui import words
from pages.ui.feeds_models import progress_text

SHOWN: Final = 20
EXPLAINED: Final = (
    "When a feed brings something new, the stored SBOMs of every bundle that is live or in an open "
    "run are matched again, in a process of its own, with the gate's own matching."
)
EMPTY: Final = "No rescan yet: the gates have matched everything against the snapshots in force."
COLUMNS: Final = (
    {"name": "When", "width": "18%"},
    {"name": "Why", "width": "17%"},
    {"name": "Result", "width": "15%"},
    {"name": "What came of it", "width": "50%"},
)
BUNDLES: Final = (
    {"name": "Bundle", "width": "24%"},
    {"name": "Packages", "width": "12%"},
    {"name": "Findings", "width": "20%"},
    {"name": "New", "width": "24%"},
    {"name": "Gone", "width": "8%"},
    {"name": "Not looked at", "width": "12%"},
)


def sentence(now: RescansNow, now_us: int) -> str:
    """How they stand, since when, and what happens next."""
    if not now.bundles and now.level is Level.OK:
        return "No bundle that is live or in an open run has an SBOM."
    parts = [now.text]
    if now.since_us is not None:
        parts.append(f"since {day_time(now.since_us)}")
    said = " ".join(parts)
    if now.reason:
        said += f": {now.reason}"
    if now.progress is not None:
        return f"{said}. Now: {progress_text(now.progress)}."
    if now.retry_us is not None:
        return f"{said}. Tried again in {span(max(0, now.retry_us - now_us))}."
    return f"{said}."


def rows(tries: Sequence[TryRow]) -> list[dict[str, Any]]:
    return [_row(one) for one in tries[:SHOWN]]


def _row(one: TryRow) -> dict[str, Any]:
    look = words.RESCAN_TRY[one.word]
    named = [name for bundle in one.bundles for name in bundle.named]
    return {
        "tone": look.tone if look.tone in {"err", "warn"} else "",
        "cells": [
            {"text": day_time(one.at_us), "sub": f"by {one.by}"},
            {"text": CAUSES[one.cause], "sub": f"rescan {one.number}"},
            {
                "look": look.document(),
                "sub": "" if one.took_ms is None else f"took {span(one.took_ms * 1000)}",
            },
            {"text": one.text, "sub": f"First new: {named[0]}" if named else ""},
        ],
    }


def bundles(tries: Sequence[TryRow]) -> list[dict[str, Any]]:
    """Of the newest rescan that finished, a row for each bundle."""
    newest = next((one for one in tries if one.word == FINISHED), None)
    return [] if newest is None else [_bundle(one) for one in newest.bundles]


def _bundle(one: BundleRescan) -> dict[str, Any]:
    more = f" and {one.new - len(one.named)} more" if one.new > len(one.named) else ""
    return {
        "tone": "warn" if one.new else "",
        "cells": [
            {"text": one.label, "sub": one.bundle.short},
            {"text": count(one.packages)},
            {"text": count(one.known), "sub": f"{count(one.kev)} in CISA KEV"},
            {"text": count(one.new), "sub": f"{', '.join(one.named)}{more}"}
            if one.compared
            else {"text": "–", "sub": "nothing to compare with"},
            {"text": count(one.gone) if one.compared else "–"},
            {"text": count(one.unread)},
        ],
    }


def count_text(tries: Sequence[TryRow]) -> str:
    shown = min(SHOWN, len(tries))
    of = f" of {len(tries)}" if shown < len(tries) else ""
    return f"{plural(shown, 'rescan')}{of}, newest first"
