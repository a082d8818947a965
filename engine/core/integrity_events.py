"""Facts about what is stored: which of it is not what it was, and since when it is again.

They live in the stream `integrity` and are written by the integrity sweep (`engine.integrity`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

INTEGRITY = "integrity"


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageFound:
    """Something stored is not what it was. Told again when it is known to concern more runs.

    Attributes:
        place: `blob sha256:<hex>`, or `leaf <hash>` of the transparency log.
        item: what it is, in words.
        check: the one that failed: `blob.present`, `blob.readable`, `blob.sha256`, `log.leaf`.
        runs: that it belongs to, the newest first; empty when no run names it.
    """

    TYPE: ClassVar = "integrity.damaged/1"
    place: str
    item: str
    check: str
    expected: str
    found: str
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageCleared:
    """It is again what it was. Fields as in `DamageFound`."""

    TYPE: ClassVar = "integrity.repaired/1"
    place: str
    item: str
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegritySwept:
    """Everything that is stored was read once, bit by bit.

    Attributes:
        cause: `due`, or `asked` for by somebody.
        runs, blobs, leaves: how many were looked at; `size_bytes` of the blobs together.
        damaged: how many places are not what they were, now.
    """

    TYPE: ClassVar = "integrity.swept/1"
    cause: str
    runs: int
    blobs: int
    size_bytes: int
    leaves: int
    damaged: int
    took_ms: int
