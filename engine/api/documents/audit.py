"""What the audit trail, its exports and the separation of duties answer with."""

from __future__ import annotations

from typing_extensions import TypedDict

from data.queries_audit import RECORD
from engine.api.documents.base import Hex64, closed, row_of

RecordDoc = row_of(RECORD)


@closed
class CheckDoc(TypedDict):
    """`broken_at`: place of the first event that is not as it was recorded; 0 when all are."""

    ok: bool
    events: int
    lines: int
    gseq: int
    hash: Hex64
    broken_at: int
    problem: str
    took_ms: int


@closed
class CheckedDoc(CheckDoc):
    """A check of before: when, and by whom."""

    ts_us: int
    by: str


@closed
class ChainDoc(TypedDict):
    """The newest event; `checked` is null when nobody ever read the chain from its beginning."""

    gseq: int
    ts_us: int
    hash: str
    checked: CheckedDoc | None


@closed
class ColumnDoc(TypedDict):
    name: str
    type: str
    meaning: str


@closed
class TableDoc(TypedDict):
    """A table that can be exported, with the meaning of every column."""

    name: str
    told: str
    order: str
    columns: list[ColumnDoc]


@closed
class EdgeDoc(TypedDict):
    """Somebody's deed. `gseq` 0 = it stands in the request; `denied`: they tried."""

    person: str
    duty: str
    ts_us: int
    gseq: int
    denied: bool
    note: str


@closed
class DutyConflictDoc(TypedDict):
    """`prevented`: it was tried and refused; else one person stood on both sides."""

    person: str
    made: str
    checked: str
    rule: str
    prevented: bool


@closed
class DutiesDoc(TypedDict):
    run: str
    people: list[str]
    edges: list[EdgeDoc]
    conflicts: list[DutyConflictDoc]
