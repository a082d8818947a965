"""What a stage must show before the next one may start, as whole numbers with their units.

Criteria are pinned into a run when it is requested, hashed into its evidence and replayed later,
so nothing here is a float. How a workflow file is read into them is in `health_parse`, what they
decide in `health`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, cast

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import JsonValue, canonical

SCHEMA: Final = "releaseline.gate-criteria/1"

# The last seconds that may block a promotion alone (row 8). Not a setting, and not divided by
# a run's speed: it is a sample size, not a waiting time.
SHORT_MS: Final = 30_000


@dataclass(frozen=True, kw_only=True)
class BurnRule:
    """`burn_centi`: hundredths of the burn rate, 1_440 is 14.4; the windows all have to burn."""

    burn_centi: int
    windows_ms: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """The gate of one stage. The defaults are the gate of the default workflow.

    Shares of targets and probes are basis points, rates of requests parts per million.

    Attributes:
        failed_probes_bp_max: of the probes that a full window holds, per target.
        error_rate_strict: the rate must stay below the limit; False: it may touch it.
        slow_over_ms: a slower request counts as slow; 0 = no latency limit. The metric source
            counts with the same threshold.
        method: who may roll back. `anytime`: sequential evidence, canary against baseline, asked
            at every poll; the one to take unless there is a reason. `group_sequential`: the same
            comparison at a few planned looks, for who must state beforehand how often it is looked
            at. `mann_whitney`: ranks of the rates poll by poll at these looks, for traffic whose
            single polls go wild and of which there is plenty. `threshold`: the limit alone, for
            traffic so high that the limit is the contract.
        looks: of the judges that look a planned number of times, within `hold_ms`.
        baseline: `concurrent` (targets on the old version) or `history` (before the deploy).
        margin_bp: how much worse than the baseline still counts as equal, 12_500 is 1.25 times.
        alpha_ppm: false rollbacks that a stage may have, per metric.
        bad_min: no rollback by evidence on fewer canary errors.
        rollback_worse: row 4 is on; `rollback_limit` rows 5 and 6; `limit_unless_baseline` row 5.
        rollback_share_bp: row 3, 0 = off; `rollback_share_for_ms` its duration.
        on_insufficient: `pause` or `promote`, when too little traffic came until max_hold.
        fleet_share_bp_min: row 12, 0 = off: the share of all targets, old version and new, that
            has to be healthy, or the stage pauses after `rollback_share_for_ms`.
    """

    healthy_share_bp_min: int = 9_500
    hold_ms: int = 300_000
    unhealthy_after: int = 3
    recover_after: int = 2
    failed_probes_bp_max: int = 1_000
    error_rate_ppm_max: int = 10_000
    error_rate_strict: bool = True
    window_ms: int = 300_000
    requests_min: int = 300
    slow_over_ms: int = 250
    slow_share_ppm_max: int = 100_000
    slow_requests_min: int = 300
    method: str = "anytime"
    looks: int = 5
    baseline: str = "concurrent"
    margin_bp: int = 12_500
    alpha_ppm: int = 5_000
    alpha_hold_ppm: int = 50_000
    bad_min: int = 5
    staggered_start_ms: int = 30_000
    history_ms: int = 900_000
    dispersion_windows_ms: tuple[int, ...] = (5_000, 30_000, 120_000)
    carry_evidence: bool = True
    rollback_worse: bool = True
    rollback_limit: bool = True
    limit_unless_baseline: bool = True
    rollback_share_bp: int = 5_000
    rollback_share_for_ms: int = 30_000
    no_data_ms: int = 120_000
    on_insufficient: str = "pause"
    max_hold_ms: int = 900_000
    fleet_share_bp_min: int = 0
    guard_slo_bp: int = 9_900
    guard_burns: tuple[BurnRule, ...] = (
        BurnRule(burn_centi=1_440, windows_ms=(3_600_000, 300_000)),
        BurnRule(burn_centi=600, windows_ms=(21_600_000, 1_800_000)),
    )

    def document(self) -> dict[str, JsonValue]:
        """JSON without floats; `criteria_from_document` reads it back."""
        document: dict[str, JsonValue] = {"schema": SCHEMA}
        for name in _NAMES:
            value = getattr(self, name)
            match name:
                case "looks" if self.method not in PLANNED:
                    continue
                case "fleet_share_bp_min" if not value:
                    continue
                case "guard_burns":
                    document[name] = [
                        {"burn_centi": rule.burn_centi, "windows_ms": list(rule.windows_ms)}
                        for rule in self.guard_burns
                    ]
                case "dispersion_windows_ms":
                    document[name] = list(self.dispersion_windows_ms)
                case _:
                    document[name] = value
        return document

    @cached_property
    def limits(self) -> dict[str, float]:
        """Share of bad requests that each metric may have."""
        return {
            "errors": self.error_rate_ppm_max / 1_000_000,
            "slow": self.slow_share_ppm_max / 1_000_000,
        }

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(canonical(self.document()))

    def for_speed(self, speed: int) -> Criteria:
        """Divide the waiting times by `speed`; never a number of requests, a share or a limit."""
        if speed < 1:
            raise ValueError(f"speed must be at least 1, got {speed}")
        if speed == 1:
            return self
        return replace(
            self, **{name: max(1, getattr(self, name) // speed) for name in DIVIDED_BY_SPEED}
        )

    def sentence(self) -> str:
        """The condition as the stage's page says it."""
        below = "<" if self.error_rate_strict else "<="
        parts = [
            f"proceed if {percent_bp(self.healthy_share_bp_min)} healthy for "
            f"{duration(self.hold_ms)}",
            f"error rate {below} {percent_ppm(self.error_rate_ppm_max)} over "
            f"{duration(self.window_ms)} ({self.requests_min} requests or more)",
        ]
        if self.slow_over_ms:
            parts.append(
                f"fewer than {percent_ppm(self.slow_share_ppm_max)} slower than "
                f"{self.slow_over_ms} ms"
            )
        if self.fleet_share_bp_min:
            parts.append(f"{percent_bp(self.fleet_share_bp_min)} of the fleet healthy")
        return ", ".join(parts)


