"""OpenSLO v1: what an SLO file says about an error budget, as the environment guard needs it.

Read is what a guard can keep its word on: one objective by Occurrences over a ratio of counters in
Prometheus, and burn-rate alerts. Everything else that a file may say about its SLO is refused by
name instead of being passed over: half an SLO would be another SLO. Documents of kinds that say
nothing of a budget (Service, AlertNotificationTarget) may stand in the file.
Spec: https://github.com/OpenSLO/OpenSLO, version openslo/v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.health_criteria import DEFAULT_CRITERIA, BurnRule, shown
from engine.settings_yaml import KeyPath, Located, Problem, problem_at, read_documents

VERSION: Final = "openslo/v1"
_SIZE_MAX: Final = 1024 * 1024
_KINDS: Final = (
    "SLO", "SLI", "AlertPolicy", "AlertCondition", "AlertNotificationTarget", "DataSource",
    "Service",
)  # fmt: skip
_DURATION: Final = re.compile(r"([1-9][0-9]{0,3})([mhdw])", re.ASCII)
_UNITS_S: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WINDOW_S_MAX: Final = 30 * 86_400
# The workbook's proportion: the short window tells soon that the burning is over.
_SHORT_PART: Final = 12
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """Attributes:
    digest: of the file that it was read from.
    slo_bp: the objective's target, in basis points.
    rules: burn rates that hold a release up.
    own_rules: the file has burn-rate alerts; else they are the ones of the default workflow.
    numerator: `good` or `bad`, and `query` and `total` as they stand in the file.
    """

    name: str
    service: str
    digest: Digest
    slo_bp: int
    rules: tuple[BurnRule, ...]
    own_rules: bool
    numerator: str
    query: str
    total: str

    def guard(self) -> dict[str, Any]:
        """The `env_guard` of a workflow's gate, as it stands in `releaseline.yaml`."""
        return {
            "slo": self.slo_bp / 10_000,
            "block_start_if": [
                {
                    "burn": rule.burn_centi / 100,
                    "windows": [_span(ms) for ms in rule.windows_ms],
                }
                for rule in self.rules
            ],
        }


def read_slo(content: bytes, file: str, *, name: str = "") -> tuple[Slo | None, list[Problem]]:
    """The SLO of an OpenSLO file, or every problem that keeps it from being one.

    Args:
        name: which one, when the file has several.
    """
    text, problems = _text(content, file)
    if problems:
        return None, problems
    documents, problems = read_documents(text, file)
    known = _Known(file)
    for document in documents:
        known.take_in(document)
    problems += known.problems
    slo = None
    if not problems:
        slo = known.chosen(name, Digest.of(content))
        problems += known.problems
    once = {(p.file, p.line, p.message): p for p in problems}
    return (None if once else slo), sorted(once.values())


def _text(content: bytes, file: str) -> tuple[str, list[Problem]]:
    message, line = "", 0
    if len(content) > _SIZE_MAX:
        message = f"expected at most {_SIZE_MAX} bytes, found {len(content)}"
    else:
        try:
            return content.decode("utf-8"), []
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            message = f"expected UTF-8 text, found byte {content[error.start]:#04x}"
    return "", [Problem(file=file, line=line, key="", message=message)]


@dataclass(frozen=True, slots=True)
class _At:
    """A value of a document, and where it stands."""

    document: Located
    path: KeyPath
    value: Any

    def of(self, key: str | int) -> _At:
        inner = self.value.get(key) if isinstance(self.value, Mapping) else None
        return _At(self.document, (*self.path, key), inner)

    def items(self) -> list[_At]:
        values = self.value if isinstance(self.value, list) else []
        return [_At(self.document, (*self.path, i), value) for i, value in enumerate(values)]


