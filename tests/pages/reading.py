"""The house of the page tests, and how a test reads what a page says."""

from __future__ import annotations

import json
from dataclasses import dataclass

from streamlit.testing.v1 import AppTest

from engine.service import Asker
from engine.services import Services
from tests.pages import kit


@dataclass(frozen=True)
class House:
    services: Services
    done: str
    canary: str
    waiting: str
    paused: str


def texts(at: AppTest) -> str:
    """Everything that the page says, as one text."""
    kinds = ("title", "header", "markdown", "error", "info", "warning", "success", "caption")
    said = [str(getattr(e, "value", "")) for kind in kinds for e in getattr(at, kind)]
    return "\n".join([*said, *(json.dumps(data) for data in components(at).values())])


def components(at: AppTest) -> dict[str, dict[str, object]]:
    """Data of every live component on the page, by key."""
    found = {}
    for element in at.get("bidi_component"):
        proto = element.proto
        found[proto.component_name.removeprefix("releaseline_")] = json.loads(proto.json or "{}")
    return found


def asker(user: str = kit.OPERATOR) -> Asker:
    return Asker(user=user)
