"""The book of policies over restarts: a file of the home is taken up once, until it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.house import ADMIN
from engine.core.policy_versions import PolicyPublished
from engine.policy.model import Policy, load_policy, with_config
from engine.policy_book import PolicyBook, Publication
from engine.service import Asker
from tests.faults.small_house import ENV, SmallHouse, session_keys

pytestmark = pytest.mark.house

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
POLICY = (EXAMPLES / "release-gate.yaml").read_bytes()
CONFIG = (EXAMPLES / "release-gate.config.json").read_bytes()
FIRST = load_policy(POLICY, CONFIG)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SmallHouse]:
    house = SmallHouse(tmp_path, session_keys(), approvals=1)
    yield house
    house.close()


def restart(house: SmallHouse, policy: Policy) -> PolicyBook:
    return PolicyBook(
        store=house.real, settings=house.settings, clock=house.clock, files={ENV: policy}
    )


def events(house: SmallHouse) -> list[tuple[str, str, str]]:
    recorded = house.real.load(ADMIN)
    return [
        (one.event.source, one.actor, one.event.policy.short)
        for one in recorded
        if isinstance(one.event, PolicyPublished)
    ]


def test_a_file_is_taken_up_once_and_again_only_when_it_changed(house: SmallHouse) -> None:
    book = restart(house, FIRST)
    assert book.in_force(ENV) == FIRST.digest and events(house) == []  # not stepping yet
    book.take_up_files()
    restart(house, FIRST).take_up_files()
    assert events(house) == [("home", "engine", FIRST.digest.short)]
    assert book.authors(ENV) == ()

    edited = with_config(FIRST, {**FIRST.config, "required_feeds": ["KEV", "NVD"]})
    book = restart(house, edited)
    assert book.in_force(ENV) == edited.digest
    book.take_up_files()
    assert events(house)[1:] == [("home", "engine", edited.digest.short)]
    (old, new) = book.versions()
    assert (old.in_force, new.in_force, new.event.before) == (False, True, FIRST.digest)


def test_what_was_published_outlives_a_restart_and_an_unchanged_file(house: SmallHouse) -> None:
    book = restart(house, FIRST)
    book.take_up_files()
    asked = Publication(
        policy=POLICY.replace(b"1.0.0", b"1.1.0"),
        config=CONFIG,
        tests=b"",
        environments=(ENV, ENV),
        reason="a version of its own",
    )
    (event,) = book.publish(asked, Asker(user="pol"))
    again = restart(house, FIRST)
    again.take_up_files()
    assert again.in_force(ENV) == event.policy and len(events(house)) == 2
    assert again.authors(ENV) == ("pol",)
    house.clock.us += 14 * 24 * 3600 * 1_000_000
    assert again.authors(ENV) == ()
