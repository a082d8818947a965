"""Taking the feeds to a home that no network reaches: exporting what is in force, and importing it.

An import is checked in a process of its own and comes into force with one append, all of it or
nothing. Only our own key, and keys that the settings name, are believed.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.child import Child, ChildEnded, Progress
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.errors import Conflict, Malformed, NotFound, Refused, ReleaselineError, Unverified
from engine.core.events import Event
from engine.core.feed_events import FEEDS, FeedSynced, FeedSyncStarted
from engine.core.feeds import NAMES, ahead, downgrade, loss, refusal
from engine.core.scopes import SYNC_FEEDS
from engine.core.scopes import refusal as beyond
from engine.evidence.feeds_seal import FeedsSigner
from engine.evidence.pack import BYTES_MAX
from engine.feeds_desk import FeedDesk, Who
from engine.feeds_file import write_feeds
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.settings import FeedsConfig
from engine.trail.denials import admit, denied

DEADLINE_S: Final = 110.0  # an answer over HTTP has to begin within two minutes
# What a pack may hold, and its frame.
FILE_BYTES_MAX: Final = BYTES_MAX + 1024 * 1024
_PROBLEMS_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """`taken`: what came into force, by name; `known`: feeds of which nothing in it is new."""

    signed_by: str
    taken: tuple[FeedSynced, ...]
    known: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "signed_by": self.signed_by,
            "taken": [
                {
                    "name": one.name,
                    "digest": str(one.digest),
                    "as_of_s": one.as_of_s,
                    "records": one.records,
                    "added": one.added,
                    "changed": one.changed,
                    "removed": one.removed,
                    "source": one.source,
                }
                for one in self.taken
            ],
            "known": list(self.known),
        }


class FeedFiles:
    """Thread-safe.

    Args:
        signer: of this home.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        desk: FeedDesk,
        config: FeedsConfig,
        home: Path,
        signer: FeedsSigner,
    ) -> None:
        self._store, self._clock, self._desk = store, clock, desk
        self._config, self._signer = config, signer
        self._incoming = home / "incoming"

    @property
    def key(self) -> str:
        """PEM of the public key that this home's files are signed with."""
        return self._signer.pem

    def export(self) -> bytes:
        """The snapshots in force as one signed file; the same ones give the same bytes.

        Raises:
            NotFound: there is no snapshot.
            Malformed: the snapshots cannot be read, or are too large for one file.
        """
        snapshots = self._desk.snapshots()
        if not snapshots:
            raise NotFound("There is no snapshot of any feed here to export.")
        logs = self._desk.logs()
        sources = {name: log.newest.source for name, log in logs.items() if log.newest is not None}
        return write_feeds(snapshots, sources, self._signer)

    def why_not(self, who: Who, *, accept_loss: bool) -> Refusal | None:
        """Why this person may not import; None when they may."""
        return beyond(who.limits, who.user, SYNC_FEEDS) or refusal(
            who.roles, local=who.local, chosen=accept_loss
        )

    def take_in(
        self,
        content: bytes,
        who: Who,
        *,
        name: str = "feeds",
        accept_loss: bool = False,
        command_id: str = "",
    ) -> Imported:
        """Check a file, and bring what is new in it into force.

        Args:
            name: of the file, for sentences.
            accept_loss: also where a snapshot is older, or holds much less, than the one in force.

        Raises:
            Refused: not allowed, or a snapshot is older, or holds much less. It is on record.
            Unverified: no trusted key signed it, or it is not what was signed. It is on record.
            Malformed: it is no such file, or holds something that cannot be read.
            Conflict: a sync is under way.
        """
        why = self.why_not(who, accept_loss=accept_loss)
        digest = str(Digest.of(content))
        attempt: dict[str, Any] = {"action": SYNC_FEEDS, "subject": digest, "override": accept_loss}
        admit(self._store, why, user=who.user, **attempt)
        folder = self._incoming / secrets.token_hex(8)
        try:
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(content)
            with self._desk.taking(NAMES):
                rows, signed_by = self._checked(folder, name)
                return self._take(rows, signed_by, folder, who, accept_loss, command_id)
        except (Unverified, Refused) as error:
            code = error.code if isinstance(error, Refused) else "unverified"
            denied(self._store, user=who.user, code=code, reason=str(error), **attempt)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _checked(self, folder: Path, name: str) -> tuple[list[dict[str, Any]], str]:
        """What is in the file, counted; its snapshots lie in `folder` by name."""
        logs = self._desk.logs()
        held = {one: log.newest for one, log in logs.items() if log.newest is not None}
        job = {
            "file": str(folder / "file"),
            "name": name,
            "keys": [self._signer.pem, *self._config.import_keys],
            "previous": {
                one: str(self._store.blobs.path(newest.digest)) for one, newest in held.items()
            },
            "into": str(folder),
        }
        child = Child("engine.feeds_file_child", deadline_s=DEADLINE_S)
        rows: list[dict[str, Any]] = []
        try:
            with closing(child.talk(json.dumps(job), _nobody)) as said:
                for document in said:
                    if "failed" in document:
                        raise _failed(document, name)
                    if "signed_by" in document:
                        return rows, str(document["signed_by"])
                    rows.append(document["snapshot"])
        except ChildEnded as ended:
            raise Conflict(f"The file could not be checked: {ended}") from None
        raise AssertionError("a process that ends early raises")

    def _take(
        self,
        rows: Sequence[dict[str, Any]],
        signed_by: str,
        folder: Path,
        who: Who,
        accept_loss: bool,
        command_id: str,
    ) -> Imported:
        in_force = {one.name: one for one in self._desk.snapshots()}
        logs = self._desk.logs()
        now_s = self._clock.now_us() // 1_000_000
        against: list[str] = []
        taken: list[FeedSynced] = []
        known: list[str] = []
        for row in rows:
            name, as_of_s = row["name"], row["as_of_s"]
            held, newest = in_force.get(name), logs[name].newest
            if held is not None and (str(held.digest), held.as_of_s) == (row["digest"], as_of_s):
                known.append(name)
                continue
            wrong = ahead(name, as_of_s=as_of_s, now_s=now_s)
            if wrong is not None:
                raise Refused(wrong, code="date")
            in_force_s = None if held is None else held.as_of_s
            less = loss(newest, removed=row["removed"], newest_s=row["newest_s"])
            why = downgrade(name, as_of_s=as_of_s, in_force_s=in_force_s)
            against += [one for one in (why, None if less is None else f"{name}: {less}") if one]
            taken.append(_event(row, signed_by))
        if against and not accept_loss:
            told = " ".join(against)
            raise Refused(f"{told} It is taken only with loss accepted.", code="loss")
        for one in taken:
            self._store.blobs.put((folder / one.name).read_bytes())
        events: list[Event] = []
        for one in taken:
            started = FeedSyncStarted(name=one.name, source=one.source, accept_loss=accept_loss)
            events += [started, one]
        append_to(self._store, FEEDS, *events, actor=who.user, command_id=command_id)
        return Imported(signed_by=signed_by, taken=tuple(taken), known=tuple(known))


def _event(row: dict[str, Any], signed_by: str) -> FeedSynced:
    source = f"file of {row['source']}" if row["source"] else "file"
    return FeedSynced(
        name=row["name"],
        source=source,
        digest=Digest.parse(row["digest"]),
        as_of_s=row["as_of_s"],
        newest_s=row["newest_s"],
        how="full",
        records=row["records"],
        added=row["added"],
        changed=row["changed"],
        removed=row["removed"],
        withdrawn=row["withdrawn"],
        unreadable=len(row["problems"]),
        problems=tuple(row["problems"][:_PROBLEMS_NAMED]),
        bytes_read=row["size"],
        took_ms=0,
        checked_by=f"signature of {signed_by}",
    )


def _failed(document: dict[str, Any], name: str) -> ReleaselineError:
    if document["code"] == "unverified":
        return Unverified(document["failed"], check="feeds.file", file=name)
    where, _, said = str(document["failed"]).partition(": ")
    return Malformed(said or where, where=where if said else name)


def _nobody(_progress: Progress) -> None:
    """Whoever imports waits for the answer."""
