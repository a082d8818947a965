"""The page Dead Letter, and what its rows say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from data import queries
from engine.asker import Asker
from engine.core.hook_book import Answer, after_try, judged
from engine.core.hook_events import WebhookSet
from engine.core.hook_names import NAMES
from engine.core.hook_rows import DEAD, DELIVERED, FAILED
from engine.hooks.desk import HookWish
from engine.hooks.reading import hook_document, shown_url
from engine.services import Services
from pages.ui import hook_models, session, words
from tests.pages.reading import House, texts

Visit = Callable[..., AppTest]
PAGE = "operations/dead_letter.py"
ADMIN = Asker(user="dora.admin")
NOW_US = 1_772_000_000_000_000
ROW = {
    "hook": "wh_1", "hook_name": "pager", "removed": False, "gseq": 12, "idx": 0, "wave": 0,
    "name": "run.paused", "stream": "run-7", "seq": 4, "ts_us": NOW_US - 90_000_000, "tries": 5,
    "outcome": DEAD, "status": 502, "note": "Bad Gateway", "tried_us": NOW_US, "next_us": 0,
    "took_ms": 12, "newest": True,
}  # fmt: skip


def test_a_row_says_what_since_when_why_and_how_often() -> None:
    (made,) = hook_models.rows([ROW], NOW_US)
    message, state, answer, hook, since = made["cells"]
    assert (message["text"], message["sub"]) == ("Paused", "run.paused · run-7")
    assert message["href"] == "/dead-letter?webhook=pager&message=12.0"
    assert (state["look"]["word"], state["sub"]) == ("DEAD", "tried 5 times")
    assert answer["text"] == "status 502: Bad Gateway"
    assert (hook["text"], since["sub"]) == ("pager", "1 m 30 s ago")


def test_no_answer_is_not_a_status_and_a_next_try_is_said() -> None:
    waiting = ROW | {"outcome": FAILED, "status": 0, "note": "gave no answer within 5.0 s",
                     "tries": 1, "next_us": NOW_US + 9_000_000}  # fmt: skip
    _, state, answer, _, _ = hook_models.rows([waiting], NOW_US)[0]["cells"]
    assert state["sub"] == "tried once, again in 9 s"
    assert answer["text"] == "no answer: gave no answer within 5.0 s"
    assert hook_models.why_not_again(waiting) == "It is being tried already."
    assert hook_models.why_not_again(ROW | {"removed": True}) == "pager was removed."
    assert hook_models.why_not_again(ROW) == ""
    tried = {"n": 1, "wave": 0, "ts_us": NOW_US, "took_ms": 5, "next_us": 0}
    found = [tried | {"outcome": o, "status": s, "note": ""} for o, s in
             ((FAILED, 0), (DEAD, 500), (DELIVERED, 204))]  # fmt: skip
    looks = [row["cells"][2]["look"]["word"] for row in hook_models.tries(found, NOW_US)]
    assert looks == ["NO ANSWER", "FAILED", "DELIVERED"]


def test_places_in_an_address() -> None:
    assert hook_models.place_of("12.0") == (12, 0)
    for text in ("", "12", "12.", ".0", "x.0", "-1.0", "1.0.0", "٣.0", "9" * 30 + ".0"):
        assert hook_models.place_of(text) is None


def test_every_outcome_has_a_look() -> None:
    assert set(words.DELIVERY) == {"WAITING", FAILED, DELIVERED, DEAD, "DROPPED"}
    assert hook_models.told_of(["*"]) == "everything"
    assert hook_models.told_of(["waiting", "run.*"]) == "what waits for people, run.*"
    assert NAMES


@pytest.fixture
def pager(house: House) -> Iterator[str]:
    """A webhook with one dead message and one on its way; nothing of it is left afterwards."""
    services = house.services
    desk = services.hooks.desk
    http = desk._http
    desk._http = type(http)(http._allowed, resolve=lambda host, port: ["8.8.8.8"])
    desk.add(
        HookWish(name="pager", url="https://pager.example/in", events=("webhook.test",)), ADMIN
    )
    desk.test("pager", ADMIN)
    _give_up(services, "pager")
    desk.test("pager", ADMIN)
    yield desk.hook("pager").id
    desk.remove("pager", ADMIN)
    desk._http = http


def _give_up(services: Services, name: str) -> None:
    (waiting,) = services.store.outbox(services.hooks.desk.hook(name).id)
    answer = Answer(status=500, note="<b>boom</b>")
    while waiting:
        now_us = services.clock.now_us()
        tried = judged(waiting, answer, now_us=now_us, took_ms=3, jitter_bp=0)
        services.store.record((tried,))
        waiting = after_try(waiting, tried)  # type: ignore[assignment]


def _ledger(page: AppTest, caption: str) -> list[str]:
    """Rows of one of the page's lists, each as one text."""
    drawn = [json.loads(one.proto.json or "{}") for one in page.get("bidi_component")]
    rows = [row for one in drawn if one.get("caption") == caption for row in one["rows"]]
    return [" ".join(str(cell) for cell in row["cells"]) for row in rows]


