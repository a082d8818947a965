"""What is decided about advisory feeds: how old is too old, what may replace what, who may ask.

The limits of an age are the policy's own, so that a page, the command line and the gate never
disagree. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from engine.core.commands import Refusal
from engine.core.events import Recorded
from engine.core.feed_events import FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.statemachine import Role

NAMES: Final = ("EPSS", "GHSA", "KEV", "NVD", "OSV")

# A snapshot that lost more than this share of its records is not taken unasked: a mirror that
# serves an empty list would otherwise make everything look harmless.
LOSS_BP_MAX: Final = 1_000
HISTORY_MAX: Final = 200

_MAY_SYNC: Final = frozenset({Role.ADMIN, Role.SRE, Role.RELEASE_MANAGER})
_MAY_CHOOSE: Final = frozenset({Role.ADMIN})


def is_url(address: str) -> bool:
    """Whether a source is asked over the network; else it is a folder on this machine."""
    return "://" in address


class Freshness(StrEnum):
    """How a feed stands against its limits."""

    FRESH = "FRESH"
    STALE = "STALE"  # older than the policy warns at
    CRITICAL = "CRITICAL"  # older than the policy allows: FAIL
    FUTURE = "FUTURE"  # dated after this clock: FAIL, one of both is wrong
    MISSING = "MISSING"  # no snapshot at all
    NO_LIMIT = "NO_LIMIT"  # no policy says how old it may be, so nobody can call it fresh


# The words of data health (vocabulary 2) that they mean.
LEVELS: Final[Mapping[Freshness, str]] = {
    Freshness.FRESH: "OK",
    Freshness.STALE: "WARN",
    Freshness.CRITICAL: "FAIL",
    Freshness.FUTURE: "FAIL",
    Freshness.MISSING: "UNKNOWN",
    Freshness.NO_LIMIT: "UNKNOWN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeLimits:
    """A policy's limits for one feed, in seconds; `required`: without a snapshot it fails."""

    warn_s: int
    fail_s: int
    required: bool = False


def limits_of(config: Mapping[str, Any], name: str) -> AgeLimits | None:
    """The limits that a policy's configuration gives a feed; None when it names none."""
    limits = config.get("feeds", {}).get(name)
    if limits is None:
        return None
    return AgeLimits(
        warn_s=limits["warn_s"],
        fail_s=limits["fail_s"],
        required=name in config.get("required_feeds", ()),
    )


def tightest(limits: Iterable[AgeLimits | None]) -> AgeLimits | None:
    """The strictest of several policies; None when not one of them names the feed."""
    known = [one for one in limits if one is not None]
    if not known:
        return None
    return AgeLimits(
        warn_s=min(one.warn_s for one in known),
        fail_s=min(one.fail_s for one in known),
        required=any(one.required for one in known),
    )


def freshness(as_of_s: int | None, limits: AgeLimits | None, *, now_s: int) -> Freshness:
    """As the shipped policy's rules for feeds have it; `as_of_s` None: there is no snapshot."""
    if as_of_s is None:
        return Freshness.MISSING
    if as_of_s > now_s:
        return Freshness.FUTURE
    if limits is None:
        return Freshness.NO_LIMIT
    age_s = now_s - as_of_s
    if age_s > limits.fail_s:
        return Freshness.CRITICAL
    return Freshness.STALE if age_s > limits.warn_s else Freshness.FRESH


def standing(
    as_of_s: Mapping[str, int], config: Mapping[str, Any], *, now_s: int
) -> tuple[tuple[str, Freshness], ...]:
    """Every feed that a policy names, by name, against its limits there.

    One that is missing counts only when the policy requires it; one that no policy names decides
    nothing.

    Args:
        as_of_s: by feed, up to when its snapshot is known, UTC seconds.
        config: the policy's.
    """
    required = frozenset(config.get("required_feeds", ()))
    return tuple(
        (name, freshness(as_of_s.get(name), limits_of(config, name), now_s=now_s))
        for name in sorted({*config.get("feeds", {}), *required})
        if name in as_of_s or name in required
    )


