"""`schedule`: promotions that start later, and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from engine.cli.call import Call, Noun, moment, pass_call
from engine.cli.door import open_door
from engine.cli.values import DURATION, attempt_key
from engine.core.preconditions import KINDS, Precondition, parse
from engine.core.spans import limit_text

_REQUIRE = f"{', '.join(KINDS)}; such as feeds_fresh=1h, integrations_healthy=on:warn. Repeat it."


@click.group(cls=Noun)
def schedule() -> None:
    """Promotions that start later, and again: when, and under which preconditions."""


def wanted(requires: Sequence[str]) -> list[dict[str, Any]]:
    """What the API takes for `--require`. Raises `Malformed`."""
    return [_document(parse(one, where="--require")) for one in requires]


def _document(one: Precondition) -> dict[str, Any]:
    return {"name": one.name, "mode": one.mode.value, "limit_s": one.limit_s}


@schedule.command()
@click.option("--bundle", required=True, metavar="DIGEST", help="Or a unique beginning of it.")
@click.option("--to", "environment", required=True, metavar="ENV", help="The environment.")
@click.option("--at", "at_", required=True, metavar="YYYY-MM-DDTHH:MM", help="Local wall time.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone.")
@click.option("--window", type=DURATION, required=True, help="For so long after that it may start.")
@click.option("--rule", default="", help="RRULE, such as FREQ=WEEKLY;BYDAY=MO,TH; left out: once.")
@click.option("--require", "requires", multiple=True, metavar="NAME=VALUE[:warn]", help=_REQUIRE)
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--ticket", default="", help="A change number.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def create(
    call: Call,
    bundle: str,
    environment: str,
    at_: str,
    zone: str,
    window: int,
    rule: str,
    requires: tuple[str, ...],
    reason: str,
    ticket: str,
    key: str,
) -> None:
    """Schedule a promotion. The run of its first firing is there at once, SCHEDULED."""
    body = {
        "bundle": bundle,
        "environment": environment,
        "at": at_,
        "time_zone": zone,
        "window_s": window // 1000,
        "rule": rule,
        "preconditions": wanted(requires),
        "reason": reason,
        "ticket": ticket,
    }
    with open_door(call) as door:
        made = door.post("/schedules", body, key=attempt_key(key))
    call.give(made)
    call.say(f"{made['id']}: {made['label']} to {made['environment']}, {made['said']}")
    call.say(f"{made['run']} waits for its window.")
    tell_firings(call, made["next"])


@schedule.command("list")
@click.option("--environment", default="", help="Only those to this environment.")
@click.option("--all", "all_", is_flag=True, help="Also those that fire no more.")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@pass_call
def list_schedules(call: Call, environment: str, all_: bool, limit: int) -> None:
    """What is scheduled, the newest first."""
    status = "" if all_ else "ACTIVE"
    with open_door(call) as door:
        answer = door.get("/schedules", environment=environment, status=status, limit=limit)
    call.give(answer)
    call.table(
        ("SCHEDULE", "STATUS", "ENVIRONMENT", "BUNDLE", "WHEN", "OPENS", "CLOSES", "RUN"),
        [_row(one) for one in answer["items"]],
    )


def _row(one: dict[str, Any]) -> list[object]:
    first = one["next"][0] if one["next"] else None
    return [
        one["id"],
        one["status"],
        one["environment"],
        one["label"],
        one["said"],
        None if first is None else moment(first["start_us"]),
        None if first is None else moment(first["end_us"]),
        one["run"],
    ]


@schedule.command()
@click.argument("schedule_id", metavar="SCHEDULE")
@click.option("--ticks", type=click.IntRange(0, 100), default=20, show_default=True)
@pass_call
def show(call: Call, schedule_id: str, ticks: int) -> None:
    """One schedule: its preconditions, what comes next, and what became of its firings."""
    with open_door(call) as door:
        found = door.get(f"/schedules/{schedule_id}")
        told = (
            door.get("/scheduler/ticks", schedule=schedule_id, limit=ticks)["items"]
            if ticks
            else []
        )
    call.give({**found, "ticks": told})
    call.say(f"{found['id']}: {found['status']}, {found['label']} to {found['environment']}")
    call.say(f"{found['said']}; by {found['created_by']} {moment(found['created_us'])}")
    for one in found["preconditions"]:
        limit = f" < {limit_text(one['limit_s'])}" if one["limit_s"] else ""
        call.say(f"  {one['mode']:<8} {one['name']}{limit}")
    tell_firings(call, found["next"])
    call.table(
        ("AT", "FIRING", "WORD", "LATE", "RUN", "WHY"),
        [
            [
                moment(tick["ts_us"]),
                tick["firing"],
                tick["word"],
                f"{tick['late_ms'] / 1000:.1f} s" if tick["late_ms"] else None,
                tick["run"],
                tick["why"],
            ]
            for tick in told
        ],
    )


@schedule.command()
@click.argument("schedule_id", metavar="SCHEDULE")
@click.option("--reason", required=True, help="Why, in your words.")
@click.option("--idempotency-key", "key", default="", metavar="KEY")
@pass_call
def cancel(call: Call, schedule_id: str, reason: str, key: str) -> None:
    """Let it fire no more; a run of it that waits for its window is cancelled too."""
    with open_door(call) as door:
        ended = door.post(
            f"/schedules/{schedule_id}/cancel", {"reason": reason}, key=attempt_key(key)
        )
    call.give(ended)
    call.say(f"{ended['id']} fires no more.")


@schedule.command()
@click.option("--at", "at_", required=True, metavar="YYYY-MM-DDTHH:MM", help="Local wall time.")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone.")
@click.option("--window", type=DURATION, required=True, help="For so long after that it may start.")
@click.option("--rule", default="", help="RRULE; left out: once.")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True)
@pass_call
def preview(call: Call, at_: str, zone: str, window: int, rule: str, count: int) -> None:
    """When a timing would fire next, and what clocks do then. Schedules nothing."""
    with open_door(call) as door:
        told = door.get(
            "/schedules/preview",
            at=at_,
            time_zone=zone,
            window_s=window // 1000,
            rule=rule,
            count=count,
        )
    call.give(told)
    call.say(told["said"])
    tell_firings(call, told["items"])


def tell_firings(call: Call, found: Sequence[dict[str, Any]]) -> None:
    call.table(
        ("DATE", "OPENS", "CLOSES", "NOTE"),
        [
            [one["date"], moment(one["start_us"]), moment(one["end_us"]), one["note"]]
            for one in found
        ],
    )
