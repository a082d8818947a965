"""The health gate on simulated releases: how often it is wrong, how soon right, and what it costs.

Every judge of the gate sees the same streams as a plain threshold on one poll and a failure limit
as Argo Rollouts counts it. Run `python benchmarks/gate.py`; `--full` takes minutes and more seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gate_noise import NOISE, POLL_S, Load, Stream
from engine.core.health import DEFAULT_CRITERIA, new_gate

RATES: Final = (1, 10, 100, 1_000, 10_000)
FACTORS: Final = (1.5, 2.0, 5.0, 10.0)
LIMIT: Final = 0.01
HOLD_S: Final = 300.0
STOPPED: Final = frozenset({"promote", "rollback", "pause"})
STAGE_S_MAX: Final = 1_000.0


class Judge(Protocol):
    def observe(self, tick: Mapping[str, Any]) -> str: ...


class PlainThreshold:
    """Rolls back at the first poll with 1 % errors or more; promotes after 5 minutes."""

    def observe(self, tick: Mapping[str, Any]) -> str:
        if rate(tick) >= LIMIT:
            return "rollback"
        return "promote" if tick["t"] >= HOLD_S else "continue"


class FailureLimit:
    """Measures every 30 s over 30 s, as an analysis of Argo Rollouts does: the fourth measurement
    with 1 % errors or more fails the analysis (failureLimit 3); ten measurements make it whole."""

    EVERY: Final = round(30 / POLL_S)
    FAILED_MAX: Final = 3

    def __init__(self) -> None:
        self._polls = self._failed = self._requests = self._errors = 0

    def observe(self, tick: Mapping[str, Any]) -> str:
        self._polls += 1
        self._requests += tick["canary"]["requests"]
        self._errors += tick["canary"]["errors"]
        if self._polls % self.EVERY == 0:
            self._failed += self._errors >= LIMIT * max(1, self._requests)
            self._requests = self._errors = 0
        if self._failed > self.FAILED_MAX:
            return "rollback"
        return "promote" if tick["t"] >= HOLD_S else "continue"


class Nothing:
    """An empty judge: what the loop itself costs."""

    def observe(self, tick: Mapping[str, Any]) -> str:
        return "promote" if tick["t"] >= HOLD_S else "continue"


def rate(tick: Mapping[str, Any]) -> float:
    canary = tick["canary"]
    return float(canary["errors"] / max(1, canary["requests"]))


def _gate(method: str) -> Callable[[Any], Judge]:
    criteria = replace(DEFAULT_CRITERIA, method=method)
    return lambda history: new_gate(criteria, history, POLL_S)


JUDGES: Final[Mapping[str, Callable[[Any], Judge]]] = {
    "anytime": _gate("anytime"),
    "group-seq": _gate("group_sequential"),
    "rank": _gate("mann_whitney"),
    "threshold": _gate("threshold"),
    "plain 1 %": lambda _: PlainThreshold(),
    "argo-like": lambda _: FailureLimit(),
    "empty": lambda _: Nothing(),
}


@dataclass(slots=True)
class Cell:
    """What one judge did with the runs of one row. `spent_s`: of `ticks`, the judge alone."""

    ends: list[tuple[str, float]] = field(default_factory=list)
    ticks: int = 0
    spent_s: float = 0.0

    def share(self, action: str) -> float:
        return 100 * sum(end == action for end, _ in self.ends) / len(self.ends)

    def found_s(self) -> list[float]:
        return sorted(t for end, t in self.ends if end == "rollback")


def play(load: Load, seed: int, row: dict[str, Cell]) -> None:
    """One release past every judge. A stream ends when every judge has spoken."""
    stream = Stream(seed, load)
    waiting = {name: make(stream.history) for name, make in JUDGES.items()}
    for tick in stream.ticks():
        for name, judge in list(waiting.items()):
            cell = row[name]
            began = time.process_time()
            action = judge.observe(tick)
            cell.spent_s += time.process_time() - began
            cell.ticks += 1
            if action in STOPPED or tick["t"] >= STAGE_S_MAX:
                cell.ends.append((action, tick["t"]))
                del waiting[name]
        if not waiting:
            return


def rows() -> Iterator[tuple[str, list[Load]]]:
    """Each row with its loads: one and two of ten targets on the new bundle, in turn."""
    for noise in NOISE:
        for rps in RATES:
            yield (
                f"healthy {noise} {rps}/s",
                [Load(rps=rps, noise=noise, canaries=canaries) for canaries in (1, 2)],
            )
    for factor in FACTORS:
        for rps in RATES[1:]:
            yield (
                f"{factor:g}x worse {rps}/s",
                [Load(rps=rps, worse=factor, canaries=canaries) for canaries in (1, 2)],
            )


def text(label: str, cell: Cell) -> str:
    """Healthy: rolled back / promoted, in percent. Worse: median / longest seconds to the
    rollback, and the percentage that was rolled back where it was not all of them."""
    if label.startswith("healthy"):
        return f"{cell.share('rollback'):.1f} / {cell.share('promote'):.0f}"
    found = cell.found_s()
    if not found:
        return "never"
    part = "" if len(found) == len(cell.ends) else f" ({cell.share('rollback'):.0f} %)"
    return f"{statistics.median(found):.0f} / {found[-1]:.0f} s{part}"


def measure(runs: int, seed: int, seconds_max: float) -> dict[str, dict[str, Cell]]:
    """All rows, one run of each after the other, so that a stop for time leaves them even."""
    table = {label: {name: Cell() for name in JUDGES} for label, _ in rows()}
    began = time.process_time()
    for run in range(runs):
        for number, (label, loads) in enumerate(rows()):
            play(loads[run % len(loads)], seed + 1_000 * run + number, table[label])
        if time.process_time() - began > seconds_max * (run + 1) / (run + 2):
            break
    return table


def show(table: Mapping[str, Mapping[str, Cell]]) -> None:
    some = next(iter(table.values()))
    print(f"{len(next(iter(some.values())).ends)} runs a row.", end=" ")
    print("healthy: rolled back % / promoted %; worse: median / longest time to rollback")
    names = [name for name in JUDGES if name != "empty"]
    print(f"{'':26}" + "".join(f"{name:>20}" for name in names))
    for label, row in table.items():
        print(f"{label:26}" + "".join(f"{text(label, row[name]):>20}" for name in names))
    spent = {
        name: 1e6 * sum(row[name].spent_s for row in table.values())
        / sum(row[name].ticks for row in table.values())
        for name in JUDGES
    }  # fmt: skip
    print(f"{'µs a tick':26}" + "".join(f"{spent[name]:>20.1f}" for name in names))
    ratio = {name: spent[name] / spent["empty"] for name in names}
    print(f"{'times an empty judge':26}" + "".join(f"{ratio[name]:>20.0f}" for name in names))
    print()
    bars(table)


def bars(table: Mapping[str, Mapping[str, Cell]]) -> None:
    """What the default judge has to hold, and what it holds in this run."""
    cells = {label: row["anytime"] for label, row in table.items()}
    healthy = {label: cell for label, cell in cells.items() if label.startswith("healthy")}
    trickle = [cell for label, cell in healthy.items() if label.endswith(" 1/s")]
    busy = {
        label: cell for label, cell in healthy.items() if not label.endswith((" 1/s", " 10/s"))
    }  # fmt: skip
    worst = max(healthy, key=lambda label: healthy[label].share("rollback"))
    least = min(busy, key=lambda label: busy[label].share("promote"))
    print("anytime, bar: in this run")
    print(f"  false rollback <= 2 %: {healthy[worst].share('rollback'):.1f} % ({worst})")
    print(f"  promoted >= 95 % from 100/s up: {busy[least].share('promote'):.1f} % ({least})")
    print(f"  never promoted at 1/s: {max(cell.share('promote') for cell in trickle):.1f} %")
    for label, bar_s in (
        ("5x worse 100/s", 120),
        ("5x worse 1000/s", 15),
        ("2x worse 1000/s", 180),
    ):
        found = cells[label].found_s()
        said = f"{statistics.median(found):.0f} s" if found else "never"
        print(f"  {label} found within {bar_s} s (median): {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--runs", type=int, default=20, help="releases a row; up to 20, fewer when 45 s are over"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="200 releases a row")
    asked = parser.parse_args()
    seconds_max = float("inf") if asked.full or asked.runs > 20 else 45.0
    show(measure(max(asked.runs, 200) if asked.full else asked.runs, asked.seed, seconds_max))


if __name__ == "__main__":
    main()
