"""Facts about SBOM rescans: stored SBOMs matched again, because the feeds know more than before.

They live in the stream `rescans`. A rescan is about several bundles, and each is matched against
the same snapshots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest

RESCANS = "rescans"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRescan:
    """What one bundle's SBOMs were found to hold.

    Attributes:
        label: name and version.
        findings: blob with the keys of all findings, sorted (`releaseline.findings/1`).
        known: how many findings there are; `kev` of them are known to be exploited.
        compared: there was a match before to compare with; else `new` and `gone` are 0.
        named: the first keys of those that are new.
        unread: how many things could not be looked at, so that they are not known to be clean.
    """

    bundle: Digest
    label: str
    packages: int
    findings: Digest
    known: int
    kev: int
    compared: bool
    new: int
    gone: int
    named: tuple[str, ...]
    unread: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleProblem:
    """A bundle that was not matched, and why."""

    bundle: Digest
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanStarted:
    """Attributes:
    number: of the rescan, 1-based without gaps.
    cause: `snapshot`: the snapshots in force are others than the bundles were matched against;
        `retry`: the try before failed; `asked`: somebody wanted it.
    snapshots: in force, by name.
    """

    TYPE: ClassVar = "rescan.started/1"
    number: int
    cause: str
    snapshots: tuple[NamedDigest, ...]
    bundles: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanFinished:
    """Every bundle was matched."""

    TYPE: ClassVar = "rescan.finished/1"
    number: int
    bundles: tuple[BundleRescan, ...]
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanFailed:
    """Some bundles, or all, were not matched. What `bundles` says counts all the same.

    `code` is a word for programs: `worker` (the process ended, or took too long), `feeds` (there is
    nothing to match against), `sbom` (documents that cannot be read), `stopped` (with the engine).
    """

    TYPE: ClassVar = "rescan.failed/1"
    number: int
    code: str
    reason: str
    bundles: tuple[BundleRescan, ...]
    failed: tuple[BundleProblem, ...]
    took_ms: int
