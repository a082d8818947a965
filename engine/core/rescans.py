"""What is decided about SBOM rescans: which bundles need one, when a failed one is tried again, and
what is known of the bundles that matter. Pure.

A bundle matters while it is live somewhere or in an open run that was judged. It is matched when
its gate, or a rescan, saw it against the very snapshots that are in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.rescan_events import BundleRescan, RescanFailed, RescanFinished, RescanStarted
from engine.core.statemachine import Role

MAY_RESCAN: Final = frozenset({Role.RELEASE_MANAGER, Role.SRE})
HISTORY_MAX: Final = 100
FIRST_WAIT_US: Final = 30_000_000
WAIT_US_MAX: Final = 30 * 60_000_000
# The same documents and the same feeds would give the same answer again.
_FINAL: Final = frozenset({"feeds", "sbom"})
INTERRUPTED: Final = "interrupted"

Snapshots: TypeAlias = tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A bundle that matters.

    Attributes:
        environments: where it is live or on its way, sorted.
        gated: the snapshots that its newest verdict rested on; None = it cannot be known.
        verdict_sources: blob of what that verdict was made of; None likewise.
    """

    bundle: Digest
    label: str
    environments: tuple[str, ...]
    gated: Snapshots | None = None
    verdict_sources: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """The newest match of a bundle by a rescan."""

    at_us: int
    snapshots: Snapshots
    found: BundleRescan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescan:
    """One try, as the history shows it. Without an end it is under way, or was interrupted."""

    at_us: int
    actor: str
    started: RescanStarted
    ended_us: int = 0
    finished: RescanFinished | None = None
    failed: RescanFailed | None = None

    @property
    def open(self) -> bool:
        return self.finished is None and self.failed is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescanLog:
    """Attributes:
    tries: newest first, at most `HISTORY_MAX`.
    bundles: what the newest rescan that saw a bundle found in it.
    failures: tries in a row that failed over the same snapshots.
    failing_us: when the first of them ended; 0 when the newest try was good.
    """

    tries: tuple[Rescan, ...] = ()
    bundles: Mapping[Digest, Scanned] = field(default_factory=dict)
    failures: int = 0
    failing_us: int = 0

    @property
    def newest(self) -> Rescan | None:
        return self.tries[0] if self.tries else None


def evolve(log: RescanLog, recorded: Recorded) -> RescanLog:
    """The log after one more event; other events change nothing."""
    match recorded.event:
        case RescanStarted() as started:
            return _started(log, recorded, started)
        case RescanFinished() as finished if log.newest is not None:
            log = _ended(log, recorded, finished.bundles, finished=finished)
            return replace(log, failures=0, failing_us=0)
        case RescanFailed() as failed if log.newest is not None:
            log = _ended(log, recorded, failed.bundles, failed=failed)
            since_us = log.failing_us or recorded.ts_us
            return replace(log, failures=log.failures + 1, failing_us=since_us)
        case _:
            return log


def _started(log: RescanLog, recorded: Recorded, started: RescanStarted) -> RescanLog:
    before = log.newest
    if before is not None and before.started.snapshots != started.snapshots:
        log = replace(log, failures=0, failing_us=0)
    elif before is not None and before.open:  # the engine died over it, which is a failure too
        since_us = log.failing_us or before.at_us
        log = replace(log, failures=log.failures + 1, failing_us=since_us)
    one = Rescan(at_us=recorded.ts_us, actor=recorded.actor, started=started)
    return replace(log, tries=(one, *log.tries)[:HISTORY_MAX])


def _ended(
    log: RescanLog,
    recorded: Recorded,
    found: Iterable[BundleRescan],
    *,
    finished: RescanFinished | None = None,
    failed: RescanFailed | None = None,
) -> RescanLog:
    ended = replace(log.tries[0], ended_us=recorded.ts_us, finished=finished, failed=failed)
    snapshots = ended.started.snapshots
    seen = {
        one.bundle: Scanned(at_us=recorded.ts_us, snapshots=snapshots, found=one) for one in found
    }
    return replace(log, tries=(ended, *log.tries[1:]), bundles={**log.bundles, **seen})


# --- what is due ------------------------------------------------------------------------------


