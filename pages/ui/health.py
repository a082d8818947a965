"""View-model of data health: the banner of every page, and the card of a run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from engine.core.data_health import DataHealth, Level, Source
from engine.core.integrity import Damage, remedy, sentence
from engine.live_text import moment
from pages.ui import words

_SHOWN: Final = 4
ENGINE: Final = "The engine is not working"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """`markdown`: what is wrong, since when and what it blocks, each with the way to it."""

    level: Level
    title: str
    markdown: str


def look(level: Level) -> words.Look:
    return words.DATA_HEALTH[level.value]


def href(source: Source) -> str:
    """Where it is explained."""
    match source.kind:
        case "feed" if source.name != "feeds":
            return f"/feeds?feed={quote(source.name)}"
        case "feed":
            return "/feeds"
        case "job":
            return "/feeds?job=rescans"
        case "integration":
            return f"/integrations?name={quote(source.name)}"
        case "engine" if source.name == "engine":
            return "/orchestrator"
        case _:
            return "/platform-health"


def banner(found: DataHealth, *, now_us: int) -> Banner | None:
    """None when everything is in order."""
    odd = found.odd
    if not odd:
        return None
    items = [_item(source, now_us) for source in odd[:_SHOWN]]
    if len(odd) > _SHOWN:
        items.append(f"[{len(odd) - _SHOWN} more]({href(odd[_SHOWN])})")
    dead = any(one.kind == "engine" and one.level is Level.FAIL for one in odd)
    word = look(found.level).word
    return Banner(
        level=found.level,
        title=ENGINE if dead else f"Data health: {word}",
        markdown=" | ".join(items),
    )


def damaged(found: Sequence[Damage], *, now_us: int) -> str:
    """What is stored and not what it was, the newest first, each with what may still be done; empty
    for nothing."""
    newest = sorted(found, key=lambda one: one.since_us, reverse=True)
    told = [
        f"**{words.plain(sentence(one.found))}** Since {words.plain(_when(one.since_us, now_us))}. "
        f"{words.plain(remedy(one.found))}"
        for one in newest[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        told.append(f"{len(found) - _SHOWN} more; releaseline integrity names them all.")
    return "\n\n".join(told)


def _when(us: int, now_us: int) -> str:
    """To the minute; with its day when that is not today's."""
    at = moment(us)
    day = "" if at.date() == moment(now_us).date() else f"{at:%b} {at.day}, "
    return f"{day}{at:%H:%M} UTC"


def _item(source: Source, now_us: int) -> str:
    said = f"[{words.plain(source.text)}]({href(source)})"
    if source.since_us is not None:
        said += f" since {words.plain(_when(source.since_us, now_us))}"
    if source.blocks:
        said += f", blocks {words.plain(', '.join(source.blocks))}"
    return said
