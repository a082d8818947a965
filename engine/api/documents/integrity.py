"""What the API says of the bytes that are stored."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import closed


@closed
class DamageDoc(TypedDict):
    """Something stored that is not what it was. `found` is what the check saw; `sentence` says it
    all, and `remedy` what may still be done."""

    place: str
    item: str
    check: str
    expected: str
    found: str
    runs: list[str]
    since_us: int
    sentence: str
    remedy: str


@closed
class FsckDoc(TypedDict):
    ok: bool
    findings: list[str]


@closed
class SweepDoc(TypedDict):
    """What the newest sweep looked at."""

    ended_us: int
    cause: str
    runs: int
    blobs: int
    size_bytes: int
    leaves: int
    took_ms: int


@closed
class IntegrityDoc(TypedDict):
    """`ok` null: nothing was looked at yet. `sweep` null likewise."""

    ok: bool | None
    every_s: int
    running: bool
    sweep: SweepDoc | None
    damaged: list[DamageDoc]
