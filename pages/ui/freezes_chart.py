"""The calendar of freezes: a lane per environment, closed where a bar lies. Data to figure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import plotly.graph_objects as go

from engine.core.freezes import Closure
from engine.core.local_time import local
from pages.ui import charts
from pages.ui.freezes_models import Lane, Zone, names, owners, wall

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time of the reader's, as plotly shows it
_STRIPES: Final = {
    "shape": "/",
    "fillmode": "overlay",
    "fgcolor": "#FFFFFF",
    "size": 9,
    "solidity": 0.12,
}
_LANE_PX: Final = 46
_TOP_PX: Final = 44
_FRAME_PX: Final = 76


def calendar(
    lanes: Sequence[Lane], from_us: int, to_us: int, zone: Zone, *, dark: bool
) -> go.Figure:
    """From now on; the first environment on top. A bar without an end runs out of the picture."""
    colour = charts.palette(dark=dark)
    names_ = [lane.environment for lane in lanes]
    layout = charts.base_layout(colour, height_px=_FRAME_PX + _LANE_PX * len(lanes), top_px=_TOP_PX)
    layout |= {
        "barmode": "overlay",
        "bargap": 0.35,
        # A name that has no room in its bar stands in the table and on the pointer.
        "uniformtext": {"minsize": 11, "mode": "hide"},
        "margin": {"l": 110, "r": charts.MARGIN_R, "t": _TOP_PX, "b": 14},
        "xaxis": {
            **charts.axis(colour),
            "type": "date",
            "side": "top",
            "range": [_there(from_us, zone), _there(to_us, zone)],
            "tickformat": "%a\n%-d %b",
            "dtick": 86_400_000,
            "tickangle": 0,
        },
        "yaxis": {
            **charts.axis(colour),
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names_[::-1],
            "range": [-0.5, len(lanes) - 0.5],
            "tickfont": {"size": 12, "color": colour["strong"]},
        },
    }
    open_lanes = {
        "type": "bar",
        "orientation": "h",
        "y": names_,
        "base": [_there(from_us, zone)] * len(lanes),
        "x": [(to_us - from_us) / 1000] * len(lanes),
        "marker": {"color": colour["window"]},
        "hovertemplate": "%{y}: open<extra></extra>",
    }
    bars = [_bar(lane, one, colour, zone) for lane in lanes for one in lane.closed]
    return charts.figure([open_lanes, *bars], layout)


def _bar(lane: Lane, one: Closure, colour: dict[str, str], zone: Zone) -> dict[str, Any]:
    start, end = _there(one.start_us, zone), _there(one.end_us, zone)
    told = (
        f"<b>{names(one.causes)}</b><br>{wall(one.start_us, zone)} – {wall(one.end_us, zone)}"
        f"<br>{owners(one.causes)}"
    )
    return {
        "type": "bar",
        "orientation": "h",
        "y": [lane.environment],
        "base": [start],
        "x": [(end - start) / timedelta(milliseconds=1)],
        # A pattern beside the colour, for who does not tell colours apart.
        "marker": {
            "color": colour["limit"],
            "opacity": 0.85,
            "pattern": _STRIPES,
        },
        "text": [names(one.causes)],
        "textposition": "inside",
        "textangle": 0,
        "insidetextanchor": "start",
        "textfont": {"color": "#FFFFFF", "size": 11},
        "hovertext": [told],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _there(us: int, zone: Zone) -> datetime:
    """The wall time of whoever looks; across a clock change a bar is an hour longer or shorter."""
    day, second = local(us, zone.offset_at)
    return _EPOCH + timedelta(days=day, seconds=second)
