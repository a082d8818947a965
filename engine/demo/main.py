"""The demo: a home of its own, the real server, a real fleet under load, and promotions played.

Everything that a visitor sees is made by the product itself; the demo only prepares the home,
plays the people, and ends every process that it started.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from engine import wiring
from engine.api.running import serve
from engine.core.errors import ReleaselineError, UnsafeConfig
from engine.demo.home import prepare
from engine.demo.player import OPERATOR, Player, Stopped
from engine.demo.scenarios import SCENARIOS
from engine.services import Services

_SIGNAL_BASE: Final = 128
_GRACE_S: Final = 5.0


def run_demo(home: Path, *, port: int | None, once: bool, speed: int, scenario: str) -> int:
    """Play `scenario` (or `all`) and return the exit code.

    Args:
        once: end after the last scenario; otherwise stay up until a signal comes.

    Raises:
        UnsafeConfig: the home or the port cannot be used, or the scenario is unknown.
    """
    names = list(SCENARIOS) if scenario == "all" else [scenario]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise UnsafeConfig(
            f"--scenario: expected all or one of {', '.join(SCENARIOS)}, found {unknown[0]!r}"
        )
    prepare(home)
    os.environ["RELEASELINE_HOME"] = str(home)
    os.environ["RELEASELINE_SPEED"] = str(speed)
    if port is not None:
        os.environ["RELEASELINE_PORT"] = str(port)
    services = wiring.open_house(os.environ)
    show = _Show(services, names, once=once, speed=speed)
    try:
        stopped_by = serve(services, beside=show.run)
    finally:
        show.stopping.set()
        try:
            services.stop()
        finally:
            for fleet in services.fleets.values():
                fleet.stop()
    if stopped_by is not None and not show.done:
        return _SIGNAL_BASE + stopped_by
    return show.exit_code


class _Show:
    """What runs beside the server: it plays, tells, and in the end stops the server or waits."""

    def __init__(self, services: Services, names: list[str], *, once: bool, speed: int) -> None:
        self._services, self._names, self._once, self._speed = services, names, once, speed
        self.stopping = threading.Event()
        self.exit_code = 0
        self.done = False

    def run(self, stop: Callable[[], None]) -> None:
        player = Player(self._services, speed=self._speed, say=_say, stopping=self.stopping)
        try:
            self._welcome()
            for name in self._names:
                self._play(player, name)
            self.done = True
        except Stopped:
            return
        except httpx.TransportError as error:
            # The server is told to stop before we are: then this is how we hear of it.
            if self.stopping.wait(_GRACE_S):
                return
            self._fail(error)
        except (ReleaselineError, OSError) as error:
            self._fail(error)
        finally:
            player.close()
            if self._once or self.exit_code:
                stop()
        if not self._once and not self.exit_code:
            _say("The demo stays up; Ctrl-C ends it and every process that it started.")

    def _fail(self, error: Exception) -> None:
        self.exit_code = 1
        print(f"The demo went wrong: {error}", file=sys.stderr, flush=True)

    def _welcome(self) -> None:
        url = self._services.settings.server.url
        secret = self._services.identity.create_link(OPERATOR, actor="engine")
        _say(f"Console   {url}")
        _say(f"Sign in   {url}/first-run#{secret}   (works once, for 15 minutes, as {OPERATOR})")
        if self._speed > 1:
            _say(f"Waiting times are divided by {self._speed}; no limit and no count is.")

    def _play(self, player: Player, name: str) -> None:
        began_s = time.monotonic()
        _say(f"\n== {name}: {SCENARIOS[name].__doc__}")
        played = SCENARIOS[name](player, self._once)
        _say(
            f"== {name}: {played.run_id} is {played.status} after "
            f"{time.monotonic() - began_s:.0f} s"
        )


def _say(text: str) -> None:
    print(text, flush=True)
