"""By what the list of replays is narrowed, and how that stands in the address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from engine.core.replays import Cause, ReplayMode, ReplayResult, ReplayStatus
from pages.ui import evidence_words, lists, replay_models

ANY: Final = "Any"
# The same words on every page that asks for an environment: the control's state goes along.
ANYWHERE: Final = lists.ANY
PAGE: Final = 50
_EPOCH: Final = date(1970, 1, 1)
_DAY_US: Final = 24 * 3600 * 1_000_000
SINCE_US: Final[Mapping[str, int]] = {
    "24h": _DAY_US,
    "7d": 7 * _DAY_US,
    "90d": 90 * _DAY_US,
}
RESULTS: Final = tuple(one.value for one in ReplayResult)
CAUSES: Final = tuple(one.value for one in Cause)
MODES: Final = tuple(one.value for one in ReplayMode)
STATUSES: Final = tuple(one.value for one in ReplayStatus if one is not ReplayStatus.QUEUED)
EMPTY: Final = "Nothing was replayed yet. Ask for a decision above: the answer appears here."
NO_MATCH: Final = "No replay matches these filters."
# What other pages narrow the list by, beyond what it offers by itself: address to words.
_NARROWED: Final[Mapping[str, str]] = {
    "run": "run",
    "policy": "policy version",
    "engine": "engine",
    "form": "form of evaluation",
    "kind": "kind of decision",
    "crosscheck": "second engine",
    "decided": "day of decision",
    "replayed": "day of replay",
}
_PARAMETERS: Final = ("result", "cause", "environment", "mode", "progress", "since", *_NARROWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Attributes:
    asked: the filters that are set, by their name in the address.
    """

    asked: Mapping[str, str]

    @property
    def narrowed(self) -> tuple[tuple[str, str], ...]:
        """What came along with the address and has no control of its own: words and value."""
        return tuple(
            (words, _shown(name, self.asked[name]))
            for name, words in _NARROWED.items()
            if name in self.asked
        )

    def query(self, now_us: int) -> dict[str, Any]:
        """Arguments of `queries_replays.replays`."""
        renamed = {
            "progress": "status",
            "run": "run_id",
            "decided": "decided_day",
            "replayed": "replayed_day",
        }
        found: dict[str, Any] = {
            renamed.get(name, name): text for name, text in self.asked.items() if name != "since"
        }
        for name in ("decided_day", "replayed_day"):
            if name in found:
                found[name] = (date.fromisoformat(found[name]) - _EPOCH).days
        if "since" in self.asked:
            found["since_us"] = since_us(self.asked["since"], now_us)
        return found

    def without_narrowing(self) -> dict[str, str]:
        """The address without what has no control."""
        return {name: text for name, text in self.asked.items() if name not in _NARROWED}


def filters(parameters: Mapping[str, str], **chosen: str | None) -> Filters:
    """What is asked for: by the controls (`chosen`), and by the address where there is no control.

    A value that is not one of its words is as good as none.
    """
    asked = {name: text for name, text in chosen.items() if text and text not in {ANY, ANYWHERE}}
    asked |= {
        name: text for name in _NARROWED if (text := parameters.get(name, "")) and name not in asked
    }
    words = {"result": RESULTS, "cause": CAUSES, "mode": MODES, "progress": STATUSES}
    return Filters(
        asked={
            name: asked[name]
            for name in _PARAMETERS
            if name in asked
            and asked[name] in words.get(name, (asked[name],))
            and (name != "since" or asked[name] in SINCE_US)
            and (name not in {"decided", "replayed"} or _is_day(asked[name]))
        }
    )


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def since_us(since: str, now_us: int) -> int:
    """The moment from which on; 0 = from the beginning."""
    return now_us - SINCE_US[since] if since in SINCE_US else 0


def _shown(name: str, text: str) -> str:
    if name == "policy":
        return evidence_words.short(text)
    return replay_models.kind_text(text).lower() if name == "kind" else text


def before(parameters: Mapping[str, str]) -> int | None:
    """The key behind which a later page of the list begins."""
    text = parameters.get("before", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None
