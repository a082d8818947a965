"""`rescan`: stored SBOMs against the feeds in force, how they stand, and matching them now."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import Door, open_door
from engine.cli.exits import BLOCKED, DONE, INPUT, UNREACHABLE, Ended
from engine.core.data_health import Level

_ASK_EVERY_S: Final = 0.5
_SHOWN: Final = 20


@click.group(cls=Noun)
def rescan() -> None:
    """SBOMs of what is live or on its way, matched again when the feeds know more."""


@rescan.command()
@pass_call
def status(call: Call) -> int:
    """How they stand, and the newest rescans; exit 14 when not all of them are known."""
    with open_door(call) as door:
        answer = door.get("/rescans", limit=_SHOWN)
    call.give(answer)
    _tell(call, answer)
    return DONE if answer["level"] == Level.OK else BLOCKED


@rescan.command()
@pass_call
def now(call: Call) -> int:
    """Rescan every bundle that matters, and wait for what it finds."""
    with open_door(call) as door:
        number = door.post("/rescans", {})["number"]
        done = _followed(call, door, number)
    call.give(done)
    _bundles(call, done)
    call.say(f"{done['word']}: {done['text']}")
    if done["word"] == "FINISHED":
        return DONE
    return INPUT if done["code"] in {"sbom", "feeds"} else UNREACHABLE


def _followed(call: Call, door: Door, number: int) -> dict[str, Any]:
    told = ""
    while True:
        answer = door.get("/rescans", limit=_SHOWN)
        one = next((one for one in answer["items"] if one["number"] == number), None)
        if one is None:
            raise Ended(UNREACHABLE, f"Rescan {number} is not on record.")
        if one["word"] != "UNDER WAY":
            found: dict[str, Any] = one
            return found
        progress = answer["progress"]
        if progress and progress["of"]:
            said = f"{progress['what']}: {progress['done']} of {progress['of']} {progress['unit']}"
            if said != told:
                told = said
                call.say(said)
        time.sleep(_ASK_EVERY_S)


def _tell(call: Call, answer: dict[str, Any]) -> None:
    since = f", since {moment(answer['since_us'])}" if answer["since_us"] else ""
    call.say(f"{answer['level']}: {answer['text']}{since}")
    if answer["reason"]:
        call.say(f"  {answer['reason']}")
    if answer["retry_us"]:
        call.say(f"  It is tried again at {moment(answer['retry_us'])}.")
    call.table(
        ("RESCAN", "AT", "BY", "RESULT", "WHAT"),
        [
            [one["number"], moment(one["at_us"]), one["by"], one["word"], one["text"]]
            for one in answer["items"]
        ],
    )


def _bundles(call: Call, one: dict[str, Any]) -> None:
    call.table(
        ("BUNDLE", "PACKAGES", "FINDINGS", "KEV", "NEW", "GONE", "NOT LOOKED AT", "FIRST NEW"),
        [
            [
                bundle["label"],
                bundle["packages"],
                bundle["known"],
                bundle["kev"],
                bundle["new"] if bundle["compared"] else None,
                bundle["gone"] if bundle["compared"] else None,
                bundle["unread"],
                "; ".join(bundle["named"]),
            ]
            for bundle in one["bundles"]
        ],
    )
    for problem in one["failed"]:
        call.say(f"{problem['label']}: {problem['reason']}")
