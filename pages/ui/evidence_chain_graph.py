"""Where the lines of a proof chain run: who signed is a lane, what a statement rests on a wire.

Every item is a row, in the order of the chain. Widths are pixels, heights are rows: the picture is
stretched to the rows beside it, however high they get. A wire leaves the item that is rested on,
runs down beside the lanes and goes off to each item that names it; wires that would lie upon each
other get tracks of their own. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_LANE: Final = 24
_TRACK: Final = 9
_EDGE: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`d`: path in SVG's words; `start` and `end` are rows, from 0."""

    d: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Attributes:
    xs: where each row's node lies.
    spine: from each row to the next, in order.
    wires: what rests on what.
    """

    width: int
    xs: tuple[int, ...]
    lanes: int
    tracks: int
    spine: tuple[Line, ...]
    wires: tuple[Line, ...]

    @property
    def rows(self) -> int:
        return len(self.xs)


def graph(signers: Sequence[str], rests_on: Mapping[int, Sequence[int]]) -> Graph:
    """Lay out one row per entry of `signers`.

    Args:
        rests_on: row to the earlier rows that it rests on, both from 0.
    """
    lane_of: dict[str, int] = {}
    for signer in signers:
        lane_of.setdefault(signer, len(lane_of))
    ends: dict[int, int] = {}
    for row, sources in rests_on.items():
        for source in sources:
            ends[source] = max(ends.get(source, source), row)
    track_of = _tracks(ends)
    tracks = max(track_of.values(), default=-1) + 1
    first = _EDGE + tracks * _TRACK + _LANE // 2
    xs = tuple(first + lane_of[signer] * _LANE for signer in signers)
    wires = tuple(
        _wire(xs, source, row, first - _LANE // 2 - (track_of[source] + 1) * _TRACK + 4)
        for row, sources in sorted(rests_on.items())
        for source in sorted(sources)
    )
    return Graph(
        width=first + max(0, len(lane_of) - 1) * _LANE + _LANE // 2 + 2,
        xs=xs,
        lanes=len(lane_of),
        tracks=tracks,
        spine=tuple(_link(xs, row) for row in range(len(xs) - 1)),
        wires=wires,
    )


def _tracks(ends: Mapping[int, int]) -> dict[int, int]:
    """A track for each wire: the innermost one that is free from its first row to its last."""
    free_from: list[int] = []
    found: dict[int, int] = {}
    for source in sorted(ends):
        free = [track for track, until in enumerate(free_from) if until < source]
        track = free[0] if free else len(free_from)
        free_from[track : track + 1] = [ends[source]]
        found[source] = track
    return found


def _wire(xs: Sequence[int], source: int, row: int, x: int) -> Line:
    """Out of the node, down along its track, and in to the row that rests on it."""
    top, bottom, bend = source + 0.5, row + 0.5, 0.3
    d = (
        f"M{xs[source]} {top} H{x + 5} Q{x} {top} {x} {top + bend} "
        f"V{bottom - bend} Q{x} {bottom} {x + 5} {bottom} H{xs[row]}"
    )
    return Line(d=d, start=source, end=row)


def _link(xs: Sequence[int], row: int) -> Line:
    """From a node to the next one's; between lanes it swings over."""
    here, there, top, bottom = xs[row], xs[row + 1], row + 0.5, row + 1.5
    d = (
        f"M{here} {top} V{bottom}"
        if here == there
        else f"M{here} {top} C{here} {top + 0.6} {there} {bottom - 0.6} {there} {bottom}"
    )
    return Line(d=d, start=row, end=row + 1)
