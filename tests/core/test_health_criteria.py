"""How a gate is read, said, stored and sped up: every problem named, never a float."""

from __future__ import annotations

import copy
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from engine.core.errors import Malformed
from engine.core.health import DEFAULT_CRITERIA, Criteria, criteria_from_document, parse_gate
from engine.core.jcs import canonical

DEFAULT_GATE: dict[str, Any] = {
    "proceed_if": {
        "healthy": {
            "share": 0.95, "of": "stage_cohort", "for": "5m", "unhealthy_after": 3,
            "recover_after": 2, "max_failed_probes": 0.10,
        },
        "error_rate": {"max": 0.01, "strict": True, "window": "5m", "min_requests": 300},
        "latency_p95": {"slow_over": "250ms", "max_slow_share": 0.10, "min_requests": 300},
    },
    "judge": {
        "method": "anytime", "baseline": "concurrent", "margin": 1.25, "alpha": 0.005,
        "alpha_hold": 0.05, "min_bad": 5, "staggered_start": "30s",
        "dispersion": {"history": "15m", "windows": ["5s", "30s", "2m"]}, "carry_evidence": True,
    },
    "auto_rollback": [
        {"when": "worse_than_baseline"},
        {"when": "limit_proven", "unless": "baseline_breaches_too"},
        {"when": "cohort_healthy_below", "share": 0.5, "for": "30s"},
    ],
    "auto_pause": [
        {"when": "baseline_breaches_too"},
        {"when": "no_data", "for": "2m"},
        {"when": "insufficient_traffic", "at": "max_hold"},
        {"when": "suspect", "at": "max_hold"},
    ],
    "on_insufficient": "pause",
    "max_hold": "15m",
    "env_guard": {
        "slo": 0.99,
        "block_start_if": [
            {"burn": 14.4, "windows": ["1h", "5m"]},
            {"burn": 6, "windows": ["6h", "30m"]},
        ],
    },
}  # fmt: skip


def changed(path: str, value: object) -> dict[str, Any]:
    """The default gate with one value set; `...` removes it."""
    gate = copy.deepcopy(DEFAULT_GATE)
    *way, last = path.split(".")
    place: Any = gate
    for key in way:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return gate


def test_the_default_workflows_gate_is_the_default() -> None:
    assert parse_gate(DEFAULT_GATE) == DEFAULT_CRITERIA == Criteria()


@pytest.mark.parametrize(
    ("path", "value", "field", "expected"),
    [
        ("proceed_if.healthy.for", 300, "hold_ms", 300_000),
        ("proceed_if.healthy.for", 90.5, "hold_ms", 90_500),
        ("proceed_if.healthy.for", "1m30s", "hold_ms", 90_000),
        ("proceed_if.healthy.share", "99.5%", "healthy_share_bp_min", 9_950),
        ("proceed_if.healthy.max_failed_probes", 0, "failed_probes_bp_max", 0),
        ("proceed_if.error_rate.max", "0.4%", "error_rate_ppm_max", 4_000),
        ("proceed_if.error_rate.max", 0.000001, "error_rate_ppm_max", 1),
        ("proceed_if.latency_p95", ..., "slow_over_ms", 0),
        ("proceed_if.latency_p95.slow_over", 0.25, "slow_over_ms", 250),
        ("judge", {"baseline": "history"}, "baseline", "history"),
        ("judge", "threshold", "method", "threshold"),
        ("judge.margin", 2, "margin_bp", 20_000),
        ("auto_rollback", [], "rollback_worse", False),
        ("auto_rollback", [], "rollback_share_bp", 0),
        ("auto_rollback", [{"when": "limit_proven"}], "limit_unless_baseline", False),
        ("auto_rollback", ..., "rollback_limit", True),
        ("on_insufficient", "promote", "on_insufficient", "promote"),
        ("env_guard", ..., "guard_burns", ()),
    ],
)
def test_a_value_is_read(path: str, value: object, field: str, expected: object) -> None:
    assert getattr(parse_gate(changed(path, value)), field) == expected


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("proceed_if", ..., "proceed_if: expected a mapping, found nothing"),
        ("proceed_if.healthy.for", ..., "proceed_if.healthy.for: expected a duration such as 5m"),
        ("proceed_if.healthy.for", "5 parsecs", "found '5 parsecs'"),
        ("proceed_if.healthy.for", "", "expected a duration"),
        ("proceed_if.healthy.for", -1, "found -1"),
        ("proceed_if.healthy.for", True, "found True"),
        ("proceed_if.healthy.for", "20m", "max_hold: expected at least proceed_if.healthy.for"),
        ("proceed_if.healthy.share", 95, "proceed_if.healthy.share: expected a share above 0"),
        ("proceed_if.healthy.share", "0%", "found '0%'"),
        ("proceed_if.healthy.share", 0.95555, "in whole steps of 1/10000"),
        ("proceed_if.healthy.share", float("nan"), "found nan"),
        ("proceed_if.healthy.of", "fleet", "expected stage_cohort, found 'fleet'"),
        ("proceed_if.healthy.shares", 0.9, "proceed_if.healthy.shares: expected no such key"),
        ("proceed_if.error_rate.strict", "yes", "expected true or false, found 'yes'"),
        ("proceed_if.error_rate.min_requests", 0, "expected a whole number from 1, found 0"),
        ("judge.method", "vibes", "group_sequential or mann_whitney, found 'vibes'"),
        ("judge.margin", 0.5, "judge.margin: expected a number from 1 to 10"),
        ("judge.alpha", 0.2, "judge.alpha_hold: expected at least alpha"),
        ("judge.dispersion.windows", [], "judge.dispersion.windows: expected a list"),
        ("auto_rollback", "all", "auto_rollback: expected a list, found 'all'"),
        ("auto_rollback.0", "now", "auto_rollback[0]: expected a mapping"),
        ("auto_rollback.0", {"when": "bored"}, "auto_rollback[0].when: expected worse_than"),
        ("auto_pause", [{"when": "no_data", "for": "2m"}], "which cannot be switched off"),
        ("env_guard.slo", ..., "env_guard.slo: expected a share"),
        ("fleet_minimum", 1, "fleet_minimum: expected no such key, found 1"),
    ],
)
def test_a_wrong_value_is_named(path: str, value: object, says: str) -> None:
    gate = changed(path, value) if path != "auto_rollback.0" else changed("auto_rollback", [value])
    with pytest.raises(Malformed) as refused:
        parse_gate(gate)
    assert says in str(refused.value)


