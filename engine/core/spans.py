"""Durations as people read them. Pure."""

from __future__ import annotations


def span(us: int) -> str:
    """A duration in its two largest units: `850 ms`, `12 s`, `3 m 59 s`, `2 h 05 m`, `3 d 4 h`."""
    ms = max(0, us) // 1000
    seconds = ms // 1000
    if ms < 1000:
        return f"{ms} ms"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def limit_text(seconds: int) -> str:
    """A limit that somebody set, without the zeros of `span`: `1 h`, `90 m`, `2 d`, `45 s`."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds and seconds % unit_s == 0:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"
