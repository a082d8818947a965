"""`serve` and `demo`: the server in this process, until it is told to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.exits import DONE, INTERRUPTED

_PORT: Final = click.IntRange(1, 65_535)
_SPEED: Final = click.IntRange(1, 1_000)
_DEMO_SPEED: Final = 15


@click.command(cls=Leaf)
@click.option("--port", type=_PORT, help="Instead of the settings' server.port.")
@click.option("--speed", type=_SPEED, default=None, help="Divide the waiting times of new runs.")
@pass_call
def serve(call: Call, port: int | None, speed: int | None) -> int:
    """Run engine, console and API on a home, in this process.

    SIGTERM and Ctrl-C stop it; open runs go on when it is started again.
    """
    from engine import wiring  # noqa: PLC0415 (brings the whole engine)
    from engine.api import running  # noqa: PLC0415

    home = call.home.resolve()
    os.environ["RELEASELINE_HOME"] = str(home)
    if port is not None:
        os.environ["RELEASELINE_PORT"] = str(port)
    if speed is not None:
        os.environ["RELEASELINE_SPEED"] = str(speed)
    services = wiring.open_house(os.environ)
    try:
        url = services.settings.server.url

        def announce(_: Callable[[], None]) -> None:
            call.give({"url": url, "home": str(home), "pid": os.getpid()})
            call.say(
                f"Releaseline answers at {url}, home {home}",
                f"Sign in: releaseline admin link --user NAME --home {home}",
            )

        stopped_by = running.serve(services, beside=announce)
    finally:
        services.stop()
    return _exit_code(stopped_by)


@click.command(cls=Leaf)
@click.option("--port", type=_PORT, help="Instead of 8501.")
@click.option("--once", is_flag=True, help="Play to the sealed end, verify the pack, and exit.")
@click.option(
    "--speed",
    type=_SPEED,
    default=_DEMO_SPEED,
    show_default=True,
    help="Divides hold, poll and wait times; never a count, a limit or a decision.",
)
@click.option(
    "--scenario",
    type=click.Choice(["healthy", "canary-regression", "gate-fail", "no-traffic", "all"]),
    default="healthy",
    show_default=True,
)
@pass_call
def demo(call: Call, port: int | None, once: bool, speed: int, scenario: str) -> int:
    """Play promotions on a real fleet of ten service processes under real load.

    Makes the home when there is none. Ctrl-C ends every process that it started.
    """
    from engine.demo.main import run_demo  # noqa: PLC0415 (brings the whole engine)

    return run_demo(Path(call.home).resolve(), port=port, once=once, speed=speed, scenario=scenario)


def _exit_code(stopped_by: int | None) -> int:
    """A stop that was asked for is no failure: 143 for SIGTERM says who asked, as shells do."""
    if stopped_by is None:
        return DONE
    return INTERRUPTED if stopped_by == signal.SIGINT else 128 + stopped_by
