"""The contract of `ports_notified.Notifier`, sentence by sentence, over every adapter of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.adapters.guarded_http import GuardedHttp
from engine.core.outbound import Allowed
from engine.ports_notified import Letter, Notifier
from tests.hooks.receiver import BIG, DRIP, HANG, RESET, TRUNCATE, Receiver, receiving

DEADLINE_S = 0.5


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture(params=["guarded-http"])
def notifier(request: pytest.FixtureRequest) -> Notifier:
    made: dict[str, Notifier] = {
        "guarded-http": GuardedHttp(Allowed(hosts=frozenset({"127.0.0.1"}))),
    }
    return made[request.param]


def letter(url: str) -> Letter:
    return Letter(url=url, headers={"webhook-id": "m-1", "X-Secret": "hush"}, body=b"the body")


def test_it_is_posted_once_as_it_is(notifier: Notifier, receiver: Receiver) -> None:
    answer = notifier.deliver(letter(receiver.url), deadline_s=5)
    assert (answer.status, answer.note, answer.final) == (200, "said by the receiver", False)
    (got,) = receiver.got
    assert (got.path, got.body, got.id) == ("/in", b"the body", "m-1")


@pytest.mark.parametrize("way", [HANG, RESET, TRUNCATE, DRIP])
def test_no_whole_answer_is_no_answer_and_comes_in_time(
    notifier: Notifier, receiver: Receiver, way: str
) -> None:
    receiver.always = way
    answer = notifier.deliver(letter(receiver.url), deadline_s=DEADLINE_S)
    assert answer.status == 0 and answer.note and not answer.final
    assert ("no answer within" in answer.note) == (way in {HANG, DRIP}), answer.note
    assert "hush" not in answer.note and "the body" not in answer.note


def test_a_long_answer_is_cut(notifier: Notifier, receiver: Receiver) -> None:
    receiver.always = BIG
    answer = notifier.deliver(letter(receiver.url), deadline_s=10)
    assert answer.status == 200 and len(answer.note) <= 300


@pytest.mark.parametrize("status", [204, 302, 404, 410, 429, 500, 503])
def test_every_status_is_an_answer_and_no_redirect_is_followed(
    notifier: Notifier, receiver: Receiver, status: int
) -> None:
    receiver.always = (status, {"Location": f"{receiver.url}/other", "Retry-After": "7"})
    answer = notifier.deliver(letter(receiver.url), deadline_s=5)
    assert (answer.status, answer.retry_after_s, answer.final) == (status, 7, False)
    assert len(receiver.got) == 1


def test_nobody_there_is_an_answer_too(notifier: Notifier, receiver: Receiver) -> None:
    with receiving() as gone:
        url = gone.url
    answer = notifier.deliver(letter(url), deadline_s=5)
    assert answer.status == 0 and "cannot be reached" in answer.note and not answer.final


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "http://10.0.0.1/", "nonsense"])
def test_an_address_that_may_not_be_asked_is_final(notifier: Notifier, url: str) -> None:
    answer = notifier.deliver(letter(url), deadline_s=5)
    assert answer.status == 0 and answer.final
