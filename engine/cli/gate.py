"""`gate-replay` and `gate-backtest`: stored ticks judged again, as they were and otherwise."""

from __future__ import annotations

from typing import Final

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.door import open_door
from engine.cli.exits import DONE, MISMATCH, USAGE, Ended
from engine.core.gate_replay import Difference


@click.command("gate-replay", cls=Leaf)
@click.argument("run_id", metavar="RUN")
@pass_call
def gate_replay(call: Call, run_id: str) -> int:
    """Judge every stored tick of a run again, and compare action, rule and sealed evidence.

    Exit code 0 when all are the same, 20 at any difference, 4 when nothing was watched yet.
    """
    with open_door(call) as door:
        answer = door.get(f"/runs/{run_id}/gate-replay")
    call.give(answer)
    call.table(
        ("STAGE", "ATTEMPTS", "TICKS", "DECISIONS", "LAST ANSWER", "REPLAY"),
        [
            [
                one["step"],
                "-".join(str(n) for n in sorted(set(one["attempts"]))),
                one["ticks"],
                one["decisions"],
                f"{one['action']} (rule {one['rule']})" if one["action"] else None,
                "same" if one["same"] else "NOT the same",
            ]
            for one in answer["items"]
        ],
    )
    for one in answer["items"]:
        for found in one["differences"]:
            call.say(f"{one['step']} {Difference(**found)}")
    call.say(answer["sentence"])
    return DONE if answer["same"] else MISMATCH


@click.command("gate-backtest", cls=Leaf)
@click.option(
    "--set", "changes", multiple=True, required=True, metavar="NAME=VALUE",
    help="What to move, as in a workflow: error_rate.max=2%, judge.margin=1.5, healthy.for=3m.",
)  # fmt: skip
@click.option("--run", "runs", multiple=True, metavar="RUN", help="Only these runs.")
@click.option("--environment", default="", help="Only runs to this environment.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True,
              help="At most so many of the newest runs.")  # fmt: skip
@pass_call
def gate_backtest(
    call: Call, changes: tuple[str, ...], runs: tuple[str, ...], environment: str, limit: int
) -> None:
    """Say what other limits would have done to past stages, on their stored ticks only.

    A false alarm is a rollback of a run that ended well; a miss lets pass what was rolled back.
    """
    pairs = [text.partition("=") for text in changes]
    for text, (name, equals, value) in zip(changes, pairs, strict=True):
        if not (name.strip() and equals and value.strip()):
            raise Ended(USAGE, f"--set: expected NAME=VALUE, found {text!r}.")
    body = {
        "changes": {name.strip(): value.strip() for name, _, value in pairs},
        "runs": list(runs),
        "environment": environment,
        "limit": limit,
    }
    with open_door(call) as door:
        answer = door.post("/gate-backtests", body)
    call.give(answer)
    call.table(
        ("RUN", "STAGE", "RUN ENDED", "RECORDED", "WOULD HAVE", "WHICH IS"),
        [
            [
                one["run"],
                one["step"],
                _ENDED[one["good"]],
                one["then"]["text"],
                "-" if one["now"] is None else one["now"]["text"],
                one["verdict"].replace("_", " "),
            ]
            for one in answer["items"]
        ],
    )
    call.say(answer["sentence"])


_ENDED: Final = {True: "well", False: "rolled back", None: "unknown"}
