"""What pages, API and command line tell about the feeds: each against its limits, and its history.

The limits are those of the policies in force, so that what is shown here is what the gate will say.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from engine.asker import LOCAL_ADMIN, Asker, actors_of
from engine.child import Progress
from engine.core.errors import Malformed
from engine.core.feeds import (
    LEVELS,
    NAMES,
    AgeLimits,
    FeedLog,
    Freshness,
    Sync,
    freshness,
    limits_of,
    tightest,
)
from engine.core.feeds_timing import FeedTiming, next_us, overdue_us
from engine.core.local_time import utc_text
from engine.core.statemachine import Role
from engine.feeds_desk import FeedDesk, Who
from engine.ports import FeedSnapshot
from engine.settings import FeedOrigin, Settings
from engine.verdicts import PolicyDesk

# How a try ended, in words for people and programs.
NEW, NOTHING_NEW, FAILED = "NEW DATA", "NOTHING NEW", "FAILED"
UNDER_WAY, INTERRUPTED = "UNDER WAY", "INTERRUPTED"

NOT_SCHEDULED: Final = "not scheduled"
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """One feed as it stands now.

    Attributes:
        as_of_s, digest: of the snapshot in force; None and empty when there is none.
        kept: `synced`, `folder` (put there by hand), or empty without a snapshot.
        source: where it came from, or would come from.
        configured: a source is named in the settings.
        records, withdrawn, unreadable: None when they were never counted.
        tried: the newest try; None when there was none.
        next_sync: how it is synced by itself, in words; `next_sync_us`: when next, None for one
            that nobody syncs by itself, or that is under way.
        overdue: since when a sync should have brought an answer, in words; empty when none should.
    """

    name: str
    word: Freshness
    level: str
    as_of_s: int | None
    age_s: int | None
    limits: AgeLimits | None
    digest: str
    kept: str
    source: str
    configured: bool
    records: int | None
    withdrawn: int | None
    unreadable: int | None
    problems: tuple[str, ...]
    checked_by: str
    tried: Try | None
    progress: Progress | None
    next_sync: str
    next_sync_us: int | None = None
    overdue: str = ""

    @property
    def failing(self) -> str:
        """Why the newest try brought nothing; empty when it did."""
        return self.tried.text if self.tried and self.tried.word in {FAILED, INTERRUPTED} else ""

    def document(self) -> dict[str, Any]:
        document = asdict(self)
        document["word"] = self.word.value
        document["tried"] = None if self.tried is None else self.tried.document()
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One sync in the history.

    Attributes:
        word: NEW DATA, NOTHING NEW, FAILED, UNDER WAY or INTERRUPTED.
        text: what it brought or why it brought nothing, in one sentence.
        code: of a failure, for programs; else empty.
        digest: of the snapshot that was in force after it; empty when it changed nothing.
        took_ms: None while it is under way, and for one that was interrupted.
    """

    name: str
    at_us: int
    by: str
    source: str
    word: str
    text: str
    code: str
    digest: str
    as_of_s: int | None
    took_ms: int | None
    bytes_read: int | None
    problems: tuple[str, ...]
    checked_by: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """Attributes:
    rows: by name; every feed that is there, configured, tried or named by a policy.
    trouble: why the snapshots in force cannot be read, naming file and field; empty else.
    """

    rows: tuple[FeedRow, ...]
    trouble: str = ""

    def row(self, name: str) -> FeedRow | None:
        return next((one for one in self.rows if one.name == name), None)


def look(desk: FeedDesk, policies: PolicyDesk, settings: Settings, *, now_s: int) -> Feeds:
    """Every feed as it stands at `now_s` (UTC seconds)."""
    configs = [
        policies.compiled(policies.policy_digest(environment)).policy.config
        for environment in settings.environments
    ]
    trouble, snapshots = "", {}
    try:
        snapshots = {one.name: one for one in desk.snapshots()}
    except Malformed as error:
        trouble = str(error)
    logs, running, origins = desk.logs(), desk.running(), desk.origins()
    rows = []
    for name in NAMES:
        limits = tightest(limits_of(config, name) for config in configs)
        log, origin, snapshot = logs[name], origins.get(name), snapshots.get(name)
        if snapshot or log.tries or origin or limits or name in running:
            rows.append(_row(name, snapshot, log, origin, limits, running.get(name), desk, now_s))
    return Feeds(rows=tuple(rows), trouble=trouble)


