"""Frames to figures: canary against baseline, limits as lines, gaps as gaps.

A figure is one flat mapping (measured: several times cheaper than building it from traces) with a
fixed `uirevision`, so that a zoom survives the next refresh.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from engine.live_text import moment
from pages.ui.stage_models import StageData

_LIGHT: Final = {
    "canary": "#2563EB",
    "baseline": "#7A8594",
    "limit": "#C8322B",
    "mark": "#B7791F",
    "grid": "#E9ECF1",
    "text": "#525D6B",
}
_DARK: Final = {
    "canary": "#6B9DFF",
    "baseline": "#8B96A5",
    "limit": "#F0726A",
    "mark": "#E0A93B",
    "grid": "#212934",
    "text": "#A9B4C2",
}


def show(figure: go.Figure, *, key: str, alt: str) -> None:
    st.plotly_chart(
        figure, key=key, alt=alt, theme=None, config={"displayModeBar": False, "displaylogo": False}
    )


def errors(data: StageData, *, dark: bool) -> go.Figure:
    """Error rate of both arms, in percent of the requests of each poll."""
    limit = data.criteria.error_rate_ppm_max / 10_000
    return _figure(data, data.canary_errors, data.baseline_errors, limit, " %", dark=dark)


def latency(data: StageData, *, dark: bool) -> go.Figure:
    """p95 of the worst target of each arm, in milliseconds."""
    limit = float(data.criteria.slow_over_ms) or None
    return _figure(data, data.canary_p95, data.baseline_p95, limit, " ms", dark=dark)


def _figure(
    data: StageData,
    canary: Sequence[float | None],
    baseline: Sequence[float | None],
    limit: float | None,
    unit: str,
    *,
    dark: bool,
) -> go.Figure:
    colour = _DARK if dark else _LIGHT
    times = [moment(us).replace(tzinfo=None) for us in data.times_us]
    marks = [(moment(r.ts_us).replace(tzinfo=None), "clock restarted") for r in data.restarts]
    return go.Figure(
        {
            "data": [
                _line(times, baseline, "baseline (old version)", colour["baseline"], unit, "dot"),
                _line(times, canary, "canary (new version)", colour["canary"], unit, "solid"),
            ],
            "layout": _layout(
                colour, limit, unit, marks, _top((canary, baseline), limit), known=bool(times)
            ),
        },
        skip_invalid=False,
    )


def _line(
    times: Sequence[datetime],
    values: Sequence[float | None],
    name: str,
    colour: str,
    unit: str,
    dash: str,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(times),
        "y": list(values),
        "name": name,
        "connectgaps": False,
        "line": {"width": 1.9 if dash == "solid" else 1.5, "color": colour, "dash": dash},
        "hovertemplate": f"%{{y:.3~f}}{unit}",
    }


def _limit(limit: float, unit: str, colour: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A dashed line over the whole width, and its words."""
    line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": limit,
        "y1": limit,
        "line": {"color": colour, "width": 1.2, "dash": "dash"},
    }
    note = {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": limit,
        "yanchor": "bottom",
        "text": f"limit {limit:g}{unit}",
        "showarrow": False,
        "font": {"size": 11, "color": colour},
    }
    return line, note


def _layout(
    colour: dict[str, str],
    limit: float | None,
    unit: str,
    marks: Sequence[tuple[datetime, str]],
    top: float,
    *,
    known: bool,
) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = [
        {
            "type": "line",
            "x0": at,
            "x1": at,
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": colour["mark"], "width": 1, "dash": "dot"},
        }
        for at, _ in marks
    ]
    notes: list[dict[str, Any]] = []
    if limit is not None:
        line, note = _limit(limit, unit, colour["limit"])
        shapes.append(line)
        notes.append(note)
    axis = {
        "gridcolor": colour["grid"],
        "zeroline": False,
        "tickfont": {"size": 11},
        "ticks": "outside",
        "ticklen": 5,
        "tickcolor": "rgba(0,0,0,0)",
    }
    return {
        "height": 190,
        "margin": {"l": 62, "r": 10, "t": 4, "b": 26},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "Inter, sans-serif", "size": 12, "color": colour["text"]},
        "hovermode": "x unified",
        "uirevision": "keep",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        "xaxis": {
            **axis,
            "type": "date",
            "showgrid": False,
            "showticklabels": known,  # without a poll there is no time to show
            "tickformat": "%H:%M:%S",
            "nticks": 6,
        },
        "yaxis": {**axis, "range": [0, top], "ticksuffix": unit, "nticks": 5},
        "shapes": shapes,
        "annotations": notes,
    }


def _top(series: Sequence[Sequence[float | None]], limit: float | None) -> float:
    """The limit is always in the picture: how far away it is, is the point."""
    known = [value for values in series for value in values if value is not None]
    return max([*known, limit or 0.0, 1e-6]) * 1.18
