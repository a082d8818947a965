"""The door for webhooks: who may, what is refused, and what the settings say."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.asker import Asker
from engine.core.errors import Conflict, Malformed, NotFound, Refused
from engine.core.hook_book import Answer, Waiting, after_try, due, judged
from engine.core.hook_events import HOOKS, MessageRef, WebhookSet
from engine.core.hook_rows import DEAD, DELIVERED, HookMessage
from engine.core.house import ADMIN, CommandRejected
from engine.core.webhook_signing import derived, headers, key_of, problem, written
from engine.hooks.desk import HookWish
from engine.settings import WebhookConfig
from tests.hooks.kit import KEY, ROOT, HookHouse

URL = "http://127.0.0.1:9/in"


def test_only_an_admin_changes_anything_and_every_attempt_is_on_record(house: HookHouse) -> None:
    house.add(URL)
    ref = MessageRef(hook="h", gseq=1, idx=0, name="run.paused", stream="run-1", seq=1)
    for user in ("ana", "sam", "audrey", "stranger"):
        who = Asker(user=user)
        for attempt in (
            lambda who=who: house.desk.add(HookWish(name="x", url=URL), who),
            lambda who=who: house.desk.remove("ci", who),
            lambda who=who: house.desk.rotate("ci", who),
            lambda who=who: house.desk.test("ci", who),
            lambda who=who: house.desk.redeliver([ref], who, reason=""),
        ):
            with pytest.raises(Refused, match="needs the role admin"):
                attempt()
    found = [one.event for one in house.real.load(ADMIN)]
    assert len(found) == 20 and all(isinstance(event, CommandRejected) for event in found)
    assert house.desk.why_not(Asker(user="local-admin")) is None


def test_a_secret_is_shown_once_and_stands_nowhere(house: HookHouse, tmp_path: Path) -> None:
    hook, secret = house.add(URL)
    assert key_of(secret, where="") and secret == house.desk._secrets.secret(hook.asked.secret)
    again, shown = house.desk.add(HookWish(name="ci2", url=URL), ROOT, command_id="root/1")
    same, nothing = house.desk.add(HookWish(name="ci2", url=URL), ROOT, command_id="root/1")
    assert shown and nothing == "" and same == again
    with pytest.raises(Conflict):
        house.desk.add(HookWish(name="other", url=URL), ROOT, command_id="root/1")
    house.close()
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            assert secret.removeprefix("whsec_").encode() not in path.read_bytes()


def _at_once(deed: Callable[[int], object]) -> list[object]:
    """What eight people at the same time get; a refusal as its sentence."""

    def one(n: int) -> object:
        try:
            return deed(n)
        except Refused as refused:
            return str(refused)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(8)))


def test_of_many_who_want_a_name_one_gets_it(house: HookHouse) -> None:
    answers = _at_once(lambda n: house.desk.add(HookWish(name="same", url=URL), ROOT))
    assert sum(isinstance(answer, tuple) for answer in answers) == 1
    assert [hook.name for hook in house.real.hooks()] == ["same"]


def test_each_rotation_keeps_the_secret_before_it(house: HookHouse) -> None:
    house.add(URL)
    _at_once(lambda n: house.desk.rotate("ci", ROOT))
    chain = [one.event for one in house.real.load(HOOKS) if isinstance(one.event, WebhookSet)]
    assert len(chain) == 9
    for before, after in pairwise(chain):
        assert after.former == before.secret


def test_what_is_not_as_it_has_to_be_is_said(house: HookHouse) -> None:
    house.add(URL)
    cases: list[tuple[dict[str, object], str]] = [
        ({"name": "Big"}, "name: expected lower-case"),
        ({"events": ("run.pause",)}, "events: expected any of"),
        ({"format": "teams"}, "format: expected cdevents or slack"),
        ({"secret": "hunter2"}, "secret: expected env:NAME or file:PATH"),
        ({"url": "env:URL"}, "url: expected an address; env: and file:"),
        ({"url": "http://elsewhere.example/"}, "url: expected https://"),
    ]
    for fields, said in cases:
        wish = replace(HookWish(name="new", url=URL), **fields)  # type: ignore[arg-type]
        with pytest.raises(Malformed, match=said):
            house.desk.add(wish, ROOT)
    with pytest.raises(NotFound, match="no environment"):
        house.desk.add(HookWish(name="new", url=URL, environments=("mars",)), ROOT)
    with pytest.raises(Refused, match="There is a webhook 'ci' already"):
        house.add(URL)
    with pytest.raises(NotFound):
        house.desk.remove("none", ROOT)
    assert [hook.name for hook in house.desk.hooks()] == ["ci"]


def test_the_settings_are_taken_up_and_changed_there_alone(house: HookHouse) -> None:
    config = WebhookConfig(
        name="metrics", url=URL, secret="env:S", former_secret="", events=(), environments=(),
        format="cdevents",
    )  # fmt: skip
    desk = house.desk

    def says(*configs: WebhookConfig) -> None:
        desk._settings = replace(desk._settings, webhooks=configs)
        desk.take_up_settings()

    says(config)
    first = desk.hook("metrics")
    assert (first.asked.source, first.asked.events, first.by) == ("home", ("*",), "engine")
    version = house.real.version(HOOKS)
    says(config)
    assert house.real.version(HOOKS) == version  # nothing changed, nothing is said
    says(replace(config, events=("run.*",), former_secret="env:OLD"))
    changed = desk.hook("metrics")
    assert changed.id == first.id and changed.asked.events == ("run.*",)
    for attempt in (desk.remove, desk.rotate):
        with pytest.raises(Refused, match=r"stands in releaseline\.yaml"):
            attempt("metrics", ROOT)
    house.add(URL, "mine")
    says()
    assert [hook.name for hook in desk.hooks()] == ["mine"]


def test_a_secret_that_cannot_be_read_is_a_failed_try_that_says_so(house: HookHouse) -> None:
    house.add(URL, secret="env:NOT_THERE")
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(lambda: house.rows()[0]["tries"] == 1)
    assert "env:NOT_THERE" in house.rows()[0]["note"]
    assert house.rows()[0]["outcome"] == "FAILED"


def test_what_is_on_its_way_is_not_sent_again(house: HookHouse) -> None:
    hook, _ = house.add(URL)
    house.desk.test("ci", ROOT)
    (row,) = house.rows()
    ref = MessageRef(hook=hook.id, gseq=row["gseq"], idx=0, name=row["name"],
                     stream=row["stream"], seq=row["seq"])  # fmt: skip
    with pytest.raises(Refused, match="Nothing of it can be sent again"):
        house.desk.redeliver([ref], ROOT, reason="")


# --- pure -------------------------------------------------------------------------------------


def message(n: int, stream: str = "run-1") -> HookMessage:
    return HookMessage(
        hook="h", gseq=n, idx=0, wave=0, name="run.paused", stream=stream, seq=n, ts_us=n
    )


@given(st.lists(st.tuples(st.integers(100, 599), st.integers(0, 9_999)), max_size=8))
def test_a_message_is_tried_at_most_five_times_and_never_after_it_settled(
    answers: list[tuple[int, int]],
) -> None:
    waiting: Waiting | None = Waiting(message=message(1))
    now_us = 0
    for tries, (status, jitter) in enumerate(answers, 1):
        if waiting is None:
            break
        now_us = max(now_us, waiting.due_us)
        tried = judged(waiting, Answer(status=status), now_us=now_us, took_ms=1, jitter_bp=jitter)
        assert tried.n == tries <= 5
        assert (tried.outcome == DELIVERED) == (200 <= status < 300)
        assert (tried.next_us > now_us) == (tried.outcome == "FAILED")
        assert tried.next_us - now_us <= 3_600_000_000
        if tries == 5 and tried.outcome != DELIVERED:
            assert tried.outcome == DEAD
        waiting = after_try(waiting, tried)
        assert (waiting is None) == (tried.outcome != "FAILED")


@given(
    st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from(["run-1", "run-2", "hooks"]),
                  st.integers(0, 100)),
        unique_by=lambda one: one[0], max_size=20),
    st.integers(0, 100),
)  # fmt: skip
def test_of_each_run_the_oldest_is_sent_first_and_nothing_overtakes_it(
    found: list[tuple[int, str, int]], now_us: int
) -> None:
    box = [Waiting(message=message(n, stream), due_us=at) for n, stream, at in found]
    ready, next_us = due(box, now_us)
    assert [one.message.gseq for one in ready] == sorted(one.message.gseq for one in ready)
    for stream in {one.message.stream for one in box}:
        of_stream = [one for one in box if one.message.stream == stream]
        head = min(of_stream, key=lambda one: one.message.gseq)
        mine = [one for one in ready if one.message.stream == stream]
        assert mine == ([head] if head.due_us <= now_us else [])
        assert next_us is None or next_us > now_us
        if head.due_us > now_us:
            assert next_us is not None and next_us <= head.due_us


@given(st.binary(min_size=24, max_size=64), st.text(max_size=20), st.binary(max_size=50))
def test_signatures_prove_exactly_what_was_signed(key: bytes, salt: str, body: bytes) -> None:
    secret = written(key)
    assert key_of(secret, where="") == key
    other = key_of(derived(KEY, salt), where="")
    given_headers = headers([key], "msg_1", 1_000, body)
    assert problem([key], given_headers, body, now_s=1_299) == ""
    assert problem([other, key], given_headers, body, now_s=701) == ""
    assert problem([key], given_headers, body, now_s=1_301) == "too_old"
    assert problem([key], given_headers, body + b"x", now_s=1_000) == "bad_signature"
    assert problem([other], given_headers, body, now_s=1_000) == "bad_signature"
    assert problem([key], {**given_headers, "webhook-id": "msg_2"}, body, now_s=1_000)
    assert derived(KEY, salt) == derived(KEY, salt) != derived(KEY, salt + "x")


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "plain", "whsec_" + "QQ==", "v1,x"])
def test_what_is_no_secret_is_said_without_it(text: str) -> None:
    with pytest.raises(Malformed) as wrong:
        key_of(text, where="env:X")
    assert str(wrong.value).startswith("env:X: expected")
    assert json.dumps(str(wrong.value))
