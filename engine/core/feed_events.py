"""Facts about advisory feeds: who asked for a sync, what it brought, or why it brought nothing.

They live in the stream `feeds`, for every feed together. The newest `FeedSynced` of a feed names
the snapshot that decisions are made on: the old one is replaced at the moment of its append.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.core.digest import Digest

FEEDS = "feeds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """What a server said of one file, to ask "has it changed?" next time (RFC 9110, 8.8).

    `place` is below the feed's address; `etag` or `modified` may be empty, not both.
    """

    place: str
    etag: str
    modified: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSyncStarted:
    """Attributes:
    source: address or folder, without any secret in it.
    accept_loss: taken also when it holds much less, or is older, than what is here.
    """

    TYPE: ClassVar = "feed.sync_started/1"
    name: str
    source: str
    accept_loss: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSynced:
    """Attributes:
    digest: of the snapshot's bytes, which are a blob of that name.
    as_of_s: UTC seconds up to which the source is known (`engine.core.feeds.dated`).
    newest_s: UTC seconds of the newest date inside the data; 0 = they carry none.
    how: `full`, `incremental` or `unchanged`.
    added, changed, removed: records, against the snapshot before.
    withdrawn: how many of `records` were withdrawn by their publisher.
    unreadable: how many files or rows could not be read; `problems` names the first of them.
    checked_by: the list of digests, and the key, that vouch for the files; empty without.
    """

    TYPE: ClassVar = "feed.synced/1"
    name: str
    source: str
    digest: Digest
    as_of_s: int
    newest_s: int
    how: str
    records: int
    added: int
    changed: int
    removed: int
    withdrawn: int
    unreadable: int
    problems: tuple[str, ...]
    bytes_read: int
    took_ms: int
    checked_by: str = ""
    validators: tuple[Validator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSyncFailed:
    """Nothing was taken: the snapshot before, if there is one, stays in force.

    `code` is a word for programs: `unreachable`, `malformed`, `unverified`, `loss`, `stopped`.
    """

    TYPE: ClassVar = "feed.sync_failed/1"
    name: str
    source: str
    code: str
    reason: str
    took_ms: int