def test_every_problem_is_named_at_once() -> None:
    gate = changed("proceed_if.healthy.share", 2)
    gate["max_hold"] = "soon"
    gate["judge"]["margins"] = 1
    with pytest.raises(Malformed) as refused:
        parse_gate(gate)
    for key in ("proceed_if.healthy.share", "max_hold", "judge.margins"):
        assert key in str(refused.value)


@pytest.mark.parametrize("value", [None, [], "gate", 7])
def test_a_gate_is_a_mapping(value: object) -> None:
    with pytest.raises(Malformed, match="expected a mapping"):
        parse_gate(value)


def test_the_document_holds_no_float_and_reads_back() -> None:
    stored = canonical(DEFAULT_CRITERIA.document())  # refuses floats
    assert criteria_from_document(json.loads(stored)) == DEFAULT_CRITERIA
    assert criteria_from_document(json.loads(stored)).digest == DEFAULT_CRITERIA.digest


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("hold_ms", 1.5, "hold_ms: expected a whole number, 1 or more, found 1.5"),
        ("hold_ms", True, "hold_ms"),
        ("hold_ms", -1, "hold_ms"),
        ("method", "coin", "threshold, group_sequential or mann_whitney, found 'coin'"),
        ("carry_evidence", 1, "carry_evidence: expected true or false, found 1"),
        ("dispersion_windows_ms", [], "dispersion_windows_ms: expected a list"),
        ("guard_burns", [{"burn_centi": 1}], "guard_burns: expected a list"),
        ("schema", "other/1", "schema: expected releaseline.gate-criteria/1"),
        ("extra", 1, "extra: expected no such field"),
    ],
)
def test_a_damaged_document_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        criteria_from_document({**DEFAULT_CRITERIA.document(), field: value})
    assert says in str(refused.value)


def test_speed_divides_waiting_times_and_nothing_else() -> None:
    fast = DEFAULT_CRITERIA.for_speed(15)
    divided = {
        "hold_ms": 20_000, "window_ms": 20_000, "staggered_start_ms": 2_000,
        "max_hold_ms": 60_000, "no_data_ms": 8_000, "rollback_share_for_ms": 2_000,
    }  # fmt: skip
    for field in fields(Criteria):
        expected = divided.get(field.name, getattr(DEFAULT_CRITERIA, field.name))
        assert getattr(fast, field.name) == expected, field.name
    assert DEFAULT_CRITERIA.for_speed(1) == DEFAULT_CRITERIA
    with pytest.raises(ValueError, match="at least 1"):
        DEFAULT_CRITERIA.for_speed(0)


def test_the_sentence() -> None:
    assert DEFAULT_CRITERIA.sentence() == (
        "proceed if 95 % healthy for 5m, error rate < 1 % over 5m (300 requests or more), "
        "fewer than 10 % slower than 250 ms"
    )
    other = replace(DEFAULT_CRITERIA, error_rate_strict=False, slow_over_ms=0).for_speed(15)
    assert other.sentence() == (
        "proceed if 95 % healthy for 20s, error rate <= 1 % over 20s (300 requests or more)"
    )
