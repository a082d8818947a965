"""How the `gate` of a workflow file is read: every problem at once, unknown keys refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from engine.core.errors import Malformed
from engine.core.health_criteria import (
    LOOKS_MAX,
    METHODS,
    PLANNED,
    BurnRule,
    Criteria,
    one_of,
    shown,
)

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DAY_MS: Final = 86_400_000
# These pauses are what keeps silence from being read as health; a workflow may not drop one.
_PAUSES: Final = ("baseline_breaches_too", "insufficient_traffic", "no_data", "suspect")


def parse_gate(mapping: object) -> Criteria:
    """Read the `gate` mapping of a workflow stage; what it leaves out is as in the default gate.

    Durations are `5m`, `30s`, `250ms` or seconds, shares `0.95` or `95%`. `latency_p95` is
    optional: left out, there is no latency limit.

    Raises:
        Malformed: names every key that is wrong, with what was expected and what was found.
    """
    if not isinstance(mapping, Mapping):
        raise Malformed(f"expected a mapping, found {shown(mapping)}", where="gate")
    problems: list[str] = []
    root = _Section(mapping, "", problems)
    values: dict[str, Any] = {}
    proceed = root.section("proceed_if", required=True)
    _healthy(proceed.section("healthy", required=True), values)
    _error_rate(proceed.section("error_rate", required=True), values)
    _latency(proceed, values)
    proceed.close()
    _judge(root, values)
    _auto_rollback(root, values)
    _auto_pause(root, values)
    values["on_insufficient"] = root.word("on_insufficient", ("pause", "promote"))
    values["max_hold_ms"] = root.duration("max_hold")
    values["fleet_share_bp_min"] = root.share("fleet_min", 10_000)
    _guard(root, values)
    root.close()
    criteria = Criteria(**{name: value for name, value in values.items() if value is not None})
    if criteria.max_hold_ms < criteria.hold_ms:
        problems.append(
            "max_hold: expected at least proceed_if.healthy.for, found "
            f"{shown(mapping.get('max_hold'))}"
        )
    if criteria.alpha_ppm > criteria.alpha_hold_ppm:
        problems.append("judge.alpha_hold: expected at least alpha, found a smaller number")
    if problems:
        raise Malformed("; ".join(problems), where="gate")
    return criteria


def _healthy(section: _Section, values: dict[str, Any]) -> None:
    values["healthy_share_bp_min"] = section.share("share", 10_000, required=True)
    section.word("of", ("stage_cohort",))
    values["hold_ms"] = section.duration("for", required=True)
    values["unhealthy_after"] = section.count("unhealthy_after")
    values["recover_after"] = section.count("recover_after")
    values["failed_probes_bp_max"] = section.share("max_failed_probes", 10_000, zero=True)
    section.close()


def _error_rate(section: _Section, values: dict[str, Any]) -> None:
    values["error_rate_ppm_max"] = section.share("max", 1_000_000, required=True)
    values["error_rate_strict"] = section.flag("strict")
    values["window_ms"] = section.duration("window")
    values["requests_min"] = section.count("min_requests")
    section.close()


def _latency(proceed: _Section, values: dict[str, Any]) -> None:
    if not proceed.has("latency_p95"):
        values["slow_over_ms"] = 0
        return
    section = proceed.section("latency_p95")
    values["slow_over_ms"] = section.duration("slow_over", required=True)
    values["slow_share_ppm_max"] = section.share("max_slow_share", 1_000_000, required=True)
    values["slow_requests_min"] = section.count("min_requests")
    section.close()


def _judge(root: _Section, values: dict[str, Any]) -> None:
    if isinstance(root.mapping.get("judge"), str):
        values["method"] = root.word("judge", METHODS)
        return
    section = root.section("judge")
    values["method"] = section.word("method", METHODS)
    if values["method"] in PLANNED:
        values["looks"] = section.count("looks", high=LOOKS_MAX)
    values["baseline"] = section.word("baseline", ("concurrent", "history"))
    values["margin_bp"] = section.ratio("margin", 10_000, low=10_000, high=100_000)
    values["alpha_ppm"] = section.share("alpha", 1_000_000)
    values["alpha_hold_ppm"] = section.share("alpha_hold", 1_000_000)
    values["bad_min"] = section.count("min_bad")
    values["staggered_start_ms"] = section.duration("staggered_start")
    values["carry_evidence"] = section.flag("carry_evidence")
    dispersion = section.section("dispersion")
    values["history_ms"] = dispersion.duration("history")
    values["dispersion_windows_ms"] = dispersion.durations("windows")
    dispersion.close()
    section.close()


def _auto_rollback(root: _Section, values: dict[str, Any]) -> None:
    """The rules that roll back by themselves; one that is not listed is off."""
    if not root.has("auto_rollback"):
        return
    values.update(rollback_worse=False, rollback_limit=False, limit_unless_baseline=False)
    values["rollback_share_bp"] = 0
    for rule in root.sections("auto_rollback"):
        match rule.word(
            "when", ("worse_than_baseline", "limit_proven", "cohort_healthy_below"), required=True
        ):
            case "worse_than_baseline":
                values["rollback_worse"] = True
            case "limit_proven":
                values["rollback_limit"] = True
                unless = rule.word("unless", ("baseline_breaches_too",))
                values["limit_unless_baseline"] = unless is not None
            case "cohort_healthy_below":
                values["rollback_share_bp"] = rule.share("share", 10_000, required=True)
                values["rollback_share_for_ms"] = rule.duration("for", required=True)
        rule.close()


def _auto_pause(root: _Section, values: dict[str, Any]) -> None:
    if not root.has("auto_pause"):
        return
    seen = []
    for rule in root.sections("auto_pause"):
        when = rule.word("when", _PAUSES, required=True)
        if when == "no_data":
            values["no_data_ms"] = rule.duration("for", required=True)
        elif when != "baseline_breaches_too":
            rule.word("at", ("max_hold",))
        seen.append(when)
        rule.close()
    missing = [when for when in _PAUSES if when not in seen]
    if missing:
        root.wrong("auto_pause", f"also {', '.join(missing)}, which cannot be switched off", seen)


def _guard(root: _Section, values: dict[str, Any]) -> None:
    if not root.has("env_guard"):
        values["guard_burns"] = ()
        return
    section = root.section("env_guard")
    values["guard_slo_bp"] = section.share("slo", 10_000, required=True)
    burns = []
    for rule in section.sections("block_start_if"):
        burn = rule.ratio("burn", 100, low=1, high=1_000_000, required=True)
        windows = rule.durations("windows", required=True)
        rule.close()
        if burn is not None and windows is not None:
            burns.append(BurnRule(burn_centi=burn, windows_ms=windows))
    values["guard_burns"] = tuple(burns)
    section.close()


class _Section:
    """One mapping of the file: hands out checked values and knows which keys were never asked for.

    A value that is wrong is None and one line in `problems`; one that is left out is None too.
    """

    def __init__(self, mapping: Mapping[Any, Any], path: str, problems: list[str]) -> None:
        self.mapping, self._path, self._problems = mapping, path, problems
        self._asked: set[str] = set()

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return self.mapping.get(key) is not None

    def wrong(self, key: str, expected: str, found: object) -> None:
        self._problems.append(f"{self._path}{key}: expected {expected}, found {shown(found)}")

    def close(self) -> None:
        for key in self.mapping:
            if key not in self._asked:
                self.wrong(str(key), "no such key", self.mapping[key])

    def section(self, key: str, *, required: bool = False) -> _Section:
        value = self._value(key, "a mapping", required)
        if value is not None and not isinstance(value, Mapping):
            self.wrong(key, "a mapping", value)
        inner = value if isinstance(value, Mapping) else None
        if inner is None:  # its keys are not asked of nothing: one line says that it is missing
            return _Section({}, f"{self._path}{key}.", [])
        return _Section(inner, f"{self._path}{key}.", self._problems)

    def sections(self, key: str) -> list[_Section]:
        value = self._value(key, "a list", required=True)
        if value is None:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self.wrong(key, "a list", value)
            return []
        found = []
        for i, item in enumerate(value):
            if isinstance(item, Mapping):
                found.append(_Section(item, f"{self._path}{key}[{i}].", self._problems))
            else:
                self.wrong(f"{key}[{i}]", "a mapping", item)
        return found

    def word(self, key: str, words: tuple[str, ...], *, required: bool = False) -> str | None:
        value = self._value(key, one_of(words), required)
        if value is None or (isinstance(value, str) and value in words):
            return value
        self.wrong(key, one_of(words), value)
        return None

    def flag(self, key: str) -> bool | None:
        value = self._value(key, "true or false", False)
        if value is None or isinstance(value, bool):
            return value
        self.wrong(key, "true or false", value)
        return None

    def count(self, key: str, *, high: int = 10**9) -> int | None:
        expected = "a whole number from 1" + (f" to {high}" if high < 10**9 else "")
        value = self._value(key, expected, False)
        if value is None or (type(value) is int and 1 <= value <= high):
            return value
        self.wrong(key, expected, value)
        return None

    def share(
        self, key: str, scale: int, *, required: bool = False, zero: bool = False
    ) -> int | None:
        expected = f"a share {'from' if zero else 'above'} 0 up to 1, such as 0.95 or 95%"
        value = self._value(key, expected, required)
        if value is None:
            return None
        text = value.strip() if isinstance(value, str) else ""
        number = _number(text[:-1]) if text.endswith("%") else _number(value)
        scaled = None if number is None else number * scale / (100 if text.endswith("%") else 1)
        if scaled is None or not (0 if zero else 1) <= scaled <= scale or scaled % 1:
            self.wrong(key, f"{expected}, in whole steps of 1/{scale}", value)
            return None
        return int(scaled)

    def ratio(
        self, key: str, scale: int, *, low: int, high: int, required: bool = False
    ) -> int | None:
        expected = f"a number from {Decimal(low) / scale} to {Decimal(high) / scale}"
        value = self._value(key, expected, required)
        if value is None:
            return None
        number = _number(value)
        if number is None or not low <= number * scale <= high or number * scale % 1:
            self.wrong(key, f"{expected}, in whole steps of 1/{scale}", value)
            return None
        return int(number * scale)

    def duration(self, key: str, *, required: bool = False) -> int | None:
        value = self._value(key, _DURATION, required)
        if value is None:
            return None
        ms = _milliseconds(value)
        if ms is None:
            self.wrong(key, _DURATION, value)
        return ms

    def durations(self, key: str, *, required: bool = False) -> tuple[int, ...] | None:
        value = self._value(key, f"a list, each {_DURATION}", required)
        if value is None:
            return None
        if isinstance(value, list | tuple) and value:
            found = [_milliseconds(item) for item in value]
            whole = tuple(ms for ms in found if ms is not None)
            if len(whole) == len(found):
                return whole
        self.wrong(key, f"a list, each {_DURATION}", value)
        return None

    def _value(self, key: str, expected: str, required: bool) -> Any:
        self._asked.add(key)
        value = self.mapping.get(key)
        if value is None and required:
            self.wrong(key, expected, None)
        return value


_DURATION: Final = "a duration such as 5m, 30s or 300 (seconds)"


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))  # by its text, so that 0.01 is a hundredth exactly
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _milliseconds(value: object) -> int | None:
    """Milliseconds of `5m`, `1m30s`, `250ms` or a number of seconds; None for anything else."""
    if not isinstance(value, str):
        number = _number(value)
        ms = None if number is None else number * 1_000
    else:
        ms = _spelled(value.strip())
    if ms is None or ms % 1 or not 1 <= ms <= 366 * _DAY_MS:
        return None
    return int(ms)


def _spelled(text: str) -> Decimal | None:
    if not text.isascii():
        return None
    total, digits, rest = Decimal(0), "", text
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = next((u for u in ("ms", "s", "m", "h") if rest.startswith(u)), None)
        number = _number(digits) if digits else None
        if unit is None or number is None:
            return None
        total += number * _UNITS_MS[unit]
        rest = rest[len(unit) :]
    return total if text else None