DEFAULT_CRITERIA: Final = Criteria()

# decisions 19: what a run's speed divides.
DIVIDED_BY_SPEED: Final = (
    "hold_ms",
    "window_ms",
    "staggered_start_ms",
    "max_hold_ms",
    "no_data_ms",
    "rollback_share_for_ms",
)
_NAMES: Final = tuple(field.name for field in fields(Criteria))
METHODS: Final = ("anytime", "threshold", "group_sequential", "mann_whitney")
PLANNED: Final = ("group_sequential", "mann_whitney")
LOOKS_MAX: Final = 20
_WORDS: Final = {
    "method": METHODS,
    "baseline": ("concurrent", "history"),
    "on_insufficient": ("pause", "promote"),
}
# Whole numbers that the arithmetic divides by or takes a logarithm of. Others may be 0.
_BETWEEN: Final[Mapping[str, tuple[int, int | None]]] = {
    "hold_ms": (1, None),
    "window_ms": (1, None),
    "max_hold_ms": (1, None),
    "staggered_start_ms": (1, None),
    "history_ms": (1, None),
    "error_rate_ppm_max": (1, 1_000_000),
    "slow_share_ppm_max": (1, 1_000_000),
    "alpha_ppm": (1, 1_000_000),
    "alpha_hold_ppm": (1, 1_000_000),
    "margin_bp": (10_000, 100_000),
    "looks": (1, LOOKS_MAX),
    "fleet_share_bp_min": (1, 10_000),
}