def dated(
    before: FeedSynced | None,
    *,
    source: str,
    said_s: int,
    unchanged: bool,
    vouched: bool,
    asked_s: int,
) -> int:
    """Up to which moment (UTC seconds) the source is known after a sync.

    Args:
        before: the newest sync of this feed.
        said_s: the newest date that the source gave.
        unchanged: it has nothing that is not in `before`.
        vouched: an answer of the source itself, and not a copy in a folder, which proves nothing
            about what the source has by now.
        asked_s: when it was asked.
    """
    same = before is not None and before.source == source
    if before is not None and same and unchanged and vouched:
        return max(asked_s, before.as_of_s) if before.as_of_s <= asked_s else asked_s
    if before is not None and same and said_s < before.as_of_s <= asked_s:
        # A change that is dated before the last look: everything up to that look is in here.
        return before.as_of_s
    return said_s


def loss(before: FeedSynced | None, *, removed: int, newest_s: int) -> str | None:
    """Why the new data must not replace the old unasked, in one sentence; None when they may."""
    if before is None:
        return None
    if newest_s and before.newest_s and newest_s < before.newest_s:
        return (
            f"Its newest date is {before.newest_s - newest_s} s older than that of the snapshot "
            "that is here."
        )
    if removed * 10_000 > before.records * LOSS_BP_MAX:
        return f"It lacks {removed} of the {before.records} records of the snapshot that is here."
    return None


# Clocks differ by a little; what is dated further ahead would be refused by every gate.
_AHEAD_S_MAX: Final = 300


def downgrade(name: str, *, as_of_s: int, in_force_s: int | None) -> str | None:
    """Why a snapshot must not replace the one in force unasked, in one sentence; None when it may.

    Args:
        as_of_s, in_force_s: UTC seconds up to which either is known; None = there is none.
    """
    if in_force_s is None or as_of_s >= in_force_s:
        return None
    return f"{name}: it is {in_force_s - as_of_s} s older than the snapshot that is in force."


def ahead(name: str, *, as_of_s: int, now_s: int) -> str | None:
    """Why a snapshot's date cannot be right; None when it can."""
    if as_of_s <= now_s + _AHEAD_S_MAX:
        return None
    return f"{name}: it is dated {as_of_s - now_s} s after this clock; one of both is wrong."


def refusal(roles: frozenset[Role], *, local: bool, chosen: bool) -> Refusal | None:
    """Why somebody may not sync feeds; None when they may.

    Args:
        roles: in any environment.
        local: a shell on the home, which could put files there anyway.
        chosen: from a source of their own choice, or with loss accepted: whoever may do that can
            make a flaw unknown to the gate.
    """
    wanted = _MAY_CHOOSE if chosen else _MAY_SYNC
    if local or roles & wanted:
        return None
    names = " or ".join(sorted(role.value.replace("_", " ") for role in wanted))
    what = "from a source of your choice, or with loss accepted," if chosen else "feeds"
    return Refusal(sentence=f"Syncing {what} needs the role {names}.", code="role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One try, as the history shows it. `synced` and `failed` are both None while it is open."""

    at_us: int
    actor: str
    started: FeedSyncStarted
    ended_us: int = 0
    synced: FeedSynced | None = None
    failed: FeedSyncFailed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLog:
    """What is on record about one feed.

    Attributes:
        newest: of all syncs that brought something, the last; None = never synced.
        newest_us: when it was recorded.
        tries: newest first, at most `HISTORY_MAX`.
    """

    newest: FeedSynced | None = None
    newest_us: int = 0
    tries: tuple[Sync, ...] = ()


def evolve(log: FeedLog, recorded: Recorded) -> FeedLog:
    """The log after one more event of this feed; other events change nothing."""
    match recorded.event:
        case FeedSyncStarted() as started:
            one = Sync(at_us=recorded.ts_us, actor=recorded.actor, started=started)
            return replace(log, tries=(one, *log.tries)[:HISTORY_MAX])
        case FeedSynced() as synced:
            log = replace(log, newest=synced, newest_us=recorded.ts_us)
            return _ended(log, ended_us=recorded.ts_us, synced=synced)
        case FeedSyncFailed() as failed:
            return _ended(log, ended_us=recorded.ts_us, failed=failed)
        case _:
            return log


def _ended(log: FeedLog, **how: Any) -> FeedLog:
    if not log.tries:  # an end without a beginning is not written by us, and shown by nobody
        return log
    return replace(log, tries=(replace(log.tries[0], **how), *log.tries[1:]))
