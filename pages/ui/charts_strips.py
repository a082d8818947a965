"""The strips of a stage's chart: what each draws, its title, its limits. Numbers come ready."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core.health_criteria import duration, percent_bp, percent_ppm
from engine.live_text import clock, count
from pages.ui.charts import when
from pages.ui.charts_titles import named
from pages.ui.stage_models_judges import Curve, Line
from pages.ui.stage_models_marks import Mark
from pages.ui.stage_models_series import Series

# Sign, colour and word of each kind of mark; no two share a sign.
MARKS: Final[dict[str, tuple[str, str, str]]] = {
    "approval": ("star", "absolute", "approval"),
    "applied": ("square", "canary", "stage applied"),
    "decision": ("circle-open", "mark", "decision"),
    "promote": ("circle", "held", "promoted"),
    "restart": ("triangle-down", "suspect", "clock restarted"),
    "pause": ("hourglass", "suspect", "paused"),
    "resume": ("triangle-right", "held", "went on"),
    "override": ("diamond", "suspect", "override"),
    "rollback": ("x", "limit", "rollback"),
}
_EVIDENCE_COLOURS: Final = ("canary", "absolute", "slow", "slow")
_EVIDENCE_DASHES: Final = ("solid", "dash", "solid", "dash")
# Below this nothing is to be told apart: the release is fine.
_LOG10_MIN: Final = -2.0
# What fits beside each other inside a strip on a screen of 390 pixels.
_NOTE_CHARS: Final = 44
_DASH_SIGN: Final = {"solid": "━", "dash": "╍"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Attributes:
    lines, notes: shapes and words that belong to the strip's own axis.
    """

    title: str
    axis: dict[str, Any]
    traces: Sequence[dict[str, Any]] = ()
    lines: Sequence[dict[str, Any]] = ()
    notes: Sequence[dict[str, Any]] = ()


def _made(
    title: str,
    axis: dict[str, Any],
    traces: Sequence[dict[str, Any]],
    limits: Sequence[tuple[dict[str, Any], dict[str, Any]]] = (),
    notes: Sequence[dict[str, Any]] = (),
) -> Strip:
    return Strip(
        title=title,
        axis=axis,
        traces=traces,
        lines=[line for line, _ in limits],
        notes=[*(note for _, note in limits), *notes],
    )


# --- strips -----------------------------------------------------------------------------------


def lane(series: Series, colour: dict[str, str]) -> Strip:
    """One sign per thing that happened; who and why when it is pointed at."""
    marks = series.marks
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [when(mark.at_us) for mark in marks],
        "y": [0.5] * len(marks),
        "marker": {
            "symbol": [MARKS[mark.kind][0] for mark in marks],
            "color": [colour[MARKS[mark.kind][1]] for mark in marks],
            "size": 11,
            "line": {"width": 1.4, "color": [colour[MARKS[mark.kind][1]] for mark in marks]},
        },
        "name": "",
        "customdata": [_mark_text(mark) for mark in marks],
        "hovertemplate": "%{customdata}<extra></extra>",
        "cliponaxis": False,
    }
    return _made("", {"range": [0, 1], "visible": False}, [trace] if marks else [])


def _mark_text(mark: Mark) -> str:
    early = f" (before the stage, {when(mark.ts_us):%H:%M:%S} UTC)" if mark.early else ""
    why = f"<br>{_wrapped(plain(mark.text))}" if mark.text else ""
    return f"<b>{plain(mark.head)}</b>{early}{why}"


