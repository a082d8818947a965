"""Determinism over days: how many decisions matched, did not match, or could not be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from engine.core.determinism import Share
from pages.ui import charts

_HEIGHT_PX: Final = 240


def by_day(found: Sequence[Share], *, dark: bool) -> go.Figure:
    """A column per day (UTC), oldest first; shares of one day stand on each other."""
    colour = charts.palette(dark=dark)
    days = [one.name for one in found]
    bars = (
        ("matching", [one.matching for one in found], colour["held"], ""),
        ("mismatching", [one.mismatching for one in found], colour["limit"], "/"),
        ("failed", [one.failed for one in found], colour["suspect"], "x"),
    )
    layout = charts.base_layout(colour, height_px=_HEIGHT_PX, top_px=28)
    layout |= {
        "barmode": "stack",
        "bargap": 0.35,
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.0,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        "margin": {"l": 44, "r": charts.MARGIN_R, "t": 28, "b": 28},
        "xaxis": {**charts.axis(colour), "type": "category", "showgrid": False, "nticks": 12},
        "yaxis": {**charts.axis(colour), "rangemode": "tozero", "tickformat": ",d"},
    }
    data = [_bar(name, days, values, tone, shape) for name, values, tone, shape in bars]
    return charts.figure(data, layout)


def _bar(
    name: str, days: Sequence[str], values: Sequence[int], colour: str, shape: str
) -> dict[str, Any]:
    # A pattern beside the colour: red and green look alike to some.
    pattern = {"shape": shape, "fillmode": "overlay", "fgcolor": "#FFFFFF", "size": 6}
    return {
        "type": "bar",
        "name": name,
        "x": list(days),
        "y": list(values),
        "width": 0.5 if len(days) < 4 else None,
        "marker": {"color": colour, "pattern": pattern},
        "hovertemplate": f"%{{x}}<br>%{{y:,}} {name}<extra></extra>",
    }


def picture_text(found: Sequence[Share], what: str) -> str:
    """The chart in words."""
    if not found:
        return f"No {what} yet."
    said = "; ".join(
        f"{one.name}: {one.matching} matching, {one.mismatching} mismatching, {one.failed} failed"
        for one in found[-14:]
    )
    return f"By {what}: {said}"
