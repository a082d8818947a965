"""What a verification found: every check by name, with what was expected and what was there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.core.errors import Malformed, Unverified


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer. `check` is a stable name, for example `chain.seq`."""

    file: str
    check: str
    ok: bool
    expected: str
    found: str

    def document(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "check": self.check,
            "ok": self.ok,
            "expected": self.expected,
            "found": self.found,
        }

    def __str__(self) -> str:
        if self.ok:
            return f"ok      {self.file}: {self.check}: {self.found}"
        return f"FAILED  {self.file}: {self.check}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Attributes:
    checks: in the order in which they were made.
    fingerprint: SHA-256 of the trusted root that was used; empty when none could be read.
    anchored: the trusted root came from outside the pack, or its digest did. Otherwise the
        pack only agrees with itself, and the fingerprint is to be compared by a person.
    """

    checks: tuple[Check, ...]
    fingerprint: str
    anchored: bool

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    def with_check(self, check: Check) -> Report:
        return replace(self, checks=(*self.checks, check))

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "anchored": self.anchored,
            "trustedRootSha256": self.fingerprint,
            "checks": [check.document() for check in self.checks],
        }


@dataclass(slots=True)
class Ledger:
    """Collects checks, so that one broken file does not hide the next."""

    checks: list[Check] = field(default_factory=list)

    def ok(self, file: str, check: str, found: str) -> None:
        self.checks.append(Check(file=file, check=check, ok=True, expected=found, found=found))

    def no(self, file: str, check: str, *, expected: str, found: str) -> None:
        self.checks.append(Check(file=file, check=check, ok=False, expected=expected, found=found))

    def equal(self, file: str, check: str, *, expected: object, found: object) -> bool:
        """Record a failure when the two differ; say nothing when they don't."""
        if expected != found:
            self.no(file, check, expected=str(expected), found=str(found))
        return expected == found

    def refused(self, error: Unverified, *, file: str = "") -> None:
        self.no(error.file or file, error.check, expected=error.expected, found=error.found)

    @contextmanager
    def judging(self, file: str, check: str) -> Iterator[None]:
        """Turn what goes wrong inside into a failed check of `file`."""
        try:
            yield
        except Unverified as error:
            self.refused(error, file=file)
        except Malformed as error:
            self.no(file, check, expected="a well-formed file", found=str(error))
