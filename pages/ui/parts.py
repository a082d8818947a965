"""The live components: their drawings lie in assets/, their data comes from engine.live.

Each is drawn once and then follows the run's own event stream in the browser; Python is asked
again only when something structural changed (`changed`) or a row was opened (`open`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st

from pages.ui import session, words

_ASSETS: Final = Path(__file__).parent / "assets"
_WORDS: Final = words.document()


def _text(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


def _component(name: str, label: str) -> Callable[..., Any]:
    mount: Callable[..., Any] = st.components.v2.component(
        f"releaseline_{name}",
        html=f'<section class="rl" aria-label="{label}"></section>',
        css=_text("common.css") + _text(f"{name}.css"),
        js=_text("common.js") + _text(f"{name}.js"),
    )
    return mount


HEAD: Final = _component("head", "Run")
LIST: Final = _component("list", "Timeline")
NOW: Final = _component("now", "Stage")
STAGE: Final = _component("stage", "Deploy stage")
LOG: Final = _component("log", "Log")
TARGETS: Final = _component("targets", "Targets")
RUNS: Final = _component("runs", "Promotions")
FACTS: Final = _component("facts", "Facts")
LEDGER: Final = _component("ledger", "List")
CHAIN: Final = _component("chain", "Proof chain")
DUTIES: Final = _component("duties", "Separation of duties")
HASHER: Final = _component("hasher", "A file's digest")


def nothing() -> None:
    """A callback that makes a trigger an attribute of the component's result."""


def draw(
    component: Callable[..., Any],
    *,
    key: str,
    live: Mapping[str, Any],
    now_ms: int,
    shape: str,
    stream: str = "",
    leads: bool = False,
    **more: Any,
) -> Any:
    """Mount a component.

    Args:
        shape: its nodes are built anew when this changes; else they are only filled.
        leads: this one tells Python of structural changes; exactly one per page does.
    """
    return component(
        key=key,
        data={
            "live": dict(live),
            "now_ms": now_ms,
            "shape": shape,
            "stream": stream,
            "leads": leads,
            "words": _WORDS,
            **more,
        },
        on_open_change=nothing,
        on_changed_change=session.by_itself,
    )
