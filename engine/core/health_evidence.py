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
from functools import lru_cache
from itertools import accumulate, zip_longest
from typing import Final, TypeAlias

from engine.core.errors import Malformed

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
_CONTINUITY: Final = 0.5
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
        self._waiting: Waiting | None = None
        self._log_e: float | None = None

    def add(self, terms: Sequence[float]) -> None:
        self._sums = [total + term for total, term in zip(self._sums, terms, strict=True)]
        if self._waiting is not None:
            self._waiting.add(terms)
        self._log_e = None

    def start(self) -> None:
        """Open a further bet on what comes from here on; ignored when all planned are open."""
        if len(self._starts) < self._planned:
            self._starts.append(tuple(self._sums))
            self._log_e = None
        if self._waiting is not None:
            self._waiting.start()
            self._log_e = None

    def wait(self) -> None:
        """From here on the stage may have to wait for hours, longer than any plan."""
        if self._waiting is None:
            self._waiting = Waiting()
            self._log_e = None

    @property
    def log_e(self) -> float:
        if self._log_e is None:
            waited = None if self._waiting is None else self._waiting.log_e
            mixed = self._mixed()
            self._log_e = mixed if waited is None else max(mixed, waited)
        return self._log_e

    @property
    def log_whole(self) -> float:
        """E of the stage as a whole, without the staggered starts."""
        return _log_sum(
            [weight + total for weight, total in zip(_LOG_WEIGHTS, self._sums, strict=True)]
        )

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
        return _log_sum(logs)


class Waiting:
    """An E value of its own for a stage that waits, with starts for as long as it does.

    Hours of good traffic would outweigh a fault that begins after them, and the planned starts are
    all open by then. Here the k-th start has 1/(k(k+1)) of the money, which is enough for as many
    as ever come, and one sum per ratio holds them all. What it spends is alpha once more.
    """

    def __init__(self) -> None:
        self._log_sums: list[float] = []
        self._opened = 0
        self.start()

    def start(self) -> None:
        self._opened += 1
        log_stake = -math.log(self._opened * (self._opened + 1))
        before = self._log_sums or [-math.inf] * len(RATIOS)
        self._log_sums = [_log_sum((total, log_stake)) for total in before]

    def add(self, terms: Sequence[float]) -> None:
        self._log_sums = [total + term for total, term in zip(self._log_sums, terms, strict=True)]

    @property
    def log_e(self) -> float:
        bets = [weight + total for weight, total in zip(_LOG_WEIGHTS, self._log_sums, strict=True)]
        return _log_sum([*bets, -math.log(self._opened + 1)])


def _log_sum(logs: Sequence[float]) -> float:
    """log of the sum of exp, without overflow."""
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
    good = requests - bad
    return tuple([(bad * on_bad + good * on_good) / phi for on_bad, on_good in _limit_logs(limit)])


@lru_cache(maxsize=64)
def _limit_logs(limit: float) -> tuple[tuple[float, float], ...]:
    """Per ratio, what one bad and one good request say of it."""
    logs = []
    for ratio in RATIOS:
        rate = min(limit * ratio, _SHARE_MAX)
        if rate <= limit:  # a limit near 100 % leaves no room to be worse
            logs.append((0.0, 0.0))
        else:
            logs.append((math.log(rate / limit), math.log((1 - rate) / (1 - limit))))
    return tuple(logs)


def rejects_limit(requests: int, bad: int, *, limit: float, phi: float, log_line: float) -> bool:
    """Whether so few requests alone already contradict "at most the limit"."""
    if not requests or bad / requests <= limit:
        return False
    return requests * divergence(bad / requests, limit) / phi > log_line


def divergence(rate: float, limit: float) -> float:
    """Kullback-Leibler divergence of two coins, of `rate` from `limit`, 0 < limit < 1."""
    found = rate * math.log(rate / limit) if rate > 0 else 0.0
    return found + (1 - rate) * math.log((1 - rate) / (1 - limit)) if rate < 1 else found


def limit_z(requests: int, bad: int, *, limit: float, phi: float) -> float:
    """By how many standard deviations `bad` is over the limit: the signed root of the likelihood
    ratio, whose tail holds also for a handful; 0 when it is not over."""
    rate = (bad - _CONTINUITY) / requests if requests else 0.0
    if limit >= 1 or rate <= limit:
        return 0.0
    return math.sqrt(2 * requests * divergence(rate, limit) / phi)


def share_z(bad: int, both: int, *, expected: float, phi: float) -> float:
    """The same for the canary's share of all bad requests against what it may have."""
    if not both or not 0 < expected < both:
        return 0.0
    return limit_z(both, bad, limit=expected / both, phi=phi)


def dispersion(history: History, *, poll_ms: int, windows_ms: Sequence[int]) -> float:
    """How much burstier than coin flips the errors were, at least 1: the worst of the windows.

    A cell is one target in one window; each window's own pooled rate is the expectation, so that
    a bad minute of the whole fleet does not count as a difference between targets.
    """
    return _worst(history, poll_ms, windows_ms, level=None)


def level_dispersion(history: History, *, poll_ms: int, windows_ms: Sequence[int]) -> float:
    """The same around the rate of the whole history: a bad minute of the whole fleet counts. It is
    what the limit is held against, where no other arm shares the bad minute."""
    requests = sum(n for tick in history for n, _ in tick)
    errors = sum(e for tick in history for _, e in tick)
    if not 0 < errors < requests:
        return 1.0
    return _worst(history, poll_ms, windows_ms, level=errors / requests)


def _worst(
    history: History, poll_ms: int, windows_ms: Sequence[int], *, level: float | None
) -> float:
    columns = list(zip_longest(*history, fillvalue=(0, 0)))
    sums = [list(accumulate(n for n, _ in column)) for column in columns]
    bad_sums = [list(accumulate(e for _, e in column)) for column in columns]
    found = [1.0]
    for window_ms in windows_ms:
        ticks = max(1, window_ms // poll_ms)
        ends = range(ticks - 1, len(history), ticks)
        cells = [_cells(sums, bad_sums, end=end, ticks=ticks) for end in ends]
        found.append(_dispersion(cells, level))
    return max(found)


def _cells(
    sums: Sequence[Sequence[int]], bad_sums: Sequence[Sequence[int]], *, end: int, ticks: int
) -> list[tuple[int, int]]:
    """(requests, errors) per target over the window that ends with tick `end`, from running sums;
    targets without requests are left out."""
    before = end - ticks
    cells = [
        (n[end] - n[before], bad[end] - bad[before]) if before >= 0 else (n[end], bad[end])
        for n, bad in zip(sums, bad_sums, strict=True)
    ]
    return [cell for cell in cells if cell[0]]


def _dispersion(windows: Sequence[Sequence[tuple[int, int]]], level: float | None) -> float:
    chi2, freedom = 0.0, 0
    for cells in windows:
        requests, errors = sum([n for n, _ in cells]), sum([e for _, e in cells])
        if level is None and not 0 < errors < requests:
            continue
        rate = errors / requests if level is None else level
        chi2 += math.fsum([(e - n * rate) ** 2 / (n * rate * (1 - rate)) for n, e in cells])
        freedom += len(cells) - (level is None)
    return (chi2 + _PRIOR) / (freedom + _PRIOR)


def whole_fleet(history: History) -> list[Counts]:
    """All targets together per tick, newest first: what a stage without a baseline is held to."""
    return [
        Counts(requests=sum(n for n, _ in tick), errors=sum(e for _, e in tick))
        for tick in reversed(history)
    ]


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