def test_others_read_and_an_admin_sends_again(
    house: House, visit: Visit, pager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit(PAGE)
    assert not page.exception
    assert "1 message was given up on" in texts(page)
    (row,) = _ledger(page, "Messages to webhooks")
    assert "status 500: <b>boom</b>" in row and "tried 5 times" in row
    button = next(one for one in page.button if one.label.startswith("Send all"))
    assert button.disabled and "needs the role admin" in texts(page)

    identity = house.services.identity
    secret = identity.redeem_link(identity.create_link(ADMIN.user, actor="test"))
    monkeypatch.setattr(session, "cookie", lambda: secret)
    page = visit(PAGE, webhook="pager")
    button = next(one for one in page.button if one.label == "Send all dead again (1)")
    button.click().run()
    assert not page.exception
    assert "Nothing is dead. 2 messages on the way." in texts(page)
    frame = queries.deliveries(house.services.store.cursor(), hook=pager)
    assert [row["wave"] > 0 for row in frame.to_dicts()] == [True, False, False]


def test_a_message_shows_what_it_says_and_every_try(visit: Visit, pager: str, house: House) -> None:
    frame = queries.deliveries(house.services.store.cursor(), hook=pager, dead=True)
    (row,) = frame.to_dicts()
    page = visit(PAGE, webhook="pager", message=hook_models.message_id(row))
    assert not page.exception
    assert "dora.admin wants to see that a message arrives here." in texts(page)
    assert len(_ledger(page, "Tries at this message")) == 5


def test_without_webhooks_it_says_how_to_add_one(visit: Visit) -> None:
    page = visit(PAGE)
    assert not page.exception and "Nobody is told anything yet" in texts(page)


def test_a_chats_address_and_no_secret_is_shown(house: House) -> None:
    desk = house.services.hooks.desk
    http = desk._http
    desk._http = type(http)(http._allowed, resolve=lambda host, port: ["8.8.8.8"])
    try:
        url = "https://chat.example/services/T0/B0/whoKnowsMayWrite"
        hook, _ = desk.add(HookWish(name="chat", url=url, format="slack"), ADMIN)
        told = hook_document(hook, None)
        assert told["url"] == "https://chat.example/…" and "whoKnows" not in str(told)
        desk.remove("chat", ADMIN)
    finally:
        desk._http = http


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:secret@chat.example/T0/secret", "https://chat.example/…"),
        ("https://chat.example:99999/T0/secret?x", "https://chat.example:99999/…"),
        ("https://0x7f.1?secret", "https://0x7f.1/…"),
    ],
)
def test_of_an_odd_address_only_the_host_is_shown(url: str, told: str) -> None:
    asked = WebhookSet(
        hook="wh_1", name="odd", url=url, secret="", former="", former_until_us=0, events=("*",),
        environments=(), format="slack", source="api",
    )  # fmt: skip
    assert shown_url(asked) == told