class _Known:
    """The documents of a file by kind and name; what is wrong is gathered in `problems`."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[tuple[str, str], _At] = {}
        self.problems: list[Problem] = []

    def take_in(self, document: Located) -> None:
        root = _At(document, (), document.value)
        if not isinstance(root.value, Mapping):
            self._wrong(root, "a mapping")
            return
        self._word(root.of("apiVersion"), (VERSION,))
        kind = self._word(root.of("kind"), _KINDS)
        name = self._string(root.of("metadata").of("name"))
        if not kind or not name:
            return
        first = self._found.setdefault((kind, name), root)
        if first is not root:
            spot = first.document.spot(())
            message = f"expected each {kind} once, found it in line {spot.line} already"
            self.problems.append(problem_at(document, ("metadata", "name"), message))

    def chosen(self, name: str, digest: Digest) -> Slo | None:
        named = [one for kind, one in self._found if kind == "SLO"]
        wanted = name or (named[0] if len(named) == 1 else "")
        if wanted not in named:
            listed = ", ".join(sorted(named)) or "none"
            expected = f"an SLO called {name}" if name else "one SLO"
            message = f"expected {expected}, found {listed}"
            self.problems.append(Problem(file=self._file, line=0, key="", message=message))
            return None
        return self._slo(wanted, self._found["SLO", wanted].of("spec"), digest)

    def _slo(self, name: str, spec: _At, digest: Digest) -> Slo | None:
        self._keys(
            spec, "description", "service", "indicator", "indicatorRef", "timeWindow",
            "budgetingMethod", "objectives", "alertPolicies",
        )  # fmt: skip
        self._word(spec.of("budgetingMethod"), ("Occurrences",))
        slo_bp = self._target(spec)
        numerator, query, total = self._ratio(self._indicator(spec))
        rules = self._rules(spec.of("alertPolicies"))
        service = self._string(spec.of("service"))
        if self.problems:
            return None
        return Slo(
            name=name,
            service=service,
            digest=digest,
            slo_bp=slo_bp,
            rules=rules or DEFAULT_CRITERIA.guard_burns,
            own_rules=bool(rules),
            numerator=numerator,
            query=query,
            total=total,
        )

    def _target(self, spec: _At) -> int:
        objectives = spec.of("objectives")
        if not isinstance(objectives.value, list) or len(objectives.value) != 1:
            self._wrong(objectives, "a list of one objective")
            return 0
        (one,) = objectives.items()
        self._keys(one, "displayName", "target", "targetPercent")
        target, percent = one.of("target"), one.of("targetPercent")
        if (target.value is None) == (percent.value is None):
            self._wrong(one, "either target or targetPercent")
            return 0
        given, scale = (target, 10_000) if percent.value is None else (percent, 100)
        number = _number(given.value)
        scaled = None if number is None else number * scale
        if scaled is None or not 0 < scaled < 10_000 or scaled % 1:
            self._wrong(given, f"more than 0, below {10_000 // scale}, in steps of 0.01 %")
            return 0
        return int(scaled)

    def _indicator(self, spec: _At) -> _At:
        inline, ref = spec.of("indicator"), spec.of("indicatorRef")
        if (inline.value is None) == (ref.value is None):
            self._wrong(inline, "either indicator or indicatorRef")
        if ref.value is not None:
            return self._referred("SLI", ref)
        self._keys(inline, "apiVersion", "kind", "metadata", "spec")
        return inline.of("spec")

    def _ratio(self, sli: _At) -> tuple[str, str, str]:
        self._keys(sli, "description", "ratioMetric")
        ratio = sli.of("ratioMetric")
        if not isinstance(ratio.value, Mapping):
            if sli.value is not None:
                self._wrong(ratio, "a ratio of two counters")
            return "", "", ""
        self._keys(ratio, "counter", "good", "bad", "total")
        if ratio.of("counter").value is not True:
            self._wrong(ratio.of("counter"), "true: a budget is spent by events that are counted")
        good, bad = ratio.of("good"), ratio.of("bad")
        if (good.value is None) == (bad.value is None):
            self._wrong(ratio, "either good or bad, besides total")
        which = "bad" if good.value is None else "good"
        return which, self._query(ratio.of(which)), self._query(ratio.of("total"))

    def _query(self, side: _At) -> str:
        self._keys(side, "metricSource")
        source = side.of("metricSource")
        self._keys(source, "type", "metricSourceRef", "spec")
        kind, ref = source.of("type"), source.of("metricSourceRef")
        if kind.value is None and ref.value is not None:
            kind = self._referred("DataSource", ref).of("type")
        if not isinstance(kind.value, str) or kind.value.lower() != "prometheus":
            self._wrong(kind, "Prometheus")
        self._keys(source.of("spec"), "query")
        return self._string(source.of("spec").of("query"))

    def _rules(self, policies: _At) -> tuple[BurnRule, ...]:
        if policies.value is not None and not isinstance(policies.value, list):
            self._wrong(policies, "a list")
        rules = []
        for policy in policies.items():
            spec = self._inline_or_ref(policy, "AlertPolicy", "alertPolicyRef")
            conditions = spec.of("conditions")
            if not isinstance(conditions.value, list) or len(conditions.value) != 1:
                if spec.value is not None:
                    self._wrong(conditions, "a list of one condition")
                continue
            for one in conditions.items():
                rule = self._rule(self._inline_or_ref(one, "AlertCondition", "conditionRef"))
                rules += [] if rule is None else [rule]
        return tuple(rules)

    def _rule(self, spec: _At) -> BurnRule | None:
        """A condition as a rule of two windows; how long an alert waits is the pager's matter."""
        self._keys(spec, "description", "severity", "condition")
        condition = spec.of("condition")
        if spec.value is None:
            return None
        self._keys(condition, "kind", "op", "threshold", "lookbackWindow", "alertAfter")
        self._word(condition.of("kind"), ("burnrate",))
        self._word(condition.of("op"), ("gt", "gte"))
        number = _number(condition.of("threshold").value)
        centi = None if number is None else number * 100
        if centi is None or not 1 <= centi <= 1_000_000 or centi % 1:
            self._wrong(condition.of("threshold"), "a number from 0.01 to 10000, in steps of 0.01")
            return None
        window_s = self._window_s(condition.of("lookbackWindow"))
        if window_s is None:
            return None
        short_s = -(-window_s // (_SHORT_PART * _MINUTE_S)) * _MINUTE_S
        windows_s = (window_s, short_s) if short_s < window_s else (window_s,)
        return BurnRule(burn_centi=int(centi), windows_ms=tuple(s * 1000 for s in windows_s))

    def _window_s(self, at: _At) -> int | None:
        match = _DURATION.fullmatch(at.value) if isinstance(at.value, str) else None
        window_s = None if match is None else int(match[1]) * _UNITS_S[match[2]]
        if window_s is None or window_s > _WINDOW_S_MAX:
            self._wrong(at, "a duration like 5m, 1h or 3d, up to 30d")
            return None
        return window_s

    # --- looking things up, and what is wrong with them --------------------------------------

    def _inline_or_ref(self, at: _At, kind: str, key: str) -> _At:
        ref = at.of(key)
        if ref.value is not None:
            self._keys(at, key)
            return self._referred(kind, ref)
        self._keys(at, "apiVersion", "kind", "metadata", "spec")
        self._word(at.of("kind"), (kind,))
        return at.of("spec")

    def _referred(self, kind: str, ref: _At) -> _At:
        name = ref.value if isinstance(ref.value, str) else ""
        found = self._found.get((kind, name))
        if found is None:
            self._wrong(ref, f"the name of a document of kind {kind} in this file")
            return _At(ref.document, ref.path, None)
        return found.of("spec")

    def _keys(self, at: _At, *known: str) -> None:
        if at.value is None:
            return
        if not isinstance(at.value, Mapping):
            self._wrong(at, "a mapping")
            return
        for key in at.value:
            if key not in known:
                listed = ", ".join(known)
                message = f"expected one of {listed}; anything else is not supported, found {key}"
                self.problems.append(problem_at(at.document, (*at.path, key), message))

    def _word(self, at: _At, words: tuple[str, ...]) -> str:
        if isinstance(at.value, str) and at.value in words:
            return at.value
        self._wrong(at, " or ".join(words))
        return ""

    def _string(self, at: _At) -> str:
        if isinstance(at.value, str) and at.value.strip():
            return at.value
        self._wrong(at, "a text that is not empty")
        return ""

    def _wrong(self, at: _At, expected: str) -> None:
        message = f"expected {expected}, found {shown(at.value)}"
        self.problems.append(problem_at(at.document, at.path, message))


def _span(ms: int) -> str:
    """In one unit, as the settings take durations."""
    minutes = ms // 60_000
    return f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(str(value))
