"""Targets over time: one row per target, one column per poll, four states that no eye mixes up.

Colours are from a palette that holds for every kind of colour blindness and differ in lightness;
on top, what is not healthy carries a sign: a cross for unhealthy, an open diamond for no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import plotly.graph_objects as go

from pages.ui.charts import axis, base_layout, figure, palette, time_axis, when
from pages.ui.stage_models_heat import HEALTHY, MISSING, NOT_YET, STATES, UNHEALTHY, Heat

SHADES: Final = {
    False: {NOT_YET: "#E7EAEF", HEALTHY: "#57B08D", MISSING: "#F2C14E", UNHEALTHY: "#C43A22"},
    True: {NOT_YET: "#1D2530", HEALTHY: "#1F6F54", MISSING: "#D9A521", UNHEALTHY: "#F0694F"},
}
# Signs and their colour, which stands out from the cell's in both themes.
SIGNS: Final = {UNHEALTHY: ("x-thin", "#FFFFFF"), MISSING: ("diamond-open", "#2A1D00")}
_DARK_SIGNS: Final = {UNHEALTHY: "#2B0A05", MISSING: "#2A1D00"}
# A stretch of equal cells gets a sign every so many pixels on a page of usual width, not one on
# each of its cells: those would lie on top of each other.
_SIGN_EVERY_PX: Final = 16
_WIDTH_PX: Final = 900
# Above this many cells a word per cell costs more than the picture; the signs still have theirs.
_WORDS_MAX: Final = 15_000
# A longer name is cut in the middle, where names of one fleet differ least.
_NAME_MAX: Final = 12
_BOTTOM_PX: Final = 24


def row_px(rows: int) -> int:
    """Height of one target: readable where there are few, still told apart where there are 200."""
    if rows <= 12:
        return 22
    if rows <= 40:
        return 14
    return 8 if rows <= 100 else 5


def height_px(heat: Heat) -> int:
    return max(1, len(heat.targets)) * row_px(len(heat.targets)) + _BOTTOM_PX + 6


def targets(heat: Heat, span_us: tuple[int, int], *, dark: bool) -> go.Figure:
    """Args:
    span_us: of the charts above, so that one moment is at one place in all of them.
    """
    colour, shades = palette(dark=dark), SHADES[dark]
    count, px = len(heat.targets), row_px(len(heat.targets))
    layout = base_layout(colour, height_px=height_px(heat), top_px=6)
    step = max(1, -(-14 // px))
    labelled = range(0, count, step)
    layout |= {
        "hovermode": "closest",
        "xaxis": time_axis(colour, span_us),
        "yaxis": {
            **axis(colour),
            "showgrid": False,
            "range": [count - 0.5, -0.5],
            "tickvals": list(labelled),
            "ticktext": [_short(heat.targets[at]) for at in labelled],
            "tickfont": {"size": 11, "family": "JetBrains Mono, monospace"},
        },
    }
    return figure(
        [_cells(heat, shades, gap_px=1 if px >= 8 else 0), *_signs(heat, px, dark)], layout
    )


def _short(name: str) -> str:
    if len(name) <= _NAME_MAX:
        return name
    half = _NAME_MAX // 2
    return f"{name[: half - 1]}…{name[-half:]}"


def _cells(heat: Heat, shades: dict[int, str], *, gap_px: int) -> dict[str, Any]:
    last = len(STATES) - 1
    scale: list[list[Any]] = []
    for state in sorted(STATES):
        scale += [[state / (last + 1), shades[state]], [(state + 1) / (last + 1), shades[state]]]
    cells = {
        "type": "heatmap",
        "x": [when(us) for us in heat.edges_us],
        "y0": 0,
        "dy": 1,
        "z": [list(row) for row in heat.states],
        "zmin": -0.5,
        "zmax": last + 0.5,
        "colorscale": scale,
        "showscale": False,
        "ygap": gap_px,
        "hoverongaps": False,
        "name": "",
    }
    if len(heat.targets) * max(1, len(heat.edges_us)) <= _WORDS_MAX:
        words = [
            ["" if state is None else f"{target}: {STATES[state]}" for state in row]
            for target, row in zip(heat.targets, heat.states, strict=True)
        ]
        return cells | {"text": words, "hovertemplate": "%{text}<br>%{x}<extra></extra>"}
    return cells | {"hoverinfo": "x"}


def _signs(heat: Heat, px: int, dark: bool) -> Sequence[dict[str, Any]]:
    every = max(1, _SIGN_EVERY_PX * len(heat.middles_us) // _WIDTH_PX)
    traces = []
    for state, (symbol, light) in SIGNS.items():
        places = [
            (heat.middles_us[column], at)
            for at, row in enumerate(heat.states)
            for column in _spaced(row, state, every)
        ]
        if not places:
            continue
        tint = _DARK_SIGNS[state] if dark else light
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [when(us) for us, _ in places],
                "y": [at for _, at in places],
                "marker": {
                    "symbol": symbol,
                    "size": min(9, px - 1),
                    "color": tint,
                    "line": {"width": 1.6 if px >= 8 else 1, "color": tint},
                },
                "customdata": [f"{heat.targets[at]}: {STATES[state]}" for _, at in places],
                "hovertemplate": "%{customdata}<br>%{x}<extra></extra>",
                "name": STATES[state],
            }
        )
    return traces


def _spaced(row: Sequence[int | None], state: int, every: int) -> Iterator[int]:
    """Columns for signs of `state`: amid each stretch, or evenly along a long one."""
    column = 0
    for found, group in groupby(row):
        length = sum(1 for _ in group)
        if found == state:
            signs = max(1, length // every)
            yield from (column + length * (2 * i + 1) // (2 * signs) for i in range(signs))
        column += length


def legend(names: Mapping[int, str]) -> str:
    """The four states as Markdown, each with its sign beside its word."""
    signs = {NOT_YET: "·", HEALTHY: "■", MISSING: "◇", UNHEALTHY: "✕"}
    tints = {NOT_YET: "gray", HEALTHY: "green", MISSING: "orange", UNHEALTHY: "red"}
    return " ".join(f":{tints[s]}-badge[{signs[s]} {names[s]}]" for s in sorted(names))
