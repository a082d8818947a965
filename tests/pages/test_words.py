"""One status, one word: every status has its look, and no two say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.core.commands import Action
from engine.core.health import GateWord, Trigger
from engine.core.statemachine import RunStatus, StepStatus
from engine.live_now import now_sentence
from pages.ui import words
from tests.core.test_approvals import approve, asking

pytestmark = pytest.mark.house

ASSETS = Path(words.__file__).parent / "assets"
TABLES = (words.RUN, words.STEP, words.GATE, words.TRIGGER, words.TARGET, words.DATA_HEALTH)


def test_every_status_has_a_word() -> None:
    assert set(words.RUN) == set(RunStatus)
    assert set(words.STEP) == set(StepStatus)
    assert set(words.GATE) == {word.value for word in GateWord}
    assert set(words.TRIGGER) == {word.value for word in Trigger}
    assert set(words.ACTION) == set(Action)


@pytest.mark.parametrize("table", TABLES)
def test_no_two_statuses_share_a_word(table: dict[object, words.Look]) -> None:
    said = [look.word for look in table.values()]
    assert len(set(said)) == len(said)


def test_a_run_status_is_shown_as_it_is_stored() -> None:
    for status, look in words.RUN.items():
        assert look.word == status.value.replace("_", " ")
    for step, look in words.STEP.items():
        assert look.word == step.value


@pytest.mark.parametrize("table", TABLES)
def test_every_shape_is_drawn_and_every_tone_is_styled(table: dict[object, words.Look]) -> None:
    drawn = set(re.findall(r"^  (\w+): \[", (ASSETS / "common.js").read_text(), re.MULTILINE))
    styled = set(re.findall(r"\.t-(\w+) \{", (ASSETS / "common.css").read_text()))
    for look in table.values():
        assert look.shape in drawn
        assert look.tone in styled
        assert look.colour


def test_nobody_is_waited_for_once_every_approval_is_there() -> None:
    book = asking(min_approvals=2)
    before = now_sentence(book.current, book.current.current_step, None)
    assert before["head"].startswith("Waits for people: ") and before["tone"] == "wait"
    approve(book, "bob")
    approve(book, "carol")
    after = now_sentence(book.current, book.current.current_step, None)
    assert (after["head"], after["tone"]) == ("Every approval is there.", "run")
