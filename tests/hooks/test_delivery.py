"""What is sent, how often, in which order, and what becomes of what cannot be delivered."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from engine.core.fact_events import Commented
from engine.core.hook_events import MessageRef
from tests.data.kit import history, play, rollout
from tests.hooks.kit import ROOT, HookHouse
from tests.hooks.receiver import HANG, Receiver, receiving


def refs(house: HookHouse, **asked: object) -> list[MessageRef]:
    return [
        MessageRef(
            hook=row["hook"], gseq=row["gseq"], idx=row["idx"],
            name=row["name"], stream=row["stream"], seq=row["seq"],
        )
        for row in house.rows(**asked)
    ]  # fmt: skip


def test_a_whole_run_arrives_in_order_and_signed(house: HookHouse, receiver: Receiver) -> None:
    _, secret = house.add(receiver.url)
    play(house.real, rollout())
    house.postman.start()
    house.until(house.settled)
    rows = house.rows()
    assert [row["outcome"] for row in rows] == ["DELIVERED"] * len(rows)
    assert len(receiver.got) == len(rows) > 20
    names = [json.loads(got.body)["data"]["customData"]["releaseline"]["event"]
             for got in receiver.got]  # fmt: skip
    assert names == [row["name"] for row in rows]
    assert names[0] == "run.requested" and names[-1] == "run.sealed"
    assert len({got.id for got in receiver.got}) == len(rows)
    for got in receiver.got:
        assert Webhook(secret).verify(got.body, got.headers)["id"] == got.id
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(receiver.got[0].body + b" ", receiver.got[0].headers)


def test_the_third_try_arrives_under_the_same_id(house: HookHouse, receiver: Receiver) -> None:
    receiver.then.extend([500, 503])
    house.add(receiver.url)
    house.desk.test("ci", ROOT)
    house.postman.start()
    receiver.wait_for(1)
    house.until(house.settled, forward_s=1)
    (row,) = house.rows()
    assert (row["outcome"], row["tries"], row["status"]) == ("DELIVERED", 3, 200)
    assert len({got.id for got in receiver.got}) == 1
    assert len({got.body for got in receiver.got}) == 1


def test_after_five_tries_it_is_dead_and_can_be_sent_again(
    house: HookHouse, receiver: Receiver
) -> None:
    receiver.always = 500
    house.add(receiver.url, events=("run.requested", "webhook.test"))
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(house.settled, forward_s=30)
    (row,) = house.rows(dead=True)
    assert (row["outcome"], row["tries"], row["status"]) == ("DEAD", 5, 500)
    assert row["note"] == "said by the receiver" and len(receiver.got) == 5
    receiver.always = 204
    assert house.desk.redeliver(refs(house, dead=True), ROOT, reason="mended") == 1
    house.until(lambda: len(receiver.got) == 6)
    house.until(house.settled)
    old, new = house.rows()
    assert (old["outcome"], old["newest"], new["outcome"], new["tries"]) == (
        "DEAD", False, "DELIVERED", 1,
    )  # fmt: skip
    assert house.rows(dead=True) == []
    assert len({got.id for got in receiver.got}) == 1


def test_waits_grow_and_a_receiver_may_ask_for_longer(house: HookHouse, receiver: Receiver) -> None:
    receiver.then.extend([500, 500, (429, {"Retry-After": "600"}), (503, {"Retry-After": "1"})])
    house.add(receiver.url)
    house.desk.test("ci", ROOT)
    house.postman.start()
    waits = []
    for tries in range(1, 5):
        house.until(lambda n=tries: house.rows()[0]["tries"] == n)  # type: ignore[misc]
        row = house.rows()[0]
        waits.append((row["next_us"] - row["tried_us"]) // 1_000_000)
        house.clock.forward(waits[-1])
        house.postman._wake.set()
    assert waits == [10, 20, 600, 80]
    house.until(house.settled)


def test_a_receiver_that_is_gone_is_not_asked_again(house: HookHouse, receiver: Receiver) -> None:
    receiver.always = 410
    house.add(receiver.url)
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(house.settled)
    (row,) = house.rows()
    assert (row["outcome"], row["tries"]) == ("DEAD", 1)


def test_a_redirect_is_not_followed(house: HookHouse, receiver: Receiver) -> None:
    receiver.always = (307, {"Location": f"{receiver.url}/elsewhere"})
    house.add(receiver.url)
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(lambda: house.rows()[0]["tries"] == 1)
    assert house.rows()[0]["note"] == "it redirects, and redirects are not followed"
    assert [got.path for got in receiver.got] == ["/in"]


def test_what_follows_waits_for_what_is_tried_again_but_other_runs_do_not(
    house: HookHouse, receiver: Receiver
) -> None:
    house.add(receiver.url, events=("run.requested", "run.started"))
    receiver.then.append(500)
    play(house.real, history(3, 1)[:8])
    house.postman.start()
    receiver.wait_for(1)
    house.until(lambda: house.rows()[0]["tries"] == 1)
    play(house.real, history(4, 2)[:8])
    house.until(lambda: all(r["outcome"] == "DELIVERED" for r in house.rows()
                            if r["stream"] == "run-2"))  # fmt: skip
    mine = [row for row in house.rows() if row["stream"] == "run-1"]
    assert [row["outcome"] for row in mine][:2] == ["FAILED", "WAITING"][: len(mine)]
    house.until(house.settled, forward_s=2)
    runs = [json.loads(got.body)["subject"] for got in receiver.got]
    assert runs.index("run-2") < len(runs) - runs[::-1].index("run-1")


def test_a_hanging_receiver_delays_nobody(house: HookHouse, receiver: Receiver) -> None:
    with receiving() as hanging:
        hanging.always = HANG
        house.add(hanging.url, "slow")
        house.add(receiver.url, "quick")
        play(house.real, history(3))
        house.postman.start()
        hanging.wait_for(1)
        quick = house.desk.hook("quick").id
        house.until(lambda: not house.real.outbox(quick))
        assert hanging.got[1:] == []
        assert house.real.outbox(house.desk.hook("slow").id)


def test_what_nobody_asked_for_is_not_sent(house: HookHouse, receiver: Receiver) -> None:
    house.add(receiver.url, "elsewhere", environments=("us-prod",))
    house.add(receiver.url, "waits", events=("waiting",))
    play(house.real, history(3))
    assert {row["hook_name"] for row in house.rows()} <= {"waits"}
    house.desk.remove("waits", ROOT)
    before = len(house.rows())
    play(house.real, history(4, 2))
    assert len(house.rows()) == before
    assert all(row["outcome"] == "DROPPED" for row in house.rows())


def test_nothing_is_sent_for_what_was_not_recorded(house: HookHouse, receiver: Receiver) -> None:
    house.add(receiver.url)
    before = len(house.rows())
    with pytest.raises(Exception, match="run-1"):
        house.real.append("run-1", (Commented(text="x"),), after=7, actor="ana")
    assert len(house.rows()) == before


def test_both_secrets_sign_while_one_is_replaced(house: HookHouse, receiver: Receiver) -> None:
    _, old = house.add(receiver.url)
    new = house.desk.rotate("ci", ROOT)
    house.desk.test("ci", ROOT)
    house.postman.start()
    (got,) = receiver.wait_for(1)
    assert old != new
    for secret in (old, new):
        Webhook(secret).verify(got.body, got.headers)
    house.until(house.settled)
    house.clock.forward(25 * 3600)
    house.desk.test("ci", ROOT)
    later = receiver.wait_for(2)[1]
    assert len(later.headers["webhook-signature"].split(" ")) == 1
    assert int(later.headers["webhook-timestamp"]) > time.time() + 24 * 3600


def test_fsck_agrees_and_a_lost_database_is_made_again(tmp_path: Path, receiver: Receiver) -> None:
    house = HookHouse(tmp_path / "home")
    receiver.then.append(500)
    house.add(receiver.url, events=("webhook.test",))
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(lambda: house.rows()[0]["tries"] == 1)
    assert house.real.fsck().ok
    rows, clock = house.rows(), house.clock
    house.close()
    (tmp_path / "home" / "releaseline.duckdb").unlink()
    again = HookHouse(tmp_path / "home", clock=clock)
    try:
        assert again.rows() == rows
        assert again.real.fsck().ok
        again.postman.start()
        again.until(again.settled, forward_s=2)
        assert again.rows()[0]["outcome"] == "DELIVERED"
        assert len({got.id for got in receiver.got}) == 1
    finally:
        again.close()
