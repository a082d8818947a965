"""The break-it drill: scratch copies of a pack, each broken in one way, and the check that saw it.

Whoever doubts that verification means anything can watch it refuse. Pure over bytes: nothing is
written, and the pack itself is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from engine.core.errors import Unverified
from engine.evidence.drill_archive import archive_drills
from engine.evidence.drill_copy import Broken, LeftOut, Scratch, Thief, read_original
from engine.evidence.drill_files import file_drills
from engine.evidence.drill_forged import forged_drills
from engine.evidence.drill_items import item_drills
from engine.evidence.pack import read_pack
from engine.evidence.report import Check, Report
from engine.evidence.trust import parse_trusted_root
from engine.evidence.verify import TRUST, verify_pack

__all__ = ["Drill", "DrillCase", "LeftOut", "Thief", "drill", "own_root", "run_drill"]

# Checks that see any changed file. Where another check names the broken file too, that one says
# more: it would still be there if the list of files were signed anew.
_LIST: Final = "pack."


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillCase:
    """One broken copy and what became of it.

    Attributes:
        what: one sentence on what was done.
        caught_by: the failed check that says most about it; None = NOT CAUGHT.
        more: how many further checks failed.
    """

    name: str
    by: Thief
    what: str
    caught_by: Check | None
    more: int = 0
    note: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "by": self.by.value,
            "what": self.what,
            "caught": self.caught_by is not None,
            "caughtBy": None if self.caught_by is None else self.caught_by.document(),
            "more": self.more,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """Attributes:
    untouched: the report on the pack itself, which is good.
    anchored: the trust root came from outside the pack.
    """

    untouched: Report
    anchored: bool
    cases: tuple[DrillCase, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def missed(self) -> tuple[DrillCase, ...]:
        return tuple(case for case in self.cases if case.caught_by is None)

    @property
    def ok(self) -> bool:
        return bool(self.cases) and not self.missed

    def sentence(self) -> str:
        """The result in one sentence."""
        if self.missed:
            names = ", ".join(case.name for case in self.missed)
            return f"NOT CAUGHT: {len(self.missed)} of {len(self.cases)} broken copies ({names})."
        return f"All {len(self.cases)} broken copies were caught; the untouched pack verifies."

    def document(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "sentence": self.sentence(),
            "anchored": self.anchored,
            "trustedRootSha256": self.untouched.fingerprint,
            "untouchedChecks": len(self.untouched.checks),
            "cases": [case.document() for case in self.cases],
            "leftOut": [{"name": one.name, "why": one.why} for one in self.left_out],
        }


def drill(pack: bytes, trusted_root: bytes) -> tuple[DrillCase, ...]:
    """Break scratch copies of a good pack in every known way, and say which check caught each.

    Raises:
        Malformed, Unverified: the untouched pack does not verify, so there is nothing to break.
    """
    return run_drill(pack, trusted_root).cases


def run_drill(pack: bytes, trusted_root: bytes, *, anchored: bool = True) -> Drill:
    """As `drill`, with the report on the untouched pack and what could not be played on it.

    Args:
        anchored: False when `trusted_root` is the pack's own copy.
    """
    untouched = verify_pack(pack, trusted_root=trusted_root)
    for check in untouched.failed:
        raise Unverified(
            f"The untouched pack does not verify: {check}",
            check=check.check,
            file=check.file,
            expected=check.expected,
            found=check.found,
        )
    trusted = parse_trusted_root(trusted_root)
    original = read_original(pack, trusted)
    cases, left_out = [], []
    made: Iterator[Scratch] = chain(
        item_drills(original),
        file_drills(original),
        archive_drills(original),
        forged_drills(original, trusted),
    )
    for one in made:
        if isinstance(one, LeftOut):
            left_out.append(one)
        else:
            cases.append(_judged(one, trusted_root))
    return Drill(
        untouched=untouched, anchored=anchored, cases=tuple(cases), left_out=tuple(left_out)
    )


def own_root(pack: bytes) -> bytes:
    """The trust root that a pack carries; it proves nothing by itself.

    Raises:
        Malformed, Unverified: this is no pack, or it carries none.
    """
    files = read_pack(pack).files
    if TRUST not in files:
        raise Unverified(
            f"The pack has no {TRUST}.",
            check="trust.root",
            file=TRUST,
            expected="a trust root",
            found="no such file",
        )
    return files[TRUST]


def _judged(broken: Broken, trusted_root: bytes) -> DrillCase:
    root = broken.trusted_root or trusted_root
    report = verify_pack(
        broken.copy, name=broken.file_name, trusted_root=root, against=broken.against
    )
    failed = report.failed
    return DrillCase(
        name=broken.name,
        by=broken.by,
        what=broken.what,
        caught_by=_telling(failed, broken.touched) if failed else None,
        more=max(len(failed) - 1, 0),
        note=broken.note,
    )


def _telling(failed: tuple[Check, ...], touched: tuple[str, ...]) -> Check:
    """The check that says most: about a broken file, and beyond the list of files."""

    def rank(check: Check) -> tuple[bool, bool]:
        return check.file not in touched, check.check.startswith(_LIST)

    return min(failed, key=rank)
