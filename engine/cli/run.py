"""`run`: look at runs and follow them; what can be done to one is in `actions`."""

from __future__ import annotations

import time
from typing import Any

import click

from engine.cli import actions, again, approvals
from engine.cli.call import Call, Noun, moment, page, pass_call, short
from engine.cli.checks import say_damaged
from engine.cli.door import Door, open_door
from engine.cli.exits import Ended, of_run
from engine.cli.follow import Event, follow, wait
from engine.cli.review import say_owed
from engine.cli.values import DURATION

_LIMIT_MAX = 100
_SUMMARY_MAX = 80


@click.group(cls=Noun)
def run() -> None:
    """Look at runs, follow them and act on them."""


for _command in (*approvals.COMMANDS, *actions.COMMANDS, *again.COMMANDS):
    run.add_command(_command)


@run.command("list")
@click.option("--environment", default="", help="Only runs to this environment.")
@click.option("--status", default="", help="Only runs in this status.")
@click.option("--limit", type=click.IntRange(1, _LIMIT_MAX), default=20, show_default=True)
@pass_call
def list_runs(call: Call, environment: str, status: str, limit: int) -> None:
    """The newest runs."""
    with open_door(call) as door:
        answer = door.get("/runs", environment=environment, status=status.upper(), limit=limit)
    call.give(answer)
    call.table(
        ("RUN", "STATUS", "ENVIRONMENT", "BUNDLE", "VERSION", "REQUESTED"),
        [
            [row.get("run_id") or f"run-{row['number']}", *columns, moment(row["requested_us"])]
            for row, columns in zip(
                answer["items"],
                page(answer["items"], "status", "environment", "bundle_name", "bundle_version"),
                strict=True,
            )
        ],
    )
    for row in answer["items"]:
        if row["status"] == "QUEUED" and row["current_step_summary"]:
            call.say(f"run-{row['number']} waits: {row['current_step_summary']}")


@run.command()
@click.argument("run_id", metavar="RUN")
@pass_call
def show(call: Call, run_id: str) -> None:
    """One run: status, steps and targets."""
    with open_door(call) as door:
        found = door.get(f"/runs/{run_id}")
    call.give(found)
    tell(call, found)


@run.command()
@click.argument("run_id", metavar="RUN")
@pass_call
def story(call: Call, run_id: str) -> None:
    """The run told in sentences, each naming the event that it rests on."""
    with open_door(call) as door:
        told = door.whole(f"/runs/{run_id}/story", of="lines")
    call.give(told)
    for line in told["lines"]:
        say_line(call, line)


@run.command()
@click.argument("run_id", metavar="RUN")
@click.option("--follow", "following", is_flag=True, help="Stay until the run has ended.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only events behind this number.")
@pass_call
def events(call: Call, run_id: str, following: bool, after: int) -> None:
    """The recorded facts of a run, oldest first; with --json one document per line."""
    with open_door(call) as door:
        if following:
            for event in follow(door, run_id, after=after):
                _say_event(call, event)
            return
        while True:
            answer = door.get(f"/runs/{run_id}/events", after=after, limit=_LIMIT_MAX)
            for event in answer["items"]:
                _say_event(call, event)
            if answer["next"] is None:
                return
            after = answer["next"]


@run.command("wait")
@click.argument("run_id", metavar="RUN")
@click.option("--timeout", type=DURATION, help="Give up after this long (exit code 124).")
@pass_call
def wait_for(call: Call, run_id: str, timeout: int | None) -> int:
    """Wait until the run has ended or waits for a person; the exit code says how."""
    with open_door(call) as door:
        return wait_and_tell(call, door, run_id, timeout_ms=timeout)


