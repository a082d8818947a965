"""Facts about waivers: one was asked for, granted, refused, revoked. All in the stream `waivers`.

That one has run out is no fact: its end is known from the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from engine.core.digest import Digest

WAIVERS: Final = "waivers"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRequested:
    """Somebody wants one flaw in one package to be accepted for a while. It has no effect yet.

    Attributes:
        waiver: `waiver-<n>`, numbered in order.
        finding: any name of the flaw: CVE, GHSA, PYSEC.
        purl: the package as the gate names it, version included.
        environments: where it is to hold, by name, sorted; never empty.
        bundle: the only one that it is meant for; None = every one.
        expires_us: it ends then, granted or not; whole seconds.
        hand: another person, who made the link or token that its author came in with.
    """

    TYPE: ClassVar = "waiver.requested/1"
    waiver: str
    finding: str
    purl: str
    environments: tuple[str, ...]
    bundle: Digest | None
    expires_us: int
    reason: str
    ticket: str = ""
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverGranted:
    """The second person agreed: from here on it holds. `hand` as in `WaiverRequested`."""

    TYPE: ClassVar = "waiver.granted/1"
    waiver: str
    reason: str
    ticket: str = ""
    hand: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRefused:
    """The second person said no; it never holds."""

    TYPE: ClassVar = "waiver.refused/1"
    waiver: str
    reason: str
    ticket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverRevoked:
    """It holds no more, or was taken back before anybody had agreed."""

    TYPE: ClassVar = "waiver.revoked/1"
    waiver: str
    reason: str
    ticket: str = ""