def plain(text: str) -> str:
    """Somebody's text, for a place that reads a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _wrapped(text: str, width: int = 70) -> str:
    lines, line = [], ""
    for word in text[:400].split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "<br>".join([*lines, line])


def errors(series: Series, colour: dict[str, str]) -> Strip:
    limit = series.criteria.error_rate_ppm_max / 10_000
    canary, baseline = series.errors
    title = named(
        "Error rate",
        "per poll",
        ((colour["canary"], "━ canary, new"), (colour["baseline"], "┅ baseline, old")),
    )
    text = f"limit {percent_ppm(series.criteria.error_rate_ppm_max)}"
    return _made(
        title,
        {"range": _from_zero(_top((canary, baseline), limit)), "ticksuffix": " %", "nticks": 4},
        [
            _line(series, baseline, colour["baseline"], "dot"),
            _line(series, canary, colour["canary"], "solid", 2.0),
        ],
        [_limit(limit, text, colour["limit"])],
    )


def latency(series: Series, colour: dict[str, str]) -> Strip:
    criteria = series.criteria
    slow = float(criteria.slow_over_ms) or None
    canary, baseline = series.latency
    lines = []
    if slow is not None:
        share = percent_ppm(criteria.slow_share_ppm_max)
        text = f"slow is over {criteria.slow_over_ms} ms; at most {share} may be"
        lines.append(_limit(slow, text, colour["limit"]))
    return _made(
        named(
            "Latency p95",
            "slowest target of each arm"
            + (", highest of each minute: single polls are not kept" if series.by_minute else ""),
        ),
        {
            "range": _from_zero(_top((canary, baseline), slow, low=True)),
            "ticksuffix": " ms",
            "nticks": 4,
        },
        [
            _line(series, baseline, colour["baseline"], "dot"),
            _line(series, canary, colour["canary"], "solid", 2.0),
        ],
        lines,
    )


def evidence(series: Series, colour: dict[str, str]) -> Strip:
    """How sure the gate is that the release is bad; every step up is ten times surer."""
    if series.curve is not None:
        return _judged(series, series.curve, colour)
    if not series.evidence:
        note = _centred(series.evidence_missing)
        return _made(
            named("Evidence against the release"),
            {"range": [0, 1], "visible": False},
            [],
            (),
            [note],
        )
    suspect, rollback = series.lines_log10
    values = [v for line in series.evidence for v in line.values if v is not None]
    top = min(max([*values, rollback * 1.3]), rollback * 2.2) + 0.25
    bottom = max(min([*values, -0.4]), _LOG10_MIN)
    cut = [_clamped(line, bottom, top) for line in series.evidence]
    legend = [
        (
            colour[_EVIDENCE_COLOURS[at]],
            f"{_DASH_SIGN[_EVIDENCE_DASHES[at]]} {line.name}",
        )
        for at, line in enumerate(series.evidence)
    ]
    alpha = percent_ppm(series.criteria.alpha_ppm)
    hold = percent_ppm(series.criteria.alpha_hold_ppm)
    return _made(
        named("Evidence against the release", "log10 E", legend),
        {"range": [bottom - 0.2, top], **_whole_ticks(bottom, top)},
        [
            _line(series, line, colour[_EVIDENCE_COLOURS[at]], _EVIDENCE_DASHES[at], 2.0)
            for at, line in enumerate(cut)
        ],
        [
            _limit(rollback, f"rollback at {rollback:.2f} (1/{alpha})", colour["limit"]),
            _limit(suspect, f"suspect at {suspect:.2f} (1/{hold})", colour["suspect"], "dot"),
        ],
    )


def _judged(series: Series, curve: Curve, colour: dict[str, str]) -> Strip:
    """Another judge's own numbers beside the lines that they are held against."""
    x = [when(us) for us in curve.times_us]
    bounds = [(curve.rollback, "limit")] + ([(curve.suspect, "suspect")] if curve.suspect else [])

    def drawn(line: Line, tone: str, dash: str, width: float) -> dict[str, Any]:
        made = _line(series, line, colour[tone], dash, width)
        shape = "hv" if curve.stepped else "linear"
        return made | {"x": x, "line": {**made["line"], "shape": shape}}

    pairs = list(zip(curve.lines, _EVIDENCE_COLOURS, _EVIDENCE_DASHES, strict=False))
    legend = [
        *((colour[tone], f"{_DASH_SIGN[dash]} {line.name}") for line, tone, dash in pairs),
        *((colour[tone], f"┅ {line.name}") for line, tone in bounds),
    ]
    known = [v for line in curve.lines for v in line.values if v is not None]
    base, top = _from_zero(_top((*curve.lines, *(line for line, _ in bounds)), None))
    return _made(
        named(curve.name, curve.unit, legend),
        {
            "range": [min([base, *known]), top],
            "ticksuffix": curve.suffix,
            "nticks": 5,
        },
        [
            *(drawn(line, tone, "dot", 1.4) for line, tone in bounds),
            *(drawn(line, tone, dash, 2.0) for line, tone, dash in pairs),
        ],
    )


def _clamped(line: Line, bottom: float, top: float) -> Line:
    """Values far off run along the edge, and the hover still has them: a good release's evidence
    falls for ever, and would press the two lines that matter together."""
    values = tuple(None if v is None else min(top, max(bottom, v)) for v in line.values)
    return replace(line, values=values)


def _whole_ticks(bottom: float, top: float) -> dict[str, Any]:
    whole = range(math.ceil(bottom), math.floor(top) + 1)
    names = [f"≤ {v}" if v <= _LOG10_MIN else f"{v}" for v in whole]
    return {"tickvals": list(whole), "ticktext": names}


