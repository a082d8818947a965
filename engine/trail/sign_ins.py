"""Failed sign-ins on record, a flood of them as a number (`engine.core.sign_ins`)."""

from __future__ import annotations

import logging
import re
import threading
from typing import Final

from engine.core import sign_ins
from engine.core.audit import UNKNOWN
from engine.core.audit_events import SignInFailed
from engine.core.errors import Conflict, StorageFull
from engine.core.house import ADMIN
from engine.core.sign_ins import Tally
from engine.ports import Clock, EventStore
from engine.recording import append_to

_log = logging.getLogger(__name__)

_TOKEN: Final = re.compile(r"rl_([0-9a-f]{8})_.+", re.ASCII)
_REASON_MAX: Final = 300


class FailedSignIns:
    """Thread-safe. What is only counted so far is lost when the process is killed."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._tallies: dict[tuple[str, str], Tally] = {}

    def note(self, *, method: str, code: str, reason: str, secret: str, address: str) -> None:
        """Somebody's proof was not good.

        Args:
            method: link, session, token, oidc, or none.
            secret: what was shown; only a token's id is taken from it.
            address: of the network that they came from.
        """
        now_us = self._clock.now_us()
        one = SignInFailed(
            method=method,
            credential=token_id(secret) if method == "token" else "",
            code=code,
            reason=reason[:_REASON_MAX],
            count=1,
            first_us=now_us,
            last_us=now_us,
            address=address,
        )
        with self._lock:
            tally, due = sign_ins.tried(self._tallies.get((method, code)), one)
            self._tallies[method, code] = tally
        self._record(due)

    def flush(self) -> None:
        """For the alarm clock: record what was counted in windows that are over."""
        self._end(everything=False)

    def stop(self) -> None:
        self._end(everything=True)

    def _end(self, *, everything: bool) -> None:
        now_us = self._clock.now_us()
        with self._lock:
            ended = [
                key
                for key, tally in self._tallies.items()
                if everything or sign_ins.over(tally, now_us)
            ]
            waiting = [self._tallies.pop(key).waiting for key in ended]
        self._record(tuple(one for one in waiting if one is not None))

    def _record(self, due: tuple[SignInFailed, ...]) -> None:
        for one in due:
            try:
                append_to(self._store, ADMIN, one, actor=UNKNOWN)
            except (Conflict, StorageFull) as trouble:
                _log.warning("a failed sign-in could not be recorded: %s", trouble)


def token_id(secret: str) -> str:
    """The id in what looks like one of our tokens; empty for anything else."""
    found = _TOKEN.fullmatch(secret)
    return found[1] if found else ""
