"""One sync seen from the server: what the process is told to do, and what its answer comes to."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from engine.adapters.feeds_dir import INDEX
from engine.adapters.references import secret_from
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.feed_events import FeedSynced
from engine.core.feeds import dated, is_url, loss
from engine.evidence.foreign_key import parse_key
from engine.feeds_flow import checked_by
from engine.feeds_job import Job, Taken
from engine.inputs.feeds_unpack import FeedLimits
from engine.settings import FeedOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants synced.

    Attributes:
        names: of feeds; empty = all that have a source.
        origin: address to take them from instead of the configured ones; with several names it has
            a folder per feed, as the folder of the settings has.
        ecosystems: of OSV and GHSA, with `origin`.
        full: fetch everything anew, whatever is here.
        accept_loss: take it also when it holds much less, or is older, than what is here.
    """

    names: tuple[str, ...] = ()
    origin: str = ""
    ecosystems: tuple[str, ...] = ()
    full: bool = False
    accept_loss: bool = False

    @property
    def chosen(self) -> bool:
        return bool(self.origin) or self.accept_loss


def job_for(
    origin: FeedOrigin,
    wish: Wish,
    before: FeedSynced | None,
    *,
    previous: str,
    home: Path,
    into: Path,
    asked_s: int,
    limits: FeedLimits,
) -> Job:
    """Args:
        previous: path of the snapshot of `before`; empty without.

    Raises:
        AdapterFailed: the token cannot be read.
    """
    key = parse_key(origin.key.encode(), where="key").name if origin.key else ""
    checked = checked_by(origin.manifest, key) if origin.manifest else ""
    # What another source gave is never gone on from: it may differ under the same dates.
    go_on = (
        before is not None
        and before.source == origin.address
        and before.checked_by == checked
        and not wish.full
    )
    token = secret_from(origin.token, home, os.environ, what="token")() if origin.token else ""
    return Job(
        name=origin.name,
        address=origin.address,
        ecosystems=origin.ecosystems,
        manifest=origin.manifest,
        key=origin.key,
        token=token,
        pause_ms=origin.pause_ms,
        index=_index(origin.address),
        previous=previous,
        go_on=go_on,
        validators=before.validators if before is not None and go_on else (),
        into=str(into),
        asked_s=asked_s,
        limits=limits,
    )


def _index(address: str) -> str:
    """The folder whose index dates the files; empty when there is none."""
    if is_url(address):
        return ""
    folders = (Path(address), Path(address).parent)
    return next((str(one) for one in folders if (one / INDEX).is_file()), "")


def event_of(
    taken: Taken, job: Job, before: FeedSynced | None, wish: Wish, *, took_ms: int
) -> FeedSynced:
    """The event that brings what was taken into force.

    Raises:
        Refused: it holds much less, or is older, than what is here, and nobody accepted that.
    """
    unchanged = taken.how == "unchanged"
    as_of_s = dated(
        before,
        source=job.address,
        said_s=taken.said_s,
        unchanged=unchanged,
        vouched=taken.vouched,
        asked_s=job.asked_s,
    )
    if unchanged:
        assert before is not None  # nothing can be unchanged without a snapshot
        return replace(
            before,
            source=job.address,
            as_of_s=as_of_s,
            how=taken.how,
            added=0,
            changed=0,
            removed=0,
            bytes_read=taken.bytes_read,
            took_ms=took_ms,
            checked_by=taken.checked_by,
            validators=taken.validators,
        )
    why = loss(before, removed=taken.removed, newest_s=taken.newest_s)
    if why is not None and not wish.accept_loss:
        raise Refused(f"{why} It is taken only with loss accepted.")
    return FeedSynced(
        name=job.name,
        source=job.address,
        digest=Digest.parse(taken.digest),
        as_of_s=as_of_s,
        newest_s=taken.newest_s,
        how=taken.how,
        records=taken.records,
        added=taken.added,
        changed=taken.changed,
        removed=taken.removed,
        withdrawn=taken.withdrawn,
        unreadable=taken.unreadable,
        problems=taken.problems,
        bytes_read=taken.bytes_read,
        took_ms=took_ms,
        checked_by=taken.checked_by,
        validators=taken.validators,
    )
