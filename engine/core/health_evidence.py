"""The arithmetic of the gate: evidence that may be looked at after every poll, and its noise.

An E value is the wealth of a bet against "not worse than allowed": under that hypothesis it reaches
1/alpha with a probability of at most alpha, however often it is looked at (Lindon and Malek, arXiv
2011.03567). Real traffic is burstier than coin flips; `dispersion` measures by how much before the
deploy, and every log-likelihood is divided by it. Floats live here and never leave as floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeAlias

from engine.core.errors import Malformed
from engine.core.health_criteria import BurnRule

History: TypeAlias = "Sequence[Sequence[tuple[int, int]]]"

# Alternatives "r times worse" and what is bet on each.
RATIOS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
WEIGHTS: Final = (0.1, 0.2, 0.25, 0.2, 0.15, 0.1)
_LOG_WEIGHTS: Final = tuple(math.log(weight) for weight in WEIGHTS)

_SHARE_MAX: Final = 0.95
# Half of the stake is bet from the start, half on the staggered starts: a fault that begins late
# would otherwise first have to win back what the good minutes cost.
_LOG_HALF: Final = math.log(0.5)
# Pulls the estimate of a short history towards 1, and keeps a lucky quiet one from going below.
_PRIOR: Final = 20
HISTORY_MS_MIN: Final = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests of one arm in one tick. `slow` is None when the source does not count it."""

    requests: int
    errors: int
    slow: int | None = None


class Evidence:
    """One E value: sums of log-likelihood ratios since the stage's start and since later starts."""

    def __init__(self, planned: int, carried: Sequence[float] = ()) -> None:
        self._sums = list(carried) if carried else [0.0] * len(RATIOS)
        self._starts: list[tuple[float, ...]] = []
        self._planned = planned
        self._log_e: float | None = None

    def add(self, terms: Sequence[float]) -> None:
        self._sums = [total + term for total, term in zip(self._sums, terms, strict=True)]
        self._log_e = None

    def start(self) -> None:
        """Open a further bet on what comes from here on; ignored when all planned are open."""
        if len(self._starts) < self._planned:
            self._starts.append(tuple(self._sums))
            self._log_e = None

    @property
    def log_e(self) -> float:
        if self._log_e is None:
            self._log_e = self._mixed()
        return self._log_e

    @property
    def sums(self) -> tuple[float, ...]:
        return tuple(self._sums)

    def _mixed(self) -> float:
        """Half a bet on the whole stage, the other half split over the planned starts; a start
        that is still to come is money not yet bet, and stays 1."""
        stakes = [weight + total for weight, total in zip(_LOG_WEIGHTS, self._sums, strict=True)]
        logs = [_LOG_HALF + stake for stake in stakes]
        log_one = _LOG_HALF - math.log(self._planned)
        for start in self._starts:
            logs += [log_one + stake - then for stake, then in zip(stakes, start, strict=True)]
        to_come = self._planned - len(self._starts)
        if to_come:
            logs.append(log_one + math.log(to_come))
        top = max(logs)
        return top + math.log(math.fsum([math.exp(value - top) for value in logs]))


def relative_terms(
    canary: tuple[int, int], baseline: tuple[int, int], *, margin: float, phi: float
) -> tuple[float, ...]:
    """What one tick says of "the canary is r times worse than margin x baseline", per ratio.

    Args:
        canary, baseline: (requests, bad ones). Without requests on both sides a tick says nothing.
    """
    (n_c, bad_c), (n_b, bad_b) = canary, baseline
    if not n_c or not n_b:
        return (0.0,) * len(RATIOS)
    odds = margin * n_c / n_b
    terms = []
    for ratio in RATIOS:
        worse = odds * ratio
        on_canary = math.log((worse / (1 + worse)) / (odds / (1 + odds)))
        on_baseline = math.log((1 + odds) / (1 + worse))
        terms.append((bad_c * on_canary + bad_b * on_baseline) / phi)
    return tuple(terms)


def limit_terms(requests: int, bad: int, *, limit: float, phi: float) -> tuple[float, ...]:
    """What one tick says of "the rate is r times the limit", per ratio."""
    terms = []
    for ratio in RATIOS:
        rate = min(limit * ratio, _SHARE_MAX)
        if rate <= limit:  # a limit near 100 % leaves no room to be worse
            terms.append(0.0)
            continue
        on_bad, on_good = math.log(rate / limit), math.log((1 - rate) / (1 - limit))
        terms.append((bad * on_bad + (requests - bad) * on_good) / phi)
    return tuple(terms)


