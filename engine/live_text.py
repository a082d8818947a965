"""Numbers as people read them: exact enough, never rounded into something untrue. Pure.

A rate that is shown as "1 %" is 1 %, one shown as "0 %" had no error at all, and one that lies
under a limit never reads as if it had reached it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

from engine.core.spans import span

__all__ = ["clock", "count", "day_time", "moment", "percent", "plural", "span"]


def percent(part: int, whole: int, *, limit_ppm: int | None = None) -> str:
    """`part` of `whole` in percent, with at least two significant digits: `0.41 %`.

    More digits are added until the text says about 0, 100 and the limit what the exact value says.
    A dash when there is nothing to divide by.
    """
    if whole <= 0:
        return "–"
    exact = Fraction(part * 100, whole)
    marks = [Fraction(0), Fraction(100)]
    if limit_ppm is not None:
        marks.append(Fraction(limit_ppm, 10_000))
    for digits in range(2, 40):
        shown = _significant(exact, digits)
        if all(_order(Fraction(shown), mark) == _order(exact, mark) for mark in marks):
            return f"{_plain(shown)} %"
    return f"{part}/{whole}"  # closer to a mark than 39 digits can tell: say it exactly


def count(number: int) -> str:
    return f"{number:,}"


def clock(ms: int) -> str:
    """Minutes and seconds of a stopwatch, cut off and never rounded up: `4:59`."""
    seconds = max(0, ms) // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"


def moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def day_time(us: int) -> str:
    """`Feb 18, 08:30:12 UTC`."""
    at = moment(us)
    return f"{at:%b} {at.day}, {at:%H:%M:%S} UTC"


def plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def _significant(value: Fraction, digits: int) -> Decimal:
    with localcontext() as context:
        context.prec = digits
        context.rounding = ROUND_HALF_EVEN
        return Decimal(value.numerator) / Decimal(value.denominator)


def _order(a: Fraction, b: Fraction) -> int:
    return (a > b) - (a < b)


def _plain(value: Decimal) -> str:
    """Without an exponent; `0.40` keeps its zero, which says that the digit is known."""
    return f"{value:f}" if value else "0"