def criteria_from_document(document: object) -> Criteria:
    """Read back what `Criteria.document` wrote.

    Raises:
        Malformed: names every field that is missing, unknown or of another kind.
    """
    if not isinstance(document, Mapping):
        raise Malformed(f"expected a mapping, found {shown(document)}", where="gate criteria")
    problems = []
    names = [name for name in _NAMES if name != "looks" or document.get("method") in PLANNED]
    if "fleet_share_bp_min" not in document:
        names.remove("fleet_share_bp_min")
    if document.get("schema") != SCHEMA:
        problems.append(f"schema: expected {SCHEMA}, found {shown(document.get('schema'))}")
    for name in sorted(set(map(str, document)) - {*names, "schema"}):
        problems.append(f"{name}: expected no such field, found {shown(document.get(name))}")
    values: dict[str, Any] = {}
    for name in names:
        value = _field(name, document.get(name))
        if value is None:
            expected = _expected(name)
            problems.append(f"{name}: expected {expected}, found {shown(document.get(name))}")
        values[name] = value
    if problems:
        raise Malformed("; ".join(problems), where="gate criteria")
    return Criteria(**values)


def _field(name: str, value: object) -> object | None:
    """The value of one field, or None when it is not of the field's kind."""
    default = getattr(DEFAULT_CRITERIA, name)
    if name == "guard_burns":
        return _burns(value)
    if name == "dispersion_windows_ms":
        return _whole_numbers(value)
    if type(value) is not type(default):
        return None
    if name in _WORDS and value not in _WORDS[name]:
        return None
    low, high = _BETWEEN.get(name, (0, None))
    if isinstance(value, int) and (value < low or (high is not None and value > high)):
        return None
    return value


def _burns(value: object) -> tuple[BurnRule, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    rules = []
    for item in value:
        if not isinstance(item, Mapping) or set(item) != {"burn_centi", "windows_ms"}:
            return None
        windows = _whole_numbers(item["windows_ms"])
        if type(item["burn_centi"]) is not int or windows is None:
            return None
        rules.append(BurnRule(burn_centi=item["burn_centi"], windows_ms=windows))
    return tuple(rules)


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    if not isinstance(value, list | tuple) or not value:
        return None
    if any(type(item) is not int or item <= 0 for item in value):
        return None
    return cast("tuple[int, ...]", tuple(value))


def _expected(name: str) -> str:
    if name in _WORDS:
        return one_of(_WORDS[name])
    match getattr(DEFAULT_CRITERIA, name):
        case bool():
            return "true or false"
        case int():
            low, high = _BETWEEN.get(name, (0, None))
            return f"a whole number, {low} {'or more' if high is None else f'to {high}'}"
        case _:
            return "a list"


def one_of(words: tuple[str, ...]) -> str:
    """`a, b or c`."""
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def shown(value: object) -> str:
    """`value` short enough for a sentence."""
    try:
        text = "nothing" if value is None else repr(value)
    except ValueError:  # Python does not print whole numbers of thousands of digits
        text = f"a {type(value).__name__} too long to print"
    return text if len(text) <= 60 else f"{text[:57]}..."


def duration(ms: int) -> str:
    """`5m`, `1m30s`, `20s`, `250ms`: as people write it in a workflow."""
    if ms % 1_000:
        return f"{ms}ms"
    minutes, seconds = divmod(ms // 1_000, 60)
    if not minutes:
        return f"{seconds}s"
    return f"{minutes}m{seconds}s" if seconds else f"{minutes}m"


def clock_time(ms: int) -> str:
    """`3:40`, as a clock shows it."""
    return f"{ms // 60_000}:{ms // 1_000 % 60:02d}"


def percent_bp(bp: int) -> str:
    return f"{_plain(Decimal(bp) / 100)} %"


def percent_ppm(ppm: int) -> str:
    return f"{_plain(Decimal(ppm) / 10_000)} %"


def share(part: int, whole: int) -> str:
    """A share in percent, never rounded to 0 % or up to a limit that it stays below: three
    significant digits below 1 %."""
    if not whole:
        return "-"
    if not part:
        return "0 %"
    percent = Decimal(100 * part) / Decimal(whole)
    digits = max(2, 2 - percent.adjusted())
    return f"{percent:.{digits}f} %"


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