def held(series: Series, colour: dict[str, str]) -> Strip:
    need_s = series.criteria.hold_ms / 1000
    share = percent_bp(series.criteria.healthy_share_bp_min)
    trace = {
        **_line(series, series.held_s, colour["held"], "solid", 1.8),
        "fill": "tozeroy",
        "fillcolor": _faint(colour["held"]),
    }
    return _made(
        named("Criteria clock", f"unbroken: {share} healthy, below the limits"),
        {
            "range": [0, need_s * 1.45],
            "tickvals": [0, need_s / 2, need_s],
            "ticktext": ["0:00", clock(int(need_s * 500)), clock(int(need_s * 1000))],
        },
        [trace],
        [_limit(need_s, f"promotes at {duration(series.criteria.hold_ms)}", colour["held"])],
    )


def requests(series: Series, colour: dict[str, str]) -> Strip:
    need = float(series.criteria.requests_min)
    return _made(
        named("Requests of the canary", f"in the window of {duration(series.criteria.window_ms)}"),
        {"range": _from_zero(_top((series.requests,), need, low=True)), "nticks": 3},
        [_line(series, series.requests, colour["canary"], "solid", 1.6)],
        [_limit(need, f"at least {count(int(need))}", colour["suspect"])],
    )


def burn(series: Series, colour: dict[str, str]) -> Strip:
    slo = percent_bp(series.criteria.guard_slo_bp)
    legend = [
        (colour["canary" if at == 0 else "absolute"], f"━ {line.name}")
        for at, line in enumerate(series.burn)
    ]
    title = named("Error budget burn", f"environment, SLO {slo}", legend)
    if not series.burn:
        return _made(
            title, {"range": [0, 1], "visible": False}, [], (), [_centred(series.burn_missing)]
        )
    return _made(
        title,
        {
            "range": _from_zero(_top(series.burn, 1.0, low=True)),
            "ticksuffix": "x",
            "nticks": 3,
        },
        [
            _line(series, line, colour["canary" if at == 0 else "absolute"], "solid", 1.6)
            for at, line in enumerate(series.burn)
        ],
        [_limit(1.0, "1x: the budget lasts as long as it should", colour["baseline"])],
        [_note_right(series.burn_missing)] if series.burn_missing else [],
    )


# --- pieces -----------------------------------------------------------------------------------


def _line(series: Series, line: Line, colour: str, dash: str, width: float = 1.5) -> dict[str, Any]:
    """A value that stands alone between gaps gets a dot: a line of one point is not seen."""
    values = line.values
    few = len(values) <= 60
    alone = [
        value is not None
        and (few or all(not 0 <= at < len(values) or values[at] is None for at in (i - 1, i + 1)))
        for i, value in enumerate(values)
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers" if any(alone) else "lines",
        "x": [when(us) for us in series.times_us],
        "y": list(values),
        "name": line.name,
        "connectgaps": False,
        "line": {"width": width, "color": colour, "dash": dash},
        "marker": {"size": [4.5 if one else 0 for one in alone], "color": colour, "opacity": 1},
        "customdata": list(line.texts),
        "hovertemplate": "%{customdata}",
    }


def _limit(
    at: float, text: str, colour: str, dash: str = "dash"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A line over the whole width, and its words."""
    line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": at,
        "y1": at,
        "line": {"color": colour, "width": 1.2, "dash": dash},
    }
    note = {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": at,
        "yanchor": "bottom",
        "text": text,
        "showarrow": False,
        "font": {"size": 11, "color": colour},
    }
    return line, note


def _centred(text: str) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 0.5,
        "xanchor": "center",
        "y": 0.5,
        "text": _wrapped(plain(text), _NOTE_CHARS),
        "showarrow": False,
        "font": {"size": 12},
    }


def _note_right(text: str) -> dict[str, Any]:
    note = _centred(text)
    return note | {"x": 1, "xanchor": "right", "y": 0, "yanchor": "bottom", "font": {"size": 11}}


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def _from_zero(top: float) -> list[float]:
    """A little room below zero: a line along the very edge is cut in half, and then overlooked."""
    return [-top / 30, top]


def _top(lines: Sequence[Line], limit: float | None, *, low: bool = False) -> float:
    """The limit is always in the picture: how far away it is, is the point.

    Args:
        low: the strip is low, so that the words above a limit need more of it.
    """
    known = [value for line in lines for value in line.values if value is not None]
    return max(max([*known, 1e-6]) * 1.15, (limit or 0.0) * (1.5 if low else 1.3))
