"""One sync of one feed, as the server hands it to the process that does it, and what comes back.

Both travel as one line of JSON, so that neither process needs anything of the other's memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.core.feed_events import Validator
from engine.inputs.feeds_unpack import FeedLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Attributes:
    address: of the feed's own folder or file; a folder on this machine, or http(s).
    ecosystems: of an OSV layout; empty = all that the mirror has.
    manifest: path below the address of the list of digests; empty = there is none.
    key: PEM of the public key that the list is signed with; empty = it is not signed.
    token: the secret itself; it is never written anywhere.
    index: folder with the index that may date this one; empty without.
    previous: path of the snapshot in force; empty when there is none.
    go_on: `previous` is from the same source, so that only the difference need be fetched.
    validators: of the sync that made `previous`; only with `go_on`.
    into: path that the new snapshot is written to.
    asked_s: this moment, UTC seconds.
    """

    name: str
    address: str
    ecosystems: tuple[str, ...] = ()
    manifest: str = ""
    key: str = ""
    token: str = ""
    pause_ms: int = 0
    index: str = ""
    previous: str = ""
    go_on: bool = False
    validators: tuple[Validator, ...] = ()
    into: str
    asked_s: int
    limits: FeedLimits = field(default_factory=FeedLimits)

    def line(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def read(line: str) -> Job:
        document: dict[str, Any] = json.loads(line)
        return Job(
            **{
                **document,
                "ecosystems": tuple(document["ecosystems"]),
                "validators": tuple(Validator(**one) for one in document["validators"]),
                "limits": FeedLimits(**document["limits"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a sync found. The snapshot lies at `Job.into`.

    When `how` is `unchanged` there is none, and nothing is counted: what holds is what held before.

    Attributes:
        digest: of the snapshot, `sha256:...`.
        said_s: the newest date that the source gave; `newest_s`: the newest one inside the data.
        vouched: the source itself answered, and not a copy of it.
    """

    how: str
    bytes_read: int
    vouched: bool
    digest: str = ""
    said_s: int = 0
    newest_s: int = 0
    records: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    withdrawn: int = 0
    unreadable: int = 0
    problems: tuple[str, ...] = ()
    checked_by: str = ""
    validators: tuple[Validator, ...] = ()

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def read(document: Mapping[str, Any]) -> Taken:
        return Taken(
            **{
                **document,
                "problems": tuple(document["problems"]),
                "validators": tuple(Validator(**one) for one in document["validators"]),
            }
        )
