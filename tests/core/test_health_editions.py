"""Editions of the gate's rules: each answers as it did when it was the newest, for ever.

`golden/gate-editions.json` was written by the code of each edition's own time. A test here that
fails says that an edition was changed: add a new one instead.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from engine.core import ticks
from engine.core.errors import Malformed
from engine.core.gate_replay import replay_watch
from engine.core.health import DEFAULT_CRITERIA, Gate, new_gate
from engine.core.health_editions import EDITION, RULES
from engine.core.rows import GateTick
from tests.core.test_gate_replay import row

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gate-editions.json").read_text())
POLL_S = 5.0
# Nine targets on the old version, with one bad poll of all of them.
HISTORY = tuple(((500, 10 if i in {20, 21} else 2),) * 9 for i in range(60))


def polls(stream: dict[str, Any]) -> list[dict[str, Any] | float]:
    """Ticks, and for a resume the seconds at which the run goes on."""
    found: list[dict[str, Any] | float] = []
    n = 0
    for part in stream["polls"]:
        if part == "resume":
            found.append(n * POLL_S)
            continue
        times, requests, errors, before, bad = part
        for _ in range(times):
            n += 1
            found.append(
                {
                    "t": n * POLL_S, "status": "ok", "note": "", "baseline_targets": [],
                    "canary": {"requests": requests, "errors": errors, "slow": 0},
                    "baseline": {"requests": before, "errors": bad, "slow": 0},
                    "targets": {"t-01": True, "t-02": True},
                }
            )  # fmt: skip
    return found


def judged(gate: Gate, stream: dict[str, Any]) -> list[str]:
    answers = []
    for one in polls(stream):
        if isinstance(one, float):
            gate.resume(one)
            answers.append("resume")
        else:
            gate.observe(one)
            answers.append(f"{gate.action} {gate.rule}")
    return [f"{answer} x{len(list(times))}" for answer, times in groupby(answers)]


@pytest.mark.parametrize("edition", list(RULES))
@pytest.mark.parametrize("stream", GOLDEN, ids=lambda stream: stream["name"])
def test_an_edition_answers_as_it_did_in_its_own_time(stream: Any, edition: int) -> None:
    gate = new_gate(DEFAULT_CRITERIA, HISTORY, POLL_S, edition=edition)
    expected = stream["editions"][str(edition)]
    assert judged(gate, stream) == expected["answers"]
    told: Any = gate.evidence["e_values"]
    assert {name: told[name]["log10"] for name in expected["log10"]} == expected["log10"]


def test_the_editions_are_told_apart_by_what_is_recorded_here() -> None:
    unlike = [s for s in GOLDEN if s["editions"]["1"]["answers"] != s["editions"]["2"]["answers"]]
    assert len(unlike) >= 3
    assert max(RULES) == EDITION


def stored(stream: dict[str, Any], *, edition: int, named: bool) -> list[GateTick]:
    """The watch of `stream` as an engine of that edition would have stored it."""
    mark = json.loads(
        ticks.start_mark(
            DEFAULT_CRITERIA, poll_ms=5_000, history=HISTORY, history_note="", carry=None
        )
    )
    del mark["edition"]
    text = json.dumps(mark | ({"edition": edition} if named else {}))
    gate = ticks.gate_of(text, unnamed=edition)
    rows = [row(1, text, ticks.START)]
    for n, one in enumerate(polls(stream), 2):
        if isinstance(one, float):
            gate.resume(one)
            rows.append(row(n, ticks.resume_mark(round(one * 1000), "-"), ticks.RESUME))
        else:
            gate.observe(one)
            rows.append(row(n, ticks.encode(one), gate.action, gate.rule))
    return rows


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("edition", list(RULES))
@pytest.mark.parametrize("stream", GOLDEN, ids=lambda stream: stream["name"])
def test_what_was_recorded_replays_whichever_edition_it_was(
    stream: Any, edition: int, named: bool
) -> None:
    replay = replay_watch(stored(stream, edition=edition, named=named))
    assert replay.same, replay.sentence()
    assert replay.named is named
    assert not named or replay.edition == edition
    assert ("edition" in replay.sentence()) == (not named or edition != EDITION)


def test_a_named_edition_is_not_searched_for_a_better_one() -> None:
    fleet = next(s for s in GOLDEN if "goes on" in s["name"] or "go on" in s["name"])
    rows = stored(fleet, edition=1, named=True)
    claimed = json.dumps(json.loads(rows[0].tick) | {"edition": 2})
    replay = replay_watch([replace(rows[0], tick=claimed), *rows[1:]])
    assert not replay.same
    assert replay.edition == 2


@pytest.mark.parametrize(("edition", "said"), [(99, "expected one of 1, 2"), ("2", "whole number")])
def test_an_edition_that_is_not_known_is_refused(edition: Any, said: str) -> None:
    rows = stored(GOLDEN[0], edition=2, named=True)
    claimed = json.dumps(json.loads(rows[0].tick) | {"edition": edition})
    with pytest.raises(Malformed, match=said):
        replay_watch([replace(rows[0], tick=claimed), *rows[1:]])
