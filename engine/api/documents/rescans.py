"""Answers about SBOM rescans, described."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import DigestText, PageOf, closed
from engine.api.documents.house import ProgressDoc


@closed
class SnapshotNamedDoc(TypedDict):
    name: str
    digest: DigestText


@closed
class BundleRescanDoc(TypedDict):
    """`findings`: blob with the keys of all of them. `compared` false: there was no match before,
    so nothing is called new or gone. `unread`: what could not be looked at."""

    bundle: DigestText
    label: str
    packages: int
    findings: DigestText
    known: int
    kev: int
    compared: bool
    new: int
    gone: int
    named: list[str]
    unread: int


@closed
class BundleProblemDoc(TypedDict):
    bundle: DigestText
    label: str
    reason: str


@closed
class RescanDoc(TypedDict):
    """`cause`: snapshot, retry or asked. `word`: FINISHED, FAILED, UNDER WAY or INTERRUPTED."""

    number: int
    at_us: int
    by: str
    cause: str
    word: str
    code: str
    text: str
    took_ms: int | None
    snapshots: list[SnapshotNamedDoc]
    bundles: list[BundleRescanDoc]
    failed: list[BundleProblemDoc]


@closed
class RescansDoc(PageOf[RescanDoc]):
    """How the bundles that matter stand now; `missing` of `bundles` are not matched against the
    snapshots in force. `since_us`: since when it fails."""

    level: str
    text: str
    reason: str
    since_us: int | None
    blocks: list[str]
    bundles: int
    missing: int
    retry_us: int | None
    progress: ProgressDoc | None


@closed
class RescanStartedDoc(TypedDict):
    number: int
