"""How fast an environment spends its error budget, and whether that is too fast. Pure integers.

The burn rate of a window is its share of bad requests, divided by the share that the SLO allows:
at 1 the budget lasts exactly as long as it should. A rule burns when every one of its windows
does: the long one says that it matters, the short one that it still goes on (Google, The Site
Reliability Workbook, chapter 5). What is not known is never called clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from typing import Final

from engine.core.health_criteria import BurnRule, percent_bp

_WHOLE_BP: Final = 10_000


class BurnState(StrEnum):
    CLEAR = "clear"
    BURNING = "burning"
    NOT_ENOUGH_HISTORY = "not_enough_history"  # the source does not reach back so far
    NO_DATA = "no_data"  # no answer, or no traffic to judge by


# The first of these that any rule is in is the state of all together.
_WORST_FIRST: Final = (BurnState.BURNING, BurnState.NO_DATA, BurnState.NOT_ENOUGH_HISTORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBurn:
    """Counts of one window that ended when it was read; None = not known."""

    window_s: int
    bad: int | None
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBurn:
    """A rule as it was found. `burn_centi` is its limit: 1_440 is 14.4."""

    burn_centi: int
    state: BurnState
    windows: tuple[WindowBurn, ...]


def over(bad: int, total: int, *, burn_centi: int, slo_bp: int) -> bool:
    """Whether the window burns faster than the limit; exactly at it is not over it."""
    return bad * 1_000_000 > burn_centi * (_WHOLE_BP - slo_bp) * total


def windows_of(rules: Iterable[BurnRule]) -> tuple[int, ...]:
    """Every window that the rules need, in whole seconds, the shortest first."""
    return tuple(sorted({_seconds(ms) for rule in rules for ms in rule.windows_ms}))


def judge(
    rules: Sequence[BurnRule], counts: Mapping[int, tuple[int, int] | None], *, slo_bp: int
) -> tuple[RuleBurn, ...]:
    """Every rule against what was counted.

    Args:
        counts: (bad, total) by window in seconds; None or missing = not known.
    """
    return tuple(_judged(rule, counts, slo_bp) for rule in rules)


def _judged(rule: BurnRule, counts: Mapping[int, tuple[int, int] | None], slo_bp: int) -> RuleBurn:
    windows = []
    for window_s in map(_seconds, rule.windows_ms):
        bad, total = counts.get(window_s) or (None, None)
        windows.append(WindowBurn(window_s=window_s, bad=bad, total=total))
    return RuleBurn(
        burn_centi=rule.burn_centi,
        state=_state(windows, rule.burn_centi, slo_bp),
        windows=tuple(windows),
    )


def _state(windows: Sequence[WindowBurn], burn_centi: int, slo_bp: int) -> BurnState:
    known = [(w.bad, w.total) for w in windows if w.bad is not None and w.total is not None]
    if len(known) < len(windows):
        return BurnState.NOT_ENOUGH_HISTORY
    if any(bad < 0 or total <= 0 for bad, total in known):
        return BurnState.NO_DATA
    if all(over(bad, total, burn_centi=burn_centi, slo_bp=slo_bp) for bad, total in known):
        return BurnState.BURNING
    return BurnState.CLEAR


def silent(rules: Sequence[BurnRule]) -> tuple[RuleBurn, ...]:
    """Every rule when the source gave no answer at all."""
    return tuple(
        RuleBurn(
            burn_centi=rule.burn_centi,
            state=BurnState.NO_DATA,
            windows=tuple(
                WindowBurn(window_s=_seconds(ms), bad=None, total=None) for ms in rule.windows_ms
            ),
        )
        for rule in rules
    )


def overall(rules: Sequence[RuleBurn]) -> BurnState:
    """One rule that burns is enough; clear is only what is clear by every rule."""
    found = {rule.state for rule in rules}
    return next((state for state in _WORST_FIRST if state in found), BurnState.CLEAR)


def sentence(rules: Sequence[RuleBurn], *, slo_bp: int) -> str:
    """`burning 22.1x over 1h and 18.0x over 5m (limit 14.4x of SLO 99 %)`."""
    state = overall(rules)
    telling = [rule for rule in rules if rule.state is state]
    told = "; ".join(_told(rule, slo_bp) for rule in telling)
    match state:
        case BurnState.BURNING:
            return f"burning {told}"
        case BurnState.CLEAR:
            return f"the budget is spent at {told}" if told else "no rule asks for the budget"
        case BurnState.NOT_ENOUGH_HISTORY:
            return f"not enough history: {told}"
        case BurnState.NO_DATA:
            return f"no data: {told}"


def _told(rule: RuleBurn, slo_bp: int) -> str:
    windows = " and ".join(_window(window, rule.burn_centi, slo_bp) for window in rule.windows)
    limit = _plain(Fraction(rule.burn_centi, 100), 2)
    return f"{windows} (limit {limit}x of SLO {percent_bp(slo_bp)})"


def _window(window: WindowBurn, burn_centi: int, slo_bp: int) -> str:
    span = span_text(window.window_s)
    if window.bad is None or window.total is None:
        return f"unknown over {span}"
    if window.total <= 0:
        return f"no request in {span}"
    rate = rate_text(window.bad, window.total, burn_centi=burn_centi, slo_bp=slo_bp)
    return f"{rate} over {span}"


def rate_text(bad: int, total: int, *, burn_centi: int, slo_bp: int) -> str:
    """`22.1x`; more digits where fewer would read as none, or as the limit that it is not at."""
    budget_bp = _WHOLE_BP - slo_bp
    if not budget_bp:
        return "infinitely" if bad else "0x"
    exact, limit = Fraction(bad * _WHOLE_BP, total * budget_bp), Fraction(burn_centi, 100)
    for digits in range(1, 12):
        shown = _plain(exact, digits)
        value = Fraction(shown)
        if (value > limit) == (exact > limit) and (value == 0) == (exact == 0):
            return f"{shown}x"
    return f"{bad}/{total} of {budget_bp}/{_WHOLE_BP}"  # closer to a mark than digits can tell


def span_text(seconds: int) -> str:
    """`1h`, `5m`, `1h30m`, `45s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _plain(number: Fraction, digits: int) -> str:
    with localcontext() as context:
        context.prec = 60
        text = f"{Decimal(number.numerator) / Decimal(number.denominator):.{digits}f}"
    # One digit always stands, so that a column of rates reads as one.
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"


def _seconds(ms: int) -> int:
    return -(-ms // 1000)


def history_state(
    rule: BurnRule, history: Sequence[Sequence[tuple[int, int]]], *, poll_ms: int, slo_bp: int
) -> str:
    """What the minutes before a deploy alone say of a rule, as a gate's evidence tells it.

    The words are older than `BurnState` and stay: stored evidence is compared byte by byte.

    Args:
        history: (requests, errors) per target and poll, oldest first.
    """
    states = []
    for window_ms in rule.windows_ms:
        ticks = window_ms // poll_ms
        if ticks > len(history):
            return "not_enough_history"
        cells = [cell for tick in history[len(history) - ticks :] for cell in tick]
        requests, errors = sum(n for n, _ in cells), sum(e for _, e in cells)
        states.append(over(errors, requests, burn_centi=rule.burn_centi, slo_bp=slo_bp))
    return "burning" if all(states) else "calm"
