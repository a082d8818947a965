"""`promote`: request a promotion, and wait for it."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door
from engine.cli.exits import DONE
from engine.cli.run import wait_and_tell
from engine.cli.schedule import wanted
from engine.cli.values import DURATION, attempt_key


@click.command(cls=Leaf)
@click.option(
    "--bundle", required=True, metavar="DIGEST", help="Or a unique beginning of 8 digits or more."
)
@click.option("--to", "environment", required=True, metavar="ENV", help="The environment.")
@click.option("--reason", default="", help="Why, in your words.")
@click.option("--ticket", default="", help="A change number.")
@click.option(
    "--hotfix", is_flag=True, help="Pass the freezes that let a hotfix, with one more approval."
)
@click.option("--wait", "waiting", is_flag=True, help="Stay until it has ended or needs a person.")
@click.option("--timeout", type=DURATION, help="With --wait: give up after this long (exit 124).")
@click.option(
    "--idempotency-key",
    "key",
    default="",
    metavar="KEY",
    help="The same key requests the same promotion once, however often this is called.",
)
@click.option("--at", "at_", default="", metavar="YYYY-MM-DDTHH:MM", help="Start then, not now.")
@click.option("--zone", default="UTC", show_default=True, help="Of --at: IANA time zone.")
@click.option("--window", type=DURATION, help="With --at: for so long after that it may start.")
@click.option(
    "--require",
    "requires",
    multiple=True,
    metavar="NAME=VALUE[:warn]",
    help="With --at: what has to hold, such as feeds_fresh=1h; repeat it.",
)
@pass_call
def promote(
    call: Call,
    bundle: str,
    environment: str,
    reason: str,
    ticket: str,
    hotfix: bool,
    waiting: bool,
    timeout: int | None,
    key: str,
    at_: str,
    zone: str,
    window: int | None,
    requires: tuple[str, ...],
) -> int:
    """Request a promotion of a bundle to an environment.

    With --at it starts then: inside its window, once everything holds that is required.

    With --wait the exit code says how it ended: 0 promoted, 10 the policy gate said no, 11 not
    approved, 12 rolled back, 13 paused and needs a person, 14 a precondition, 15 failed,
    16 cancelled, 17 an input is missing or has another digest.
    """
    if timeout is not None and not waiting:
        raise click.UsageError("--timeout needs --wait.")
    body: dict[str, Any]
    body = {"bundle": bundle, "environment": environment, "reason": reason, "ticket": ticket}
    if hotfix:
        body["kind"] = "HOTFIX"
    address, of = "/promotions", "id"
    if at_:
        if window is None or hotfix:
            raise click.UsageError("--at needs --window, and a hotfix starts at once.")
        times = {"at": at_, "time_zone": zone, "window_s": window // 1000}
        body |= {**times, "preconditions": wanted(requires)}
        address, of = "/schedules", "run"
    elif requires or window is not None:
        raise click.UsageError("--window and --require need --at.")
    with open_door(call) as door:
        made = door.post(address, body, key=attempt_key(key))
        # A key that was used before gets the answer of then; what is told here is the run of now.
        asked = door.get(f"/runs/{made[of]}")
        call.say(f"{asked['id']}: {asked['status']}, {asked['bundle']} to {asked['environment']}")
        if waiting:
            return wait_and_tell(call, door, asked["id"], timeout_ms=timeout)
    call.give({"run": asked["id"], "bundle": asked["bundle"], "status": asked["status"]})
    return DONE
