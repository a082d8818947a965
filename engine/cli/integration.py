"""`integration`: whether the servers that promotions depend on work, and a look at one now."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door
from engine.cli.exits import BLOCKED, DONE, UNREACHABLE, Ended
from engine.core.data_health import Level

_ASK_EVERY_S: Final = 0.2
_WAIT_S: Final = 120.0  # a look takes at most its own deadline, which is less


@click.group(cls=Noun)
def integration() -> None:
    """Vault, Consul, Prometheus and others: their state, and a look at one now."""


@integration.command(name="list")
@pass_call
def list_them(call: Call) -> None:
    """Every integration as it is known now."""
    with open_door(call) as door:
        answer = door.whole("/integrations")
    call.give(answer)
    _table(call, answer["items"])


@integration.command()
@click.argument("name")
@pass_call
def probe(call: Call, name: str) -> int:
    """Have NAME looked at now, and say what was found; exit 14 when it does not work."""
    with open_door(call) as door:
        before = door.get(f"/integrations/{name}")["last_us"]
        found = door.post(f"/integrations/{name}/probe")
        ends_s = time.monotonic() + _WAIT_S
        while found["last_us"] == before and time.monotonic() < ends_s:
            time.sleep(_ASK_EVERY_S)
            found = door.get(f"/integrations/{name}")
    if found["last_us"] == before:
        raise Ended(UNREACHABLE, f"The look at {name} has not ended within {_WAIT_S:.0f} s.")
    call.give(found)
    _table(call, [found])
    return DONE if found["level"] in {Level.OK, Level.WARN} else BLOCKED


def _table(call: Call, items: list[dict[str, Any]]) -> None:
    call.table(
        ("NAME", "KIND", "STATE", "SINCE", "LAST GOOD", "MS", "FOUND", "RESTS ON IT"),
        [
            [
                one["name"],
                one["kind"],
                one["level"],
                moment(one["since_us"]),
                moment(one["last_good_us"]),
                one["latency_ms"],
                one["reason"],
                "; ".join(one["depends"]),
            ]
            for one in items
        ],
    )
