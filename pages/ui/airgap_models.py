"""View-model of exporting feeds and taking them in. Pure."""

from __future__ import annotations

from typing import Final

from engine.feeds_files import Imported
from engine.live_text import count
from pages.ui.feeds_models import date_time

EXPLAINED: Final = (
    "Export the snapshots in force as one signed file, carry it to a home that no network reaches, "
    "and import it there. Only files by this home, or by keys that the settings name, are taken; "
    "files over 20 MB with `releaseline feeds import FILE`."
)
KEY: Final = "Another home names it under `feeds.import_keys` to take this home's files."
ACCEPT: Final = "Also when it is older, or holds much less, than what is in force"


def told(done: Imported) -> str:
    """What came of an import, in one or two sentences."""
    if not done.taken:
        return "Everything in the file is in force already."
    parts = [
        f"{one.name} as of {date_time(one.as_of_s)} ({count(one.records)} records)"
        for one in done.taken
    ]
    also = f" In force already: {', '.join(done.known)}." if done.known else ""
    return f"Now in force: {'; '.join(parts)}.{also}"
