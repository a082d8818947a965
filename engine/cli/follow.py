"""Following a run: its facts as they are recorded, over restarts of the server.

The stream's ids are the events' sequence numbers, so a lost connection goes on behind the last
one that was seen; nothing is missed and nothing comes twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import httpx

from engine.cli.door import Door
from engine.cli.exits import TIMEOUT, UNREACHABLE, Ended, of_problem

Event: TypeAlias = Mapping[str, Any]

# The server sends a sign of life every 15 s; a longer silence is a lost connection.
_SILENCE_S: Final = 25.0
_RETRY_FIRST_S: Final = 0.2
_RETRY_MAX_S: Final = 2.0
# A restart with recovery is done long before.
AWAY_MAX_S: Final = 60.0
_TERMINAL: Final = frozenset(
    {"SUCCEEDED", "REJECTED", "FAILED", "EXPIRED", "CANCELLED", "ROLLED_BACK"}
)
# Here a run waits for a person; whoever waits for the run should hear of it.
_STOPPED: Final = frozenset({"PAUSED", "ROLLBACK_FAILED"})


def follow(
    door: Door,
    run_id: str,
    *,
    after: int = 0,
    deadline_s: float | None = None,
    away_max_s: float = AWAY_MAX_S,
) -> Iterator[Event]:
    """The run's events behind `after`, each as it comes, until its last one.

    Args:
        deadline_s: monotonic time at which to give up; the run goes on.

    Raises:
        Ended: 124 at the deadline, 75 when the server stays away, or what the API said.
    """
    retry_s, contact_s = _RETRY_FIRST_S, time.monotonic()
    while True:
        try:
            with door.stream(
                f"/runs/{run_id}/events",
                headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
                timeout_s=_patience(run_id, deadline_s),
            ) as answer:
                if not answer.is_success:
                    _refuse(answer)
                for kind, event in _events(answer):
                    retry_s, contact_s = _RETRY_FIRST_S, time.monotonic()
                    if kind == "end":
                        return
                    if kind == "signed_out":
                        break  # asked again, the server says why
                    after = int(event["seq"])
                    yield event
                    _patience(run_id, deadline_s)
        except (httpx.TransportError, _Away):
            pass
        _patience(run_id, deadline_s)
        if time.monotonic() - contact_s > away_max_s:
            raise Ended(
                UNREACHABLE,
                f"The server stayed away for {away_max_s:.0f} s; {run_id} goes on when it is back.",
                hint=f"`releaseline run wait {run_id}` takes up the waiting.",
            )
        time.sleep(retry_s)
        retry_s = min(retry_s * 2, _RETRY_MAX_S)
        try:
            door.renew()
        except Ended:
            continue  # it is not back yet


def wait(
    door: Door,
    run_id: str,
    *,
    timeout_s: float | None,
    told: Callable[[Event], None],
    away_max_s: float = AWAY_MAX_S,
) -> Mapping[str, Any]:
    """Wait until the run has ended or waits for a person; the run as it is then.

    Args:
        told: is given every event on the way.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    run = door.get(f"/runs/{run_id}")
    if _done(run):
        return dict(run)
    known = int(run["version"])
    for event in follow(door, run_id, deadline_s=deadline_s, away_max_s=away_max_s):
        told(event)
        # Only what came behind the state that we saw can have changed it.
        if event["seq"] >= known and str(event["kind"]).startswith("run."):
            run = _look(door, run_id, run)
            if _done(run):
                return dict(run)
    return dict(_look(door, run_id, run))


class _Away(Exception):
    """The server answers, but not for us now."""


def _done(run: Mapping[str, Any]) -> bool:
    return run["status"] in _TERMINAL | _STOPPED


def _look(door: Door, run_id: str, former: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run now; as it was when the server is away at this moment: more events will come."""
    try:
        found: Mapping[str, Any] = door.get(f"/runs/{run_id}")
    except Ended as ended:
        if ended.code != UNREACHABLE:
            raise
        return former
    return found


def _patience(run_id: str, deadline_s: float | None) -> float:
    """How long to wait for the next sign of life. Raises `Ended` at the deadline."""
    if deadline_s is None:
        return _SILENCE_S
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise Ended(
            TIMEOUT,
            f"--timeout reached; {run_id} goes on.",
            hint=f"`releaseline run wait {run_id}` takes up the waiting.",
        )
    return min(_SILENCE_S, left_s)


def _refuse(answer: httpx.Response) -> None:
    answer.read()
    if answer.status_code in {429, 502, 503, 504}:
        raise _Away
    try:
        body = answer.json()
    except ValueError:
        body = None
    raise of_problem(answer.status_code, body)


def _events(answer: httpx.Response) -> Iterator[tuple[str, Event]]:
    """Server-sent events of the answer: their kind and their data."""
    kind, data = "", ""
    for line in answer.iter_lines():
        if not line:
            if data:
                yield kind, json.loads(data)
            kind, data = "", ""
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].strip()
