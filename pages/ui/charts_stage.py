"""A stage over time, one strip above the other on one time axis: what was seen, how sure the gate
is, how long its criteria have held. Marks and gaps go through all strips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from pages.ui import charts_strips as strips
from pages.ui.charts import axis, base_layout, figure, palette, time_axis, when
from pages.ui.charts_strips import Strip
from pages.ui.charts_titles import height_px, placed
from pages.ui.stage_models_series import Gap, Series

# In the order of the page, with their heights in pixels and the lines that their titles have at
# least, so that nothing moves while a stage is followed; the first holds the marks.
_STRIPS: Final[tuple[tuple[Callable[[Series, dict[str, str]], Strip], int, int], ...]] = (
    (strips.lane, 24, 0),
    (strips.errors, 132, 1),
    (strips.latency, 96, 1),
    (strips.evidence, 150, 2),
    (strips.held, 70, 1),
    (strips.requests, 62, 1),
    (strips.burn, 62, 1),
)
# The strips whose rates come from the gate's window.
_WINDOWED: Final = (strips.errors, strips.latency, strips.requests)
_BOTTOM_PX: Final = 24
_TOP_PX: Final = 8
# A gap narrower than this part of the chart has no room for its name.
_NAMED_GAP_PART: Final = 14


def stage(series: Series, *, dark: bool) -> go.Figure:
    colour = palette(dark=dark)
    drawn = [draw(series, colour) for draw, _, _ in _STRIPS]
    whole_px, domains = _domains(drawn)
    layout = base_layout(colour, height_px=whole_px + _BOTTOM_PX + _TOP_PX, top_px=_TOP_PX)
    shapes = [*_windows(series, colour), *_mark_lines(series, colour)]
    data, notes = [*_gaps(series.gaps, colour)], [*_gap_names(series, colour, domains[1][1])]
    for number, strip in enumerate(drawn, 1):
        ref = "y" if number == 1 else f"y{number}"
        layout[ref.replace("y", "yaxis")] = {
            **axis(colour),
            **strip.axis,
            "domain": list(domains[number - 1]),
        }
        data += [{**trace, "yaxis": ref} for trace in strip.traces]
        shapes += [{**line, "yref": ref} for line in strip.lines]
        notes += [{**note, "yref": ref} for note in strip.notes]
        if strip.title:
            notes.append(placed(strip.title, domains[number - 1][1], colour))
    layout |= {
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "xaxis": {**time_axis(colour, series.span_us), "anchor": "free", "position": 0},
        "yaxis9": {"domain": [0, 1], "range": [0, 1], "visible": False, "fixedrange": True},
        "shapes": shapes,
        "annotations": notes,
    }
    return figure(data, layout)


def _domains(drawn: Sequence[Strip]) -> tuple[int, tuple[tuple[float, float], ...]]:
    """The whole height in pixels, and bottom and top of each strip as parts of it."""
    parts = [
        (height_px(strip.title, lines_min=least), px)
        for strip, (_, px, least) in zip(drawn, _STRIPS, strict=True)
    ]
    whole = sum(title_px + px for title_px, px in parts)
    found, top_px = [], float(whole)
    for title_px, px in parts:
        top_px -= title_px
        found.append((max(0.0, (top_px - px) / whole), top_px / whole))
        top_px -= px
    return whole, tuple(found)


def _windows(series: Series, colour: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The window that the gate's rates come from, behind the strips that it is about."""
    since, until = series.window_us
    for number, (draw, _, _) in enumerate(_STRIPS, 1):
        if draw in _WINDOWED:
            yield {
                "type": "rect",
                "layer": "below",
                "x0": when(max(since, series.span_us[0])),
                "x1": when(until),
                "yref": f"y{number} domain",
                "y0": 0,
                "y1": 1,
                "fillcolor": colour["window"],
                "line": {"width": 0},
            }


def _mark_lines(series: Series, colour: dict[str, str]) -> Iterator[dict[str, Any]]:
    for mark in series.marks:
        if mark.early or mark.kind == "decision":
            continue
        yield {
            "type": "line",
            "layer": "below",
            "x0": when(mark.ts_us),
            "x1": when(mark.ts_us),
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": colour[strips.MARKS[mark.kind][1]], "width": 1, "dash": "dot"},
            "opacity": 0.75,
        }


def _gap_names(series: Series, colour: dict[str, str], top: float) -> Iterator[dict[str, Any]]:
    """What a gap is, written into it where there is room."""
    first, last = series.span_us
    for gap in series.gaps:
        if (gap.to_us - gap.from_us) * _NAMED_GAP_PART < last - first:
            continue
        yield {
            "xref": "x",
            "x": when((gap.from_us + gap.to_us) // 2),
            "yref": "paper",
            "y": top,
            "yanchor": "top",
            "yshift": -6,
            "text": gap.kind,
            "showarrow": False,
            "font": {"size": 11, "color": colour["strong"]},
            "bgcolor": colour["paper"],
        }


def _gaps(gaps: Sequence[Gap], colour: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Hatched through every strip: nothing is known there, which is not the same as nothing."""
    for kind, shape in (("no data", "/"), ("no tick", "x"), ("paused", ".")):
        mine = [gap for gap in gaps if gap.kind == kind]
        if not mine:
            continue
        x: list[Any] = []
        y: list[Any] = []
        for gap in mine:
            x += [when(at) for at in (gap.from_us, gap.to_us, gap.to_us, gap.from_us)] + [None]
            y += [0, 0, 1, 1, None]
        yield {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "yaxis": "y9",
            "fill": "toself",
            "fillcolor": colour["void"],
            "fillpattern": {
                "shape": shape,
                "size": 6,
                "fgcolor": colour["baseline"],
                "solidity": 0.25,
            },
            "line": {"width": 0},
            "hoverinfo": "skip",
            "name": kind,
        }