def wait_and_tell(call: Call, door: Door, run_id: str, *, timeout_ms: int | None) -> int:
    """Wait for the run, telling its story on the way. Returns the exit code of its status."""
    teller = _Teller(call, door, run_id)
    timeout_s = None if timeout_ms is None else timeout_ms / 1_000
    found = wait(door, run_id, timeout_s=timeout_s, told=teller.heard)
    teller.catch_up()
    call.give({"run": run_id, "bundle": found["bundle"], "status": found["status"]})
    note = found.get("pause_note") if found["status"] == "PAUSED" else found.get("outcome_reason")
    call.say(f"{run_id}: {found['status']}{f': {note}' if note else ''}")
    return of_run(found)


class _Teller:
    """Prints new lines of the story, at most about once a second."""

    _EVERY_S = 1.0

    def __init__(self, call: Call, door: Door, run_id: str) -> None:
        self._call, self._door, self._run_id = call, door, run_id
        self._told = 0
        self._last_s = 0.0

    def heard(self, event: Event) -> None:
        if time.monotonic() - self._last_s >= self._EVERY_S:
            self.catch_up()

    def catch_up(self) -> None:
        self._last_s = time.monotonic()
        try:
            lines = self._door.whole(f"/runs/{self._run_id}/story", of="lines")["lines"]
        except Ended:
            return  # the server is away for a moment; the next event brings it all
        for line in lines:
            if line["seq"] > self._told:
                say_line(self._call, line)
                self._told = line["seq"]


def say_line(call: Call, line: dict[str, Any]) -> None:
    call.say(f"{moment(line['ts_us'])}  [{line['seq']:>3} {line['hash'][:8]}]  {line['text']}")


def tell(call: Call, found: dict[str, Any]) -> None:
    """A run as text."""
    kind = "" if found["kind"] == "PROMOTE" else f", {found['kind']}"
    call.say(
        f"{found['id']}  {found['status']}  {found['bundle_name']} {found['bundle_version']}  "
        f"{found['region']} / {found['environment']}",
        f"bundle     {found['bundle']}",
        f"requested  {moment(found['requested_us'])} by {found['requested_by']}{kind}",
    )
    for name, key in (
        ("waits", "waits_for"),
        ("paused", "pause_note"),
        ("outcome", "outcome_reason"),
    ):
        if found.get(key):
            call.say(f"{name:<9}  {found[key]}")
    say_damaged(call, found.get("damaged", ()))
    call.say("")
    call.table(
        ("STEP", "STATUS", "ATTEMPTS", "SUMMARY"),
        [
            [s["id"], s["status"], len(s["attempts"]) or None, _clipped(_summary(s))]
            for s in found["steps"]
        ],
    )
    if any(target["changed"] for target in found["targets"]):
        call.say("")
        call.table(
            ("TARGET", "RUNS", "BEFORE", "HEALTHY"),
            [
                [t["target"], short(t["current"]), short(t["baseline"]), t["healthy"]]
                for t in found["targets"]
            ],
        )
    missing = found["approvals"]["missing"] if found["status"] == "AWAITING_APPROVAL" else []
    for lack in missing:
        call.say(f"approval: {lack}")
    if missing and found["approvals"]["shortage"]:
        call.say(f"approval: {found['approvals']['shortage']}")
    say_owed(call, found)


def _summary(step: dict[str, Any]) -> str:
    """What the step says, or for what time it waits."""
    time = step["time"]
    if time is None or step["attempts"]:
        return str(step["summary"])
    opens = f"opens {time['local']} {time['time_zone']}"
    return f"missed its window ({opens}): {time['missed']}" if time["missed"] else opens


def _clipped(text: str) -> str:
    """At most one line of a terminal; `--json` and the story have all of it."""
    return text if len(text) <= _SUMMARY_MAX else f"{text[: _SUMMARY_MAX - 1]}…"


def _say_event(call: Call, event: Event) -> None:
    call.give(event)
    if not call.as_json:
        call.say(
            f"{event['seq']:>4}  {moment(event['ts_us'])}  {event['kind']:<26} {event['actor']}"
        )
