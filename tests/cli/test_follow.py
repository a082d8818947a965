"""Following a run over lost connections: nothing is missed, nothing comes twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from engine.cli import follow as following
from engine.cli.exits import Ended
from engine.cli.follow import follow, wait

pytestmark = pytest.mark.house

LOG = [
    {"seq": 1, "kind": "run.requested/1"},
    {"seq": 2, "kind": "step.started/1"},
    {"seq": 3, "kind": "run.paused/1"},
    {"seq": 4, "kind": "run.resumed/1"},
    {"seq": 5, "kind": "run.succeeded/1"},
]


class _Server:
    """A door to a server that breaks off after `lengths` events, one number per connection.

    A negative number is a connection that is not even made.
    """

    def __init__(self, *lengths: int, status: Callable[[int], str] | None = None) -> None:
        self._lengths = list(lengths)
        self._status = status or (lambda seen: "SUCCEEDED" if seen >= len(LOG) else "RUNNING")
        self._seen = 0
        self.asked: list[int] = []

    @contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> Iterator[httpx.Response]:
        assert path == "/runs/run-1/events"
        assert headers["Accept"] == "text/event-stream"
        length = self._lengths.pop(0) if self._lengths else -1
        if length < 0:
            raise httpx.ConnectError("refused")
        after = int(headers["Last-Event-ID"])
        self.asked.append(after)
        events = [e for e in LOG if e["seq"] > after][:length]

        def body() -> Iterator[bytes]:
            yield b": still here\n\n"
            for event in events:
                self._seen = max(self._seen, int(str(event["seq"])))
                yield f"id: {event['seq']}\nevent: x\ndata: {json.dumps(event)}\n\n".encode()
            if self._seen == len(LOG):
                yield b"event: end\ndata: {}\n\n"
                return
            raise httpx.ReadError("broken off")

        yield httpx.Response(200, content=body())

    def get(self, path: str, **params: Any) -> Any:
        return {"status": self._status(self._seen), "version": 1, "bundle": "b", "steps": []}

    def renew(self) -> None:
        pass


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(following, "_RETRY_MAX_S", 0.01)


@pytest.mark.parametrize("lengths", [(5,), (1, 1, 1, 1, 1), (2, -1, 0, -1, -1, 3), (0, 0, 5)])
def test_each_event_once_and_in_order(lengths: tuple[int, ...]) -> None:
    server = _Server(*lengths)
    assert list(follow(server, "run-1")) == LOG
    assert server.asked == sorted(server.asked)


def test_behind_a_number() -> None:
    assert [e["seq"] for e in follow(_Server(5), "run-1", after=3)] == [4, 5]


def test_a_server_that_stays_away_is_75() -> None:
    with pytest.raises(Ended) as caught:
        list(follow(_Server(2), "run-1", away_max_s=0.1))
    assert caught.value.code == 75
    assert "run-1 goes on" in caught.value.message


def test_the_deadline_is_124() -> None:
    with pytest.raises(Ended) as caught:
        list(follow(_Server(1), "run-1", deadline_s=time.monotonic() + 0.1))
    assert caught.value.code == 124
    assert "run-1 goes on" in caught.value.message


def test_waiting_ends_where_a_person_is_needed() -> None:
    told: list[int] = []
    server = _Server(3, 5, status=lambda seen: "PAUSED" if seen == 3 else "RUNNING")
    found = wait(server, "run-1", timeout_s=None, told=lambda e: told.append(e["seq"]))
    assert found["status"] == "PAUSED"
    assert told == [1, 2, 3]


def test_waiting_goes_to_the_end_over_a_restart() -> None:
    told: list[int] = []
    server = _Server(2, -1, -1, 5)
    found = wait(server, "run-1", timeout_s=5, told=lambda e: told.append(e["seq"]))
    assert found["status"] == "SUCCEEDED"
    assert told == [1, 2, 3, 4, 5]


def test_a_run_that_has_ended_needs_no_stream() -> None:
    server = _Server(status=lambda _: "ROLLED_BACK")
    assert wait(server, "run-1", timeout_s=1, told=print)["status"] == "ROLLED_BACK"
    assert server.asked == []
