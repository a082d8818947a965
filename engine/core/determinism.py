"""Do recorded decisions replay? Counted by everything that could be the reason. Pure.

Only mode VERIFY counts. What is still running and what could not be carried out stand apart and
are in no rate: a request that nobody has answered yet is neither a match nor a mismatch. (The mock
of the screen counts a running request as a mismatch; this is deliberately not done here.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.local_time import day_text

DECIDED_DAYS: Final = 90
REPLAYED_DAYS: Final = 7


def share_bp(part: int, whole: int) -> int | None:
    """Basis points, rounded down; None (shown as "-") where there is nothing to have a share of."""
    return 10_000 * part // whole if whole else None


def percent(bp: int | None) -> str:
    """`50 %`, `99.98 %`, `-`: no rounding that would hide a mismatch."""
    if bp is None:
        return "-"
    whole, rest = divmod(bp, 100)
    return f"{whole} %" if not rest else f"{whole}.{rest:02d} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Replays that have one thing in common: a policy, an engine, a day (`2026-02-18`)."""

    name: str
    matching: int
    mismatching: int
    failed: int

    @property
    def match_bp(self) -> int | None:
        return share_bp(self.matching, self.matching + self.mismatching)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "matching": self.matching,
            "mismatching": self.mismatching,
            "failed": self.failed,
            "match_bp": self.match_bp,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Of the verdicts of the last `decided_days`, those verified in the last `replayed_days`."""

    verdicts: int
    replayed: int
    decided_days: int = DECIDED_DAYS
    replayed_days: int = REPLAYED_DAYS

    @property
    def share_bp(self) -> int | None:
        return share_bp(self.replayed, self.verdicts)

    def document(self) -> dict[str, Any]:
        return {
            "verdicts": self.verdicts,
            "replayed": self.replayed,
            "decided_days": self.decided_days,
            "replayed_days": self.replayed_days,
            "share_bp": self.share_bp,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEngine:
    """Where the second engine was asked the same question: how often the digests agree."""

    agree: int
    disagree: int
    failed: int

    @property
    def agree_bp(self) -> int | None:
        return share_bp(self.agree, self.agree + self.disagree)

    def document(self) -> dict[str, Any]:
        return {
            "agree": self.agree,
            "disagree": self.disagree,
            "failed": self.failed,
            "agree_bp": self.agree_bp,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Determinism:
    """Attributes:
    running: outcomes that are still missing.
    failed: replays that could not be carried out.
    by_...: the largest group first, days in their order. Of a health gate's replay `policy` is
        empty, and so is `form`; those are left out of by_policy and by_form.
    """

    matching: int
    mismatching: int
    running: int
    failed: int
    by_policy: tuple[Share, ...]
    by_engine: tuple[Share, ...]
    by_environment: tuple[Share, ...]
    by_form: tuple[Share, ...]
    by_cause: tuple[Share, ...]
    by_kind: tuple[Share, ...]
    by_decided_day: tuple[Share, ...]
    by_replayed_day: tuple[Share, ...]
    coverage: Coverage
    cross: CrossEngine

    @property
    def total(self) -> int:
        return self.matching + self.mismatching + self.running + self.failed

    @property
    def match_bp(self) -> int | None:
        return share_bp(self.matching, self.matching + self.mismatching)

    def sentence(self) -> str:
        """`total 2 | matching 1 | mismatches 0 | running 1 | match rate 100 %`."""
        failed = f" | failed {self.failed}" if self.failed else ""
        return (
            f"total {self.total} | matching {self.matching} | mismatches {self.mismatching} | "
            f"running {self.running}{failed} | match rate {percent(self.match_bp)}"
        )

    def document(self) -> dict[str, Any]:
        groups = {
            name: [one.document() for one in getattr(self, name)]
            for name in ("by_policy", "by_engine", "by_environment", "by_form", "by_cause",
                         "by_kind", "by_decided_day", "by_replayed_day")
        }  # fmt: skip
        return {
            "total": self.total,
            "matching": self.matching,
            "mismatching": self.mismatching,
            "running": self.running,
            "failed": self.failed,
            "match_bp": self.match_bp,
            **groups,
            "coverage": self.coverage.document(),
            "cross": self.cross.document(),
            "sentence": self.sentence(),
        }


def determinism_of(
    counts: Iterable[Mapping[str, Any]], *, running: int, coverage: Coverage
) -> Determinism:
    """Args:
    counts: rows of the query `replay_counts`.
    running: outcomes of VERIFY that are still missing.
    """
    rows = [row for row in counts if row["mode"] == "VERIFY"]
    word = {"AGREE": 0, "DISAGREE": 0, "FAILED": 0}
    for row in rows:
        if row["crosscheck"]:
            word[row["crosscheck"]] += row["count"]
    whole = _shares(rows, "mode")
    return Determinism(
        matching=sum(one.matching for one in whole),
        mismatching=sum(one.mismatching for one in whole),
        failed=sum(one.failed for one in whole),
        running=running,
        by_policy=_shares(rows, "policy"),
        by_engine=_shares(rows, "engine"),
        by_environment=_shares(rows, "environment"),
        by_form=_shares(rows, "form"),
        by_cause=_shares(rows, "cause"),
        by_kind=_shares(rows, "kind"),
        by_decided_day=_days(rows, "decided_day"),
        by_replayed_day=_days(rows, "replayed_day"),
        coverage=coverage,
        cross=CrossEngine(agree=word["AGREE"], disagree=word["DISAGREE"], failed=word["FAILED"]),
    )


def _shares(rows: Iterable[Mapping[str, Any]], by: str) -> tuple[Share, ...]:
    """Groups by a text, the largest first; what has none is in no group."""
    found = [one for one in _grouped(rows, by) if one.name]
    return tuple(
        sorted(found, key=lambda one: (-one.matching - one.mismatching - one.failed, one.name))
    )


def _days(rows: Iterable[Mapping[str, Any]], by: str) -> tuple[Share, ...]:
    dated = [{**row, by: day_text(row[by])} for row in rows]
    return tuple(sorted(_grouped(dated, by), key=lambda one: one.name))


def _grouped(rows: Iterable[Mapping[str, Any]], by: str) -> list[Share]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        place = {"MATCH": 0, "MISMATCH": 1}.get(row["result"], 2)
        sums[row[by]][place] += row["count"]
    return [
        Share(name=name, matching=matching, mismatching=mismatching, failed=failed)
        for name, (matching, mismatching, failed) in sums.items()
    ]
