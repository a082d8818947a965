"""Opening the log of a home by its settings: what has to fit, and a rotation to be recorded."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engine.core.errors import LogForked, UnsafeConfig
from engine.keystore import Keys
from engine.logbook import LogBook, open_log
from engine.ports import Clock, EventStore
from engine.settings import Settings
from engine.transparency_shard import engine_identity, settle

_log = logging.getLogger(__name__)


def check_origin(settings: Settings, origins: Sequence[str]) -> None:
    """The settings name the log of this home, or one that it grew out of by a rotation."""
    if settings.evidence.log_origin not in origins:
        raise UnsafeConfig(
            f"evidence.log_origin: expected {origins[-1]!r}, which this home's keys were made "
            f"for, found {settings.evidence.log_origin!r}"
        )


def logbook_of(settings: Settings, store: EventStore, keys: Keys, clock: Clock) -> LogBook:
    """The home's log; a rotation that is not on record yet is put there."""
    evidence = settings.evidence
    book = open_log(settings.home, store, keys, issuer=evidence.issuer)
    settle(
        store, book.log, keys,
        base=evidence.base_uri, identity=engine_identity(evidence.base_uri),
        now_us=clock.now_us(),
    )  # fmt: skip
    return book


def head_or_nothing(logbook: LogBook) -> tuple[str, int, str]:
    """A log that may not grow does not keep the house closed: it is to be looked into from here."""
    try:
        return logbook.now()
    except LogForked as forked:
        _log.error("%s", forked)
        return "", 0, ""