def history(desk: FeedDesk, name: str = "") -> tuple[Try, ...]:
    """Every try that is kept, of one feed or of all, newest first."""
    logs, running = desk.logs(), desk.running()
    tries = [
        _try(one, name=of, newest=number == 0, running=of in running)
        for of, log in logs.items()
        if name in {"", of}
        for number, one in enumerate(log.tries)
    ]
    return tuple(sorted(tries, key=lambda one: -one.at_us))


def who(settings: Settings, asker: Asker) -> Who:
    """Somebody with all the roles that they have in any environment."""
    roles: frozenset[Role] = frozenset()
    for actor in actors_of(settings, asker):
        roles |= actor.roles
    local = asker.user == LOCAL_ADMIN
    return Who(user=asker.user, roles=roles, local=local, limits=asker.limits)


def _row(
    name: str,
    snapshot: FeedSnapshot | None,
    log: FeedLog,
    origin: FeedOrigin | None,
    limits: AgeLimits | None,
    progress: Progress | None,
    desk: FeedDesk,
    now_s: int,
) -> FeedRow:
    synced = log.newest
    as_of_s = None if snapshot is None else snapshot.as_of_s
    word = freshness(as_of_s, limits, now_s=now_s)
    source = str(desk.folder)
    if origin is not None:
        source = origin.address
    elif synced is not None:
        source = synced.source
    kept = "" if snapshot is None else ("folder" if synced is None else "synced")
    newest = log.tries[0] if log.tries else None
    timing = None if origin is None else origin.timing
    due_us = None if timing is None else next_us(timing, log, now_us=now_s * _US)
    return FeedRow(
        name=name,
        word=word,
        level=LEVELS[word],
        as_of_s=as_of_s,
        age_s=None if as_of_s is None else max(0, now_s - as_of_s),
        limits=limits,
        digest="" if snapshot is None else str(snapshot.digest),
        kept=kept,
        source=source,
        configured=origin is not None,
        records=None if synced is None else synced.records,
        withdrawn=None if synced is None else synced.withdrawn,
        unreadable=None if synced is None else synced.unreadable,
        problems=() if synced is None else synced.problems,
        checked_by="" if synced is None else synced.checked_by,
        tried=None
        if newest is None
        else _try(newest, name=name, newest=True, running=progress is not None),
        progress=progress,
        next_sync=NOT_SCHEDULED if timing is None else str(timing),
        next_sync_us=None if progress is not None else due_us,
        overdue="" if timing is None else overdue(timing, log, now_us=now_s * _US),
    )


def overdue(timing: FeedTiming, log: FeedLog, *, now_us: int) -> str:
    """That an answer is overdue, and since when, in words; empty when it is not."""
    since_us = overdue_us(timing, log, now_us=now_us)
    return "" if since_us is None else f"overdue since {utc_text(since_us)}"


def _try(one: Sync, *, name: str, newest: bool, running: bool) -> Try:
    word, text, code = _outcome(one, running=newest and running)
    synced, failed = one.synced, one.failed
    took_ms = synced.took_ms if synced else failed.took_ms if failed else None
    return Try(
        name=name,
        at_us=one.at_us,
        by=one.actor,
        source=one.started.source,
        word=word,
        text=text,
        code=code,
        digest=str(synced.digest) if synced else "",
        as_of_s=synced.as_of_s if synced else None,
        took_ms=took_ms,
        bytes_read=synced.bytes_read if synced else None,
        problems=synced.problems if synced and synced.how != "unchanged" else (),
        checked_by=synced.checked_by if synced else "",
    )


def _outcome(one: Sync, *, running: bool) -> tuple[str, str, str]:
    if one.failed is not None:
        return FAILED, one.failed.reason, one.failed.code
    synced = one.synced
    if synced is None:
        if running:
            return UNDER_WAY, "It is under way.", ""
        text = "The engine ended before it did; nothing of it was taken."
        return INTERRUPTED, text, "interrupted"
    if synced.how == "unchanged":
        return NOTHING_NEW, f"The source has nothing new; {synced.records:,} records.", ""
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (synced.added, "added"),
            (synced.changed, "changed"),
            (synced.removed, "removed"),
        )
        if count
    ]
    changes = ", ".join(parts) or "no record changed"
    also = f", {synced.unreadable:,} unreadable" if synced.unreadable else ""
    taken = "fetched whole" if synced.how == "full" else "only the difference fetched"
    accepted = ", loss accepted" if one.started.accept_loss else ""
    return NEW, f"{synced.records:,} records: {changes}{also}; {taken}{accepted}.", ""
