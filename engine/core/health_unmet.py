"""Which criteria of a stage are not met now, one short phrase each, from its gate's evidence. Pure.

The button, the API, the command line and an override's record all say these same phrases. A gate
that holds for a reason not listed here is quoted instead: nothing that holds counts as met.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.health_criteria import clock_time, duration, percent_bp, percent_ppm, share


def unmet(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """What the gate still lacks, in the order of its table; empty when the stage may pass.

    Args:
        evidence: `Gate.evidence`, which is also `decision` in a stored gate-evidence document.
    """
    action = evidence["action"]
    if action == "promote":
        return ()
    if action in {"pause", "rollback"}:
        return (evidence["reason"],)
    found = [*_data(evidence), *_limits(evidence), *_requests(evidence)]
    if action == "hold" and not found:
        found = [evidence["reason"]]
    return (*found, *_clock(evidence))


def _data(evidence: Mapping[str, Any]) -> list[str]:
    """Row 1: what cannot be seen cannot be met."""
    return [evidence["reason"]] if evidence["row"] == 1 else []


def _limits(evidence: Mapping[str, Any]) -> list[str]:
    """Rows 7 and 8: shares and rates beyond their limits, and a suspicion that stands."""
    limits, seen = evidence["thresholds"], evidence["window"]["canary"]
    found = []
    health = evidence["health"]
    expected, healthy = health["expected"], health["healthy"]
    if healthy * 10_000 < limits["healthy_share_bp_min"] * expected or not expected:
        targets = "target" if expected == 1 else "targets"
        needed = percent_bp(limits["healthy_share_bp_min"])
        found.append(f"healthy {healthy} of {expected} {targets} ({needed} needed)")
    limit_ppm = limits["error_rate_ppm_max"]
    if _over(seen["errors"], seen["requests"], limit_ppm, strict=limits["error_rate_strict"]):
        rate, limit = share(seen["errors"], seen["requests"]), percent_ppm(limit_ppm)
        found.append(f"error rate {rate} of {seen['requests']:,}, limit {limit}")
    slow_ppm, enough = limits["slow_share_ppm_max"], limits["slow_requests_min"]
    if (
        limits["slow_over_ms"]
        and seen["slow_of"] >= enough
        and _over(seen["slow"], seen["slow_of"], slow_ppm, strict=True)
    ):
        found.append(
            f"{share(seen['slow'], seen['slow_of'])} of {seen['slow_of']:,} slower than "
            f"{limits['slow_over_ms']} ms, limit {percent_ppm(slow_ppm)}"
        )
    if evidence["row"] == 8:
        found.append(evidence["reason"])
    return found


def _requests(evidence: Mapping[str, Any]) -> list[str]:
    """Row 9: too few to judge by."""
    limits, seen = evidence["thresholds"], evidence["window"]["canary"]
    counted, needed, what = seen["requests"], limits["requests_min"], "requests"
    if counted >= needed and limits["slow_over_ms"] and seen["slow_of"]:
        counted, needed, what = seen["slow_of"], limits["slow_requests_min"], "timed requests"
    if counted >= needed:
        return []
    return [f"{counted:,} of {needed:,} {what} in {duration(limits['window_ms'])}"]


def _clock(evidence: Mapping[str, Any]) -> list[str]:
    held_ms, needed_ms = evidence["clock"]["held_ms"], evidence["clock"]["needed_ms"]
    if held_ms >= needed_ms:
        return []
    return [f"held {clock_time(held_ms)} of {clock_time(needed_ms)}"]


def _over(part: int, whole: int, limit_ppm: int, *, strict: bool) -> bool:
    """At the limit is over it where the criterion says `<`, as in the gate's row 7."""
    if not whole:
        return False
    touched = part * 1_000_000 - limit_ppm * whole
    return touched >= 0 if strict else touched > 0
