"""What a verification found: every check by name, with what was expected and what was there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence.wording import both, plain


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


class Vouched(StrEnum):
    """By what the witness of a log is known."""

    GIVEN = "given"  # somebody brought its key along
    ROOT = "trusted-root"  # the trusted root names it
    PACK = "pack"  # nothing but the evidence itself
    NOBODY = "nobody"  # there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessing:
    """Whose cosignatures were asked for: `keys` are vkeys, by name and id."""

    vouched: Vouched
    keys: tuple[str, ...]

    def sentence(self, *, anchored: bool) -> str:
        """`anchored`: the trusted root came from outside."""
        names = " or ".join(key.rpartition("+")[0] for key in self.keys)
        match self.vouched:
            case Vouched.NOBODY:
                return (
                    "No witness cosigned the log: nothing but the log's own key says that it was "
                    "never rewritten."
                )
            case Vouched.GIVEN:
                return f"The key of the witness {names} was given, from outside the pack."
            case Vouched.ROOT if anchored:
                return (
                    f"The witness {names} is the one that the trusted root names; its key was not "
                    "given by itself (--witness FILE)."
                )
            case Vouched.ROOT | Vouched.PACK:
                return (
                    f"The witness {names} is only the pack's own: nobody from outside named its "
                    "key. Ask the witness for it and give it: --witness FILE."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Attributes:
    checks: in the order in which they were made.
    fingerprint: SHA-256 of the trusted root that was used; empty when none could be read.
    anchored: the trusted root came from outside the pack, or its digest did. Otherwise the
        pack only agrees with itself, and the fingerprint is to be compared by a person.
    witness: None when no head of a log could be looked at.
    """

    checks: tuple[Check, ...]
    fingerprint: str
    anchored: bool
    witness: Witnessing | None = None

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.ok)

    @property
    def witness_sentence(self) -> str:
        """How far the witness can be gone by; empty when no head could be looked at."""
        return "" if self.witness is None else self.witness.sentence(anchored=self.anchored)

    def with_check(self, check: Check) -> Report:
        return replace(self, checks=(*self.checks, check))

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "anchored": self.anchored,
            "trustedRootSha256": self.fingerprint,
            "witness": None
            if self.witness is None
            else {
                "vouched": self.witness.vouched.value,
                "keys": list(self.witness.keys),
                "said": self.witness_sentence,
            },
            "checks": [check.document() for check in self.checks],
        }


@dataclass(slots=True)
class Ledger:
    """Collects checks, so that one broken file does not hide the next."""

    checks: list[Check] = field(default_factory=list)
    witness: Witnessing | None = None

    def ok(self, file: str, check: str, found: str) -> None:
        line = plain(found)
        self.checks.append(Check(file=file, check=check, ok=True, expected=line, found=line))

    def no(self, file: str, check: str, *, expected: str, found: str) -> None:
        self.checks.append(
            Check(file=file, check=check, ok=False, expected=plain(expected), found=plain(found))
        )

    def equal(self, file: str, check: str, *, expected: object, found: object) -> bool:
        """Record a failure when the two differ; say nothing when they don't."""
        if expected != found:
            wanted, there = both(expected, found)
            self.no(file, check, expected=wanted, found=there)
        return expected == found

    def same(
        self, file: str, check: str, *, expected: Mapping[str, Any], found: Mapping[str, Any]
    ) -> None:
        """As `equal` for two documents: by their canonical JSON, to which 1 is not true."""
        if canonical(expected) != canonical(found):
            wanted, there = both(expected, found)
            self.no(file, check, expected=wanted, found=there)

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
