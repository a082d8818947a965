"""The answer of a gate: which rules fired on what, the decision, and the bytes that are hashed.

The same policy on the same input gives the same bytes whoever evaluates it, when, where and in
which form: no engine, id, run, host, duration or real time is in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.policy.model import Level

SCHEMA: Final = "releaseline.verdict/1"

# Engines word their errors differently, so a verdict never holds their text.
ERROR_DETAIL: Final = "the rule could not be evaluated"

PASS: Final = "PASS"  # noqa: S105 - a decision, not a password
FAIL: Final = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Result:
    """A rule that fired. The order of the fields is the order in which results are sorted."""

    level: Level
    rule: str
    subject: str
    detail: str

    def document(self) -> dict[str, str]:
        return {
            "rule": self.rule,
            "level": self.level.value,
            "subject": self.subject,
            "detail": self.detail,
        }


def error_result(rule: str) -> Result:
    """What stands for a rule that gave no answer: always a FAIL, whatever its level."""
    return Result(level=Level.FAIL, rule=rule, subject="", detail=ERROR_DETAIL)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Attributes:
    policy, input: digests of what was asked and of what it was asked about.
    now_s: the frozen clock of the input, UTC seconds.
    error: a rule gave no answer; then the decision is FAIL.
    results: sorted by (level, rule, subject, detail).
    """

    policy: Digest
    input: Digest
    now_s: int
    error: bool
    results: tuple[Result, ...]

    @property
    def fail(self) -> int:
        return sum(result.level is Level.FAIL for result in self.results)

    @property
    def warn(self) -> int:
        return len(self.results) - self.fail

    @property
    def decision(self) -> str:
        return FAIL if self.fail or self.error else PASS

    @property
    def word(self) -> str:
        """`PASS`, `PASS (2 WARN)` or `FAIL (1 FAIL, 0 WARN)`."""
        return word_of(self.decision, self.fail, self.warn)

    def document(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "policy": str(self.policy),
            "input": str(self.input),
            "now": self.now_s,
            "decision": self.decision,
            "fail": self.fail,
            "warn": self.warn,
            "error": self.error,
            "results": [result.document() for result in self.results],
        }

    @cached_property
    def blob(self) -> bytes:
        return canonical(self.document())

    @cached_property
    def digest(self) -> Digest:
        return Digest.of(self.blob)


def word_of(decision: str, fail: int, warn: int) -> str:
    """A decision with its counts, in the words that pages, logs and evidence share."""
    if decision == FAIL:
        return f"FAIL ({fail} FAIL, {warn} WARN)"
    return f"PASS ({warn} WARN)" if warn else PASS


def verdict(
    *, policy: Digest, input_digest: Digest, now_s: int, results: Iterable[Result], error: bool
) -> Verdict:
    return Verdict(
        policy=policy,
        input=input_digest,
        now_s=now_s,
        error=error,
        results=tuple(sorted(results)),
    )
