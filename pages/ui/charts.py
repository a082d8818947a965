"""What every chart shares: colours of both themes, axes, and how a figure gets onto a page.

A figure is one flat mapping (measured: several times cheaper than building it from traces) with a
fixed `uirevision`, so that a zoom survives the next refresh, and a fixed height, so that nothing
below it moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from engine.live_text import moment

LIGHT: Final = {
    "canary": "#2563EB",
    "baseline": "#6B7685",
    "limit": "#C8322B",
    "suspect": "#9A6700",
    "absolute": "#6D55CC",
    "slow": "#0E7490",
    "held": "#18794E",
    "mark": "#525D6B",
    "grid": "#E9ECF1",
    "text": "#525D6B",
    "strong": "#18202C",
    "window": "rgba(37,99,235,0.07)",
    "void": "rgba(102,113,128,0.20)",
    "paper": "#FFFFFF",
}
DARK: Final = {
    "canary": "#6B9DFF",
    "baseline": "#9AA5B4",
    "limit": "#F0726A",
    "suspect": "#E0A93B",
    "absolute": "#A697F5",
    "slow": "#4CC3DE",
    "held": "#3DB87A",
    "mark": "#A9B4C2",
    "grid": "#212934",
    "text": "#A9B4C2",
    "strong": "#E6EAF1",
    "window": "rgba(107,157,255,0.10)",
    "void": "rgba(139,150,165,0.28)",
    "paper": "#0C1016",
}
# Charts that lie above each other share these, so that one moment is at one place in all of them.
MARGIN_L: Final = 92
MARGIN_R: Final = 12


def palette(*, dark: bool) -> dict[str, str]:
    return DARK if dark else LIGHT


def show(figure: go.Figure, *, key: str, alt: str) -> None:
    st.plotly_chart(
        figure, key=key, alt=alt, theme=None, config={"displayModeBar": False, "displaylogo": False}
    )


def figure(data: Sequence[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """A figure from parts that are known to be right: plotly does not check them again."""
    return go.Figure({"data": list(data), "layout": layout}, skip_invalid=False)


def when(us: int) -> datetime:
    """A moment as plotly takes it: UTC, without saying so."""
    return moment(us).replace(tzinfo=None)


def axis(colour: dict[str, str]) -> dict[str, Any]:
    return {
        "gridcolor": colour["grid"],
        "zeroline": False,
        "tickfont": {"size": 11},
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "rgba(0,0,0,0)",
        "fixedrange": True,
    }


def time_axis(colour: dict[str, str], span_us: tuple[int, int]) -> dict[str, Any]:
    """The shared time axis, with a little room behind the newest poll."""
    first, last = span_us
    room_us = max(500_000, (last - first) // 60)
    return {
        **axis(colour),
        "type": "date",
        "showgrid": False,
        "fixedrange": False,
        "range": [when(first - room_us // 3), when(last + room_us)],
        "tickformat": "%H:%M:%S",
        "hoverformat": "%b %-d, %H:%M:%S UTC",
        "nticks": 6,
        "tickangle": 0,
    }


def base_layout(colour: dict[str, str], *, height_px: int, top_px: int) -> dict[str, Any]:
    return {
        "height": height_px,
        "margin": {"l": MARGIN_L, "r": MARGIN_R, "t": top_px, "b": 24},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "Inter, sans-serif", "size": 12, "color": colour["text"]},
        "hoverlabel": {
            "bgcolor": colour["paper"],
            "bordercolor": colour["grid"],
            "font": {"size": 12, "color": colour["strong"], "family": "Inter, sans-serif"},
            "align": "left",
            "namelength": -1,
        },
        "uirevision": "keep",
        "showlegend": False,
        "dragmode": "zoom",
    }
