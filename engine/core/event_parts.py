"""The small values that several events are made of."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFact:
    """A resolved input: where it came from and a keyed digest of its value, never the value."""

    name: str
    path: str
    version: str
    value_hmac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDigest:
    """A blob with the name under which people know it."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFact:
    """A target as observed. `reversible` False carries its reason in `note`."""

    target: str
    digest: Digest | None
    healthy: bool | None
    reversible: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCohort:
    step: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedWaiver:
    """A waiver that a verdict rests on. `finding` is called as the verdict calls it."""

    waiver: str
    finding: str
    purl: str
    author: str
    granted_by: str
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedChange:
    """Something that a run rests on and that differs from another run; empty = not there."""

    name: str
    before: str
    after: str
