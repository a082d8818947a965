"""The titles above a chart's strips: with their legends, in lines that a phone shows whole.

A picture does not wrap its words and is cut off at its edge, so the lines are made here, and each
line more is given its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pages.ui.charts import MARGIN_L

# What fits beside each other on a screen of 390 pixels.
_CHARS: Final = 58
_FIRST_PX: Final = 27
_LINE_PX: Final = 16
_EDGE_PX: Final = 4


def named(name: str, text: str = "", legend: Sequence[tuple[str, str]] = ()) -> str:
    """A title with what it is about and its legend: (colour, text) each."""
    words = f"· {text}".split() if text else []
    pieces = [(len(name), f"<b>{name}</b>"), *((len(word), word) for word in words)]
    pieces += [(1 + len(t), f" <span style='color:{c}'>{t}</span>") for c, t in legend]
    lines, wide = [""], 0
    for length, piece in pieces:
        if wide and wide + 1 + length > _CHARS:
            lines.append("")
            wide = 0
        lines[-1] = f"{lines[-1]} {piece}" if wide else piece.lstrip()
        wide += length + bool(wide)
    return "<br>".join(lines)


def height_px(title: str, *, lines_min: int) -> int:
    """What a title takes above its strip; nothing when there is none."""
    lines = max(lines_min, title.count("<br>") + 1 if title else 0)
    return _FIRST_PX + _LINE_PX * (lines - 1) if lines else 0


def placed(title: str, top: float, colour: dict[str, str]) -> dict[str, Any]:
    """Above a strip that ends at `top`, a part of the whole height."""
    return {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        # From the picture's edge on, above the axis' numbers: a third more room on a phone.
        "xshift": _EDGE_PX - MARGIN_L,
        "yref": "paper",
        "y": top,
        "yanchor": "bottom",
        "yshift": 2,
        "text": title,
        "showarrow": False,
        "align": "left",
        "font": {"size": 12},
        "bgcolor": colour["paper"],
        "borderpad": 0,
    }