def matched(subject: Subject, log: RescanLog, snapshots: Snapshots) -> bool:
    """Whether the bundle was seen against these snapshots."""
    known = log.bundles.get(subject.bundle)
    return subject.gated == snapshots or (known is not None and known.snapshots == snapshots)


def retry_us(log: RescanLog) -> int:
    """From when on a failed rescan is tried again: each failure doubles the wait."""
    newest = log.newest
    if newest is None or newest.finished is not None:
        return 0
    failures = log.failures + newest.open
    wait_us = min(FIRST_WAIT_US << min(max(0, failures - 1), 10), WAIT_US_MAX)
    return (newest.ended_us or newest.at_us) + wait_us


def due(
    log: RescanLog, subjects: Sequence[Subject], snapshots: Snapshots, *, now_us: int
) -> tuple[str, tuple[Subject, ...]] | None:
    """The cause of a rescan that should begin now, and of what; None when none should.

    Call it only while none is under way.
    """
    missing = tuple(one for one in subjects if not matched(one, log, snapshots))
    newest = log.newest
    if newest is None or newest.started.snapshots != snapshots or newest.finished is not None:
        return ("snapshot", missing) if missing else None
    # The newest try over these snapshots failed, or was interrupted.
    if newest.failed is not None and newest.failed.code in _FINAL:
        hopeless = _not_matched(newest)
        fresh = tuple(one for one in missing if one.bundle not in hopeless)
        return ("snapshot", fresh) if fresh else None
    return ("retry", missing) if missing and now_us >= retry_us(log) else None


def _not_matched(one: Rescan) -> frozenset[Digest]:
    seen = {done.bundle for done in one.failed.bundles} if one.failed is not None else set()
    return frozenset(bundle for bundle in one.started.bundles if bundle not in seen)


# --- how it stands ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the bundles that matter stand against the snapshots in force.

    Attributes:
        failed: bundles that the newest try did not get matched.
        missing: all that are not matched, `failed` among them; `unseen` of these were never
            matched by anything that is known here.
        environments: where bundles are live or on their way that are not matched.
        code, reason: of the failure; empty without one.
        failing_us: since when it fails; 0 while it does not.
        retry_us: when it is tried again; 0 when it is not tried by itself.
        done: how many bundles the rescan under way has seen; None when none is.
        doing: how many it is about.
    """

    bundles: int
    missing: int
    unseen: int
    failed: int
    environments: tuple[str, ...]
    code: str = ""
    reason: str = ""
    failing_us: int = 0
    retry_us: int = 0
    done: int | None = None
    doing: int = 0


def standing(
    log: RescanLog,
    subjects: Sequence[Subject],
    snapshots: Snapshots,
    *,
    done: int | None = None,
) -> Standing:
    """Args:
    subjects: of the home, or of the environments that are asked about.
    done: bundles that the rescan under way has seen; None when none is under way.
    """
    missing = [one for one in subjects if not matched(one, log, snapshots)]
    unseen = [one for one in missing if one.gated is None and one.bundle not in log.bundles]
    newest = log.newest
    tried: frozenset[Digest] = frozenset()
    if newest is not None and newest.started.snapshots == snapshots:
        cut_off = newest.open and done is None
        tried = frozenset(newest.started.bundles if log.failures or cut_off else ())
    failed = [one for one in missing if one.bundle in tried]
    code, reason = _why(log, snapshots) if failed else ("", "")
    again = bool(failed) and code not in _FINAL and done is None
    return Standing(
        bundles=len(subjects),
        missing=len(missing),
        unseen=len(unseen),
        failed=len(failed),
        environments=tuple(sorted({place for one in missing for place in one.environments})),
        code=code,
        reason=reason,
        failing_us=(log.failing_us or log.tries[0].at_us) if failed else 0,
        retry_us=retry_us(log) if again else 0,
        done=done,
        doing=0 if done is None or newest is None else len(newest.started.bundles),
    )


def _why(log: RescanLog, snapshots: Snapshots) -> tuple[str, str]:
    """Why the newest try over these snapshots that ended brought nothing."""
    for one in log.tries:
        if one.started.snapshots != snapshots:
            break
        if one.failed is not None:
            return one.failed.code, one.failed.reason
    return INTERRUPTED, "The engine ended before it did."
