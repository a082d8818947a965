"""What messages say: valid CDEvents for machines, plain words for people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from engine.core.events import EVENT_TYPES
from engine.core.fact_events import GateDecided
from engine.core.hook_names import NAMES, WAITING, unknown, wanted
from engine.core.hook_rows import HookMessage
from engine.hooks.cdevents import TYPES, type_of
from engine.hooks.words import DEEDS, HEADS, Told, slack
from tests.data.kit import history, play, rollout, telling
from tests.hooks.kit import ROOT, HookHouse

SCHEMAS = Path(__file__).parent / "cdevents-0.5.1"
# Of random runs those that succeed, fail, are rolled back, pause, are approved and overridden.
SEEDS = telling(60)
URL = "http://127.0.0.1:9/in"


def validators() -> dict[str, Draft202012Validator]:
    """Type of event to the validator of its published schema."""
    documents = [json.loads(path.read_text()) for path in SCHEMAS.rglob("*.json")]
    registry: Registry[Any] = Registry().with_resources(
        (one["$id"], Resource.from_contents(one)) for one in documents
    )
    return {
        one["properties"]["context"]["properties"]["type"]["default"]: Draft202012Validator(
            one, registry=registry, format_checker=FormatChecker()
        )
        for one in documents
        if "context" in one.get("properties", {})
    }


@pytest.fixture
def bodies(house: HookHouse) -> list[tuple[HookMessage, dict[str, Any]]]:
    """Every message of a few random runs, as it would be sent."""
    house.add(URL)
    for number, seed in enumerate(SEEDS, 1):
        play(house.real, history(seed, number))
    _breach(house, len(SEEDS) + 1)
    house.desk.test("ci", ROOT)
    (hook,) = house.real.hooks()
    return [
        (one.message, json.loads(house.letters.letter(hook, one.message, now_us=0).body))
        for one in house.real.outbox(hook.id)
    ]


def _breach(house: HookHouse, number: int) -> None:
    """A run as far as its first health gate, which then says that a limit is breached."""
    steps = rollout(number)
    at = next(n for n, one in enumerate(steps)
              if any(isinstance(event, GateDecided) for event in one.events))  # fmt: skip
    play(house.real, steps[: at + 1])
    decided = next(event for event in steps[at].events if isinstance(event, GateDecided))
    breach = replace(decided, action="hold", rule=4, reason="2.1 % errors, over 1 %")
    stream = f"run-{number}"
    after = house.real.version(stream)
    house.real.append(stream, (breach,), after=after, actor="engine")


def test_every_message_validates_against_the_published_schema(
    bodies: list[tuple[HookMessage, dict[str, Any]]],
) -> None:
    known = validators()
    assert set(TYPES.values()) <= {name.removeprefix("dev.cdevents.") for name in known}
    seen = set()
    for message, body in bodies:
        assert body["specversion"] == "1.0" and body["type"] == type_of(message.name)
        data = body["data"]
        for outer, inner in (("id", "id"), ("source", "source"), ("type", "type")):
            assert body[outer] == data["context"][inner]
        assert body["time"] == data["context"]["timestamp"]
        assert body["subject"] == data["subject"]["id"]
        if body["type"] in known:
            known[body["type"]].validate(data)
            seen.add(message.name)
        else:
            assert body["type"].startswith(f"dev.releaseline.{message.name}.")
        if message.stream.startswith("run-"):
            assert data["context"]["chainId"] == message.stream
            assert data["customData"]["releaseline"]["run"] == message.stream
    assert set(TYPES) - seen == {"service.deployed"}  # takes an environment that nobody used before


def test_nobody_is_told_half(bodies: list[tuple[HookMessage, dict[str, Any]]]) -> None:
    """Each message says what happened in a sentence; what waits, also for whom and to do what."""
    for message, body in bodies:
        own = body["data"]["customData"]["releaseline"]
        assert own["text"].rstrip().endswith((".", '"', ")")), own["text"]
        assert own["url"].startswith("https://releases.test/")
        assert bool(own["waits"]) == (message.name in WAITING)
        if message.name == "approval.requested":
            assert "bob" in own["people"] or "carol" in own["people"] or not own["people"]
    names = {message.name for message, _ in bodies}
    assert {"approval.requested", "run.paused", "rollback.failed", "review.due"} <= names


def test_every_name_has_words_and_an_event() -> None:
    assert set(HEADS) == NAMES
    assert set(DEEDS) == WAITING
    assert NAMES >= WAITING and set(TYPES) <= NAMES
    assert len(EVENT_TYPES) > len(NAMES)


def test_filters() -> None:
    assert unknown(("run.*", "*", "waiting", "run.paused", "step.*")) == ()
    assert unknown(("runs.*", "run.pause", "", "run.", "*.paused")) == (
        "runs.*", "run.pause", "", "run.", "*.paused",
    )  # fmt: skip
    assert wanted(("run.*",), "run.paused") and not wanted(("run.*",), "approval.requested")
    assert wanted(("waiting",), "review.overdue") and not wanted(("waiting",), "run.failed")
    assert wanted(("*",), "step.started") and not wanted((), "step.started")


def test_a_chat_is_told_in_plain_words_and_nothing_in_them_is_markup() -> None:
    told = Told(
        name="run.paused",
        head="Paused",
        label="shop 1.3.0 → eu-prod",
        text="ana paused the run: <!channel> & <http://evil.test|click> *bold*.",
        deed="resume, retry or roll back",
        people=("ana.li", "dan.ops"),
        run="run-7",
        url="https://releases.test/run?run=run-7",
    )
    assert slack(told) == {
        "text": "🟠 *Paused* shop 1.3.0 → eu-prod (<https://releases.test/run?run=run-7|run-7>)\n"
        "ana paused the run: &lt;!channel&gt; &amp; &lt;http://evil.test|click&gt; ∗bold∗.\n"
        "*Waits for ana.li, dan.ops: resume, retry or roll back.*"
    }


def test_the_same_message_is_the_same_bytes(house: HookHouse) -> None:
    house.add(URL)
    play(house.real, rollout())
    (hook,) = house.real.hooks()
    for one in house.real.outbox(hook.id)[::7]:
        first, later = (house.letters.letter(hook, one.message, now_us=t) for t in (0, 10**12))
        assert first.body == later.body
        assert first.headers["webhook-id"] == later.headers["webhook-id"]
        assert first.headers["webhook-signature"] != later.headers["webhook-signature"]
