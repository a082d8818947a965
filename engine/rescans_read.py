"""What pages, API and command line tell about SBOM rescans: how they stand, and every try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.child import Progress
from engine.core.data_health import Level, rescan_source, rescan_unknown
from engine.core.errors import Malformed
from engine.core.rescan_events import BundleProblem, BundleRescan
from engine.core.rescans import INTERRUPTED, Rescan
from engine.rescans import Rescans

FINISHED, FAILED, UNDER_WAY, CUT_OFF = "FINISHED", "FAILED", "UNDER WAY", "INTERRUPTED"
CAUSES: Final = {
    "snapshot": "new snapshots in force",
    "retry": "tried again after a failure",
    "asked": "asked for",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRow:
    """One rescan. `took_ms` None while it is under way, and of one that was interrupted."""

    number: int
    at_us: int
    by: str
    cause: str
    word: str
    code: str
    text: str
    took_ms: int | None
    snapshots: tuple[tuple[str, str], ...]
    bundles: tuple[BundleRescan, ...]
    failed: tuple[BundleProblem, ...]

    def document(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at_us": self.at_us,
            "by": self.by,
            "cause": self.cause,
            "word": self.word,
            "code": self.code,
            "text": self.text,
            "took_ms": self.took_ms,
            "snapshots": [{"name": name, "digest": digest} for name, digest in self.snapshots],
            "bundles": [_bundle(one) for one in self.bundles],
            "failed": [
                {"bundle": str(one.bundle), "label": one.label, "reason": one.reason}
                for one in self.failed
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RescansNow:
    """Attributes:
    text: how they stand, in words; `reason` of a failure, else empty.
    since_us: since when it fails; None while it does not.
    retry_us: when a failed one is tried again; None when it is not tried by itself.
    progress: of the one under way; None when none is.
    tries: newest first.
    """

    level: Level
    text: str
    reason: str
    since_us: int | None
    blocks: tuple[str, ...]
    bundles: int
    missing: int
    retry_us: int | None
    progress: Progress | None
    tries: tuple[TryRow, ...]

    def document(self) -> dict[str, Any]:
        """All but the tries."""
        now = self.progress
        return {
            "level": self.level.value,
            "text": self.text,
            "reason": self.reason,
            "since_us": self.since_us,
            "blocks": list(self.blocks),
            "bundles": self.bundles,
            "missing": self.missing,
            "retry_us": self.retry_us,
            "progress": None
            if now is None
            else {"what": now.what, "done": now.done, "of": now.of, "unit": now.unit},
        }


def look(rescans: Rescans) -> RescansNow:
    progress, log = rescans.progress(), rescans.log()
    tries = tuple(
        try_row(one, running=n == 0 and progress is not None) for n, one in enumerate(log.tries)
    )
    try:
        found = rescans.standing()
    except Malformed as error:
        source, bundles, missing = rescan_unknown("the feeds cannot be read"), 0, 0
        reason, retry = str(error), 0
    else:
        source, bundles, missing = rescan_source(found), found.bundles, found.missing
        reason, retry = found.reason, found.retry_us
    return RescansNow(
        level=source.level,
        text=source.text,
        reason=reason,
        since_us=source.since_us,
        blocks=source.blocks,
        bundles=bundles,
        missing=missing,
        retry_us=retry or None,
        progress=progress,
        tries=tries,
    )


def try_row(one: Rescan, *, running: bool) -> TryRow:
    finished, failed = one.finished, one.failed
    found = finished.bundles if finished else failed.bundles if failed else ()
    word, code, text = _outcome(one, found, running=running)
    return TryRow(
        number=one.started.number,
        at_us=one.at_us,
        by=one.actor,
        cause=one.started.cause,
        word=word,
        code=code,
        text=text,
        took_ms=finished.took_ms if finished else failed.took_ms if failed else None,
        snapshots=tuple((s.name, str(s.digest)) for s in one.started.snapshots),
        bundles=found,
        failed=failed.failed if failed else (),
    )


def _outcome(
    one: Rescan, found: tuple[BundleRescan, ...], *, running: bool
) -> tuple[str, str, str]:
    about = len(one.started.bundles)
    if one.failed is not None:
        lost = len(one.failed.failed)
        text = f"{lost} of {about} bundles not matched: {one.failed.reason}"
        return FAILED, one.failed.code, text
    if one.finished is None:
        if running:
            return UNDER_WAY, "", f"{about} bundles"
        return CUT_OFF, INTERRUPTED, "The engine ended before it did; nothing of it counts."
    new, gone = sum(b.new for b in found), sum(b.gone for b in found)
    unread = sum(b.unread for b in found)
    also = f"; {unread:,} parts could not be looked at" if unread else ""
    of = "1 bundle" if about == 1 else f"{about} bundles"
    return FINISHED, "", f"{of}: {new:,} findings new, {gone:,} gone{also}."


def _bundle(one: BundleRescan) -> dict[str, Any]:
    return {
        "bundle": str(one.bundle),
        "label": one.label,
        "packages": one.packages,
        "findings": str(one.findings),
        "known": one.known,
        "kev": one.kev,
        "compared": one.compared,
        "new": one.new,
        "gone": one.gone,
        "named": list(one.named),
        "unread": one.unread,
    }
