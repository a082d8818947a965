"""The back-test as a picture: a line per stage from the recorded answer to the changed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from engine.core.backtest import Outcome
from pages.ui import backtest_models

_LIGHT: Final = {"then": "#7A8594", "now": "#2563EB", "bad": "#C8322B", "text": "#525D6B"}
_DARK: Final = {"then": "#8B96A5", "now": "#6B9DFF", "bad": "#F0726A", "text": "#A9B4C2"}
_GRID: Final = {False: "#E9ECF1", True: "#212934"}
_ROW_PX: Final = 24


def when_decided(outcomes: Sequence[Outcome], *, dark: bool) -> go.Figure:
    """Seconds since a stage's watch began, recorded (ring) and changed (dot), a row per stage."""
    colour = _DARK if dark else _LIGHT
    rows = backtest_models.bars(outcomes)
    reached = [row for row in rows if row["now_s"] is not None]
    alarming = {"false_alarm", "missed"}
    return go.Figure(
        {
            "data": [
                _links(reached, colour["then"]),
                {
                    **_points([(r["then_s"], r["stage"], r["then"]) for r in rows]),
                    "name": "recorded",
                    "marker": {
                        "size": 11,
                        "symbol": "circle-open",
                        "color": colour["then"],
                        "line": {"width": 2},
                    },
                },
                {
                    **_points(
                        [(r["now_s"], r["stage"], f"{r['word']}: {r['now']}") for r in reached]
                    ),
                    "name": "with these limits",
                    "marker": {
                        "size": 9,
                        "symbol": ["x" if r["verdict"] in alarming else "circle" for r in reached],
                        "color": [
                            colour["bad"] if r["verdict"] in alarming else colour["now"]
                            for r in reached
                        ],
                    },
                },
            ],
            "layout": _layout(rows, colour["text"], _GRID[dark]),
        },
        skip_invalid=False,
    )


def _links(rows: Sequence[dict[str, Any]], colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for r in rows for x in (r["then_s"], r["now_s"], None)],
        "y": [y for r in rows for y in (r["stage"], r["stage"], None)],
        "line": {"width": 2, "color": colour},
        "opacity": 0.45,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _points(points: Sequence[tuple[float, str, str]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x for x, _, _ in points],
        "y": [y for _, y, _ in points],
        "customdata": [text for _, _, text in points],
        "hovertemplate": "%{y}<br>%{customdata}<extra></extra>",
    }


def _layout(rows: Sequence[dict[str, Any]], text: str, grid: str) -> dict[str, Any]:
    axis = {"gridcolor": grid, "zeroline": False, "tickfont": {"size": 11}}
    return {
        "height": 90 + _ROW_PX * max(1, len(rows)),
        "margin": {"l": 150, "r": 16, "t": 30, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "Inter, sans-serif", "size": 12, "color": text},
        "hovermode": "closest",
        "uirevision": "keep",
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        "xaxis": {
            **axis,
            "title": {"text": "seconds since the stage was applied"},
            "rangemode": "tozero",
        },
        "yaxis": {
            **axis,
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [row["stage"] for row in reversed(rows)],
            "showgrid": False,
        },
    }
