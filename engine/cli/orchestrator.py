"""`orchestrator`: what the engine works on now, who waits for whom, which jobs run."""

from __future__ import annotations

from typing import Any

import click

from engine.cli.call import Call, Leaf, moment, pass_call
from engine.cli.door import open_door


@click.command(cls=Leaf)
@pass_call
def orchestrator(call: Call) -> None:
    """Open runs with what the engine does about each, queues, jobs, and what is stuck."""
    with open_door(call) as door:
        answer = door.get("/orchestrator")
    call.give(answer)
    call.say(_worker(answer["worker"]))
    call.table(
        ("RUN", "STATUS", "ENVIRONMENT", "STEP", "SINCE", "ENGINE"),
        [
            [
                one["run"],
                one["status"],
                one["environment"],
                one["step"],
                moment(one["since_us"]),
                one["defect"] or one["stuck"] or one["serving"],
            ]
            for one in answer["runs"]
        ],
    )
    call.say("")
    call.table(
        ("ENVIRONMENT", "HELD BY", "NEXT IN LINE"),
        [[one["environment"], one["holder"], ", ".join(one["queued"])] for one in answer["queues"]],
    )
    call.say("")
    call.table(
        ("JOB", "STATE", "LAST", "NEXT", "WHAT CAME OF IT"),
        [
            [one["name"], one["word"], moment(one["last_us"]), moment(one["next_us"]), one["text"]]
            for one in answer["jobs"]
        ],
    )
    if answer["stuck"]:
        call.say(f"Stuck: {', '.join(answer['stuck'])}.")


def _worker(one: dict[str, Any]) -> str:
    head = "" if one["running"] else "The engine is not stepping. "
    full = " The disk is full: nothing can be recorded." if one["storage_full"] else ""
    busy = f"{one['working']} of {one['threads']} threads busy, {one['waiting']} runs waiting."
    return f"{head}{busy}{full}"
