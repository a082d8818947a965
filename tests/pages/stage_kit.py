"""Watches for tests: rows as they would have been stored, answered by the real gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.core import ticks
from engine.core.health import DEFAULT_CRITERIA, Criteria
from engine.core.rows import GateTick

POLL_MS = 5_000
COHORT = ("t-01", "t-02")
BEGAN_US = 1_800_000_000_000_000


def tick(
    n: int,
    *,
    requests: int = 500,
    errors: int = 2,
    slow: int = 1,
    baseline: int = 18,
    status: str = "ok",
    targets: Mapping[str, bool | None] | None = None,
) -> dict[str, Any]:
    """The n-th poll: 0.4 % errors on both arms, unless it is told otherwise."""
    found: dict[str, Any] = {"t": n * POLL_MS / 1000, "status": status, "note": ""}
    if status != "ok":
        return found | {
            "note": "the source is silent",
            "canary": None,
            "baseline": None,
            "baseline_targets": [],
            "targets": None,
        }
    return found | {
        "canary": {"requests": requests, "errors": errors, "slow": min(slow, requests)},
        "baseline": {"requests": 4_500, "errors": baseline, "slow": 9},
        "baseline_targets": [],
        "targets": dict(targets) if targets is not None else dict.fromkeys(COHORT, True),
    }


def rows(
    seen: Sequence[dict[str, Any]],
    *,
    criteria: Criteria = DEFAULT_CRITERIA,
    history: Sequence[Sequence[tuple[int, int]]] = (),
    step: str = "canary-10",
) -> tuple[GateTick, ...]:
    """The start mark, and a row for each of `seen`; a whole number among them is a resume mark."""
    mark = ticks.start_mark(
        criteria, poll_ms=POLL_MS, history=history, history_note="as told", carry=None
    )
    gate = ticks.gate_of(mark)
    first = GateTick(
        run_id="run-1",
        step=step,
        attempt=1,
        n=1,
        t_ms=0,
        ts_us=BEGAN_US,
        tick=mark,
        action="start",
        rule=0,
        reason="the watch begins",
    )
    found = [first]
    for body in seen:
        t_ms = round(body["t"] * 1000)
        if "resume" in body:
            text = ticks.resume_mark(t_ms, "the run goes on")
            gate.resume(body["t"])
            answer = ("resume", 0, "the run goes on")
        else:
            text = ticks.encode(body)
            gate.observe(ticks.decode(text))
            answer = (gate.action, gate.rule, gate.reason)
        found.append(
            replace(
                first,
                n=len(found) + 1,
                t_ms=t_ms,
                ts_us=BEGAN_US + t_ms * 1000,
                tick=text,
                action=answer[0],
                rule=answer[1],
                reason=answer[2],
            )
        )
    return tuple(found)


def resume(n: int) -> dict[str, Any]:
    return {"t": n * POLL_MS / 1000, "resume": True}