def rejects_limit(requests: int, bad: int, *, limit: float, phi: float, log_line: float) -> bool:
    """Whether so few requests alone already contradict "at most the limit"."""
    if not requests or bad / requests <= limit:
        return False
    rate = bad / requests
    divergence = rate * math.log(rate / limit)
    if rate < 1:
        divergence += (1 - rate) * math.log((1 - rate) / (1 - limit))
    return requests * divergence / phi > log_line


def dispersion(history: History, *, poll_ms: int, windows_ms: Sequence[int]) -> float:
    """How much burstier than coin flips the errors were, at least 1: the worst of the windows.

    A cell is one target in one window; each window's own pooled rate is the expectation, so that
    a bad minute of the whole fleet does not count as a difference between targets.
    """
    return max(
        1.0, *(_dispersion(history, max(1, window_ms // poll_ms)) for window_ms in windows_ms)
    )


def _dispersion(history: History, ticks: int) -> float:
    chi2, freedom = 0.0, 0
    for begin in range(0, len(history) - ticks + 1, ticks):
        cells = _cells(history[begin : begin + ticks])
        requests, errors = sum(n for n, _ in cells), sum(e for _, e in cells)
        if not 0 < errors < requests:
            continue
        rate = errors / requests
        chi2 += math.fsum((e - n * rate) ** 2 / (n * rate * (1 - rate)) for n, e in cells)
        freedom += len(cells) - 1
    return (chi2 + _PRIOR) / (freedom + _PRIOR)


def _cells(window: History) -> list[tuple[int, int]]:
    """(requests, errors) per target over the window; targets without requests are left out."""
    cells = []
    for column in zip_longest(*window, fillvalue=(0, 0)):
        requests, errors = (sum(counts) for counts in zip(*column, strict=True))
        if requests:
            cells.append((requests, errors))
    return cells


def whole_fleet(history: History) -> list[Counts]:
    """All targets together per tick, newest first: what a stage without a baseline is held to."""
    return [
        Counts(requests=sum(n for n, _ in tick), errors=sum(e for _, e in tick))
        for tick in reversed(history)
    ]


def burn_state(rule: BurnRule, history: History, *, poll_ms: int, slo_bp: int) -> str:
    """`burning` when every window of the rule burns, `calm`, or `not_enough_history`."""
    budget_bp = 10_000 - slo_bp
    states = []
    for window_ms in rule.windows_ms:
        ticks = window_ms // poll_ms
        if ticks > len(history):
            return "not_enough_history"
        cells = [cell for tick in history[len(history) - ticks :] for cell in tick]
        requests, errors = sum(n for n, _ in cells), sum(e for _, e in cells)
        states.append(errors * 1_000_000 > rule.burn_centi * budget_bp * requests)
    return "burning" if all(states) else "calm"


def sums_to_text(sums: Sequence[float]) -> list[str]:
    """Exact, as text: a stored float would not be canonical JSON."""
    return [repr(value) for value in sums]


def sums_from_text(carry: Mapping[str, object], name: str) -> tuple[float, ...]:
    """Read what `sums_to_text` wrote under `name`. Raises `Malformed`."""
    value = carry.get(name)
    try:
        if not isinstance(value, list | tuple) or len(value) != len(RATIOS):
            raise ValueError
        sums = tuple(float(item) for item in value)
    except (TypeError, ValueError):
        sums = ()
    if not sums or not all(math.isfinite(item) for item in sums):
        raise Malformed(
            f"expected {len(RATIOS)} numbers as text, found {str(value)[:60]}",
            where=f"carried evidence: {name}",
        )
    return sums


def e_text(log_e: float) -> str:
    """An E value rounded to 6 decimals; a huge one by its exponent."""
    log10 = log_e / math.log(10)
    if log10 < 15:
        return f"{math.exp(log_e):.6f}"
    exponent = math.floor(log10)
    return f"{10 ** (log10 - exponent):.6f}e{exponent}"


def log10_text(log_e: float) -> str:
    return f"{log_e / math.log(10) + 0.0:.6f}"
