"""What a check of a home finds: one difference each, and the report of them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference.

    Attributes:
        table: where it is; `journal` for the journal itself.
        key: the row, or file and line.
        lost: gone with a damaged database and known to be; not damage that is there now.
    """

    table: str
    key: str
    problem: str
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FsckReport:
    """`ok`: nothing is wrong now; findings may still say what was lost earlier."""

    ok: bool
    findings: tuple[Finding, ...]
    lines: int
    events: int
