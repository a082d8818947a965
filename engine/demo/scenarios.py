"""What the demo can show: each scenario plays one promotion and checks how it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.statemachine import TERMINAL, RunStatus
from engine.demo.player import OPERATOR, DemoFailed, Player

STAGE, PROD = "eu-stage", "eu-prod"
_TIMEOUT_S: Final = 1_800.0
# Nobody is there to help a run on that a scenario expects to end by itself.
_STUCK: Final = frozenset({RunStatus.PAUSED, RunStatus.ROLLBACK_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run that ended, or paused, as its scenario said."""

    run_id: str
    status: RunStatus


Scenario = Callable[[Player, bool], Played]


def healthy(player: Player, once: bool) -> Played:
    """A sound release passes every stage and is sealed."""
    return _ends(player, "healthy", RunStatus.SUCCEEDED, on_new=10, once=once)


def canary_regression(player: Player, once: bool) -> Played:
    """The new version fails 5 % of its requests: found at 10 %, rolled back by itself."""
    return _ends(player, "regression", RunStatus.ROLLED_BACK, on_new=0, once=once)


def gate_fail(player: Player, once: bool) -> Played:
    """The bundle ships a package that is known to be exploited: no target is touched."""
    return _ends(player, "exploited", RunStatus.REJECTED, on_new=0, once=once)


def no_traffic(player: Player, once: bool) -> Played:
    """Nobody uses the canary, so nothing is known of it: the run pauses and asks a person."""
    run_id, bundle = _request(player, "healthy")

    def stop_load(_: str, run: dict[str, Any]) -> None:
        if run["current_step"] == "canary-10" and not stopped:
            player.no_load(PROD)
            stopped.append(run_id)

    stopped: list[str] = []
    run = player.play(
        run_id,
        until=frozenset({RunStatus.PAUSED}),
        timeout_s=_TIMEOUT_S,
        on_status=stop_load,
    )
    _expect(run, RunStatus.PAUSED)
    player.verify(player.export(run_id, "partial"))
    if not once:
        return Played(run_id=run_id, status=RunStatus.PAUSED)
    on_new = player.on_bundle(PROD, bundle)
    player.say(f"{run_id} is PAUSED with {on_new} target on the new bundle; it is closed now")
    player.act(
        OPERATOR,
        run_id,
        "close_failed",
        reason="no traffic reached the canary; the targets stay as they are",
        confirm=run_id,
    )
    ended = player.play(run_id, until=TERMINAL, timeout_s=120)
    _expect(ended, RunStatus.FAILED)
    return Played(run_id=run_id, status=RunStatus.FAILED)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "healthy": healthy,
    "canary-regression": canary_regression,
    "gate-fail": gate_fail,
    "no-traffic": no_traffic,
}


def _ends(player: Player, kind: str, expected: RunStatus, *, on_new: int, once: bool) -> Played:
    run_id, bundle = _request(player, kind)
    # A visitor may pause the run and let it go on; without one, a pause is the wrong end.
    until = TERMINAL | _STUCK if once else TERMINAL
    run = player.play(run_id, until=until, timeout_s=_TIMEOUT_S if once else math.inf)
    if run["status"] != expected and not once:
        player.say(f"{run_id} ended {run['status']}: somebody acted on it meanwhile")
        return Played(run_id=run_id, status=RunStatus(run["status"]))
    _expect(run, expected)
    found = player.on_bundle(PROD, bundle)
    if found != on_new:
        raise DemoFailed(f"expected {on_new} healthy targets on {bundle[:19]}, found {found}")
    player.verify(player.export(run_id, "audit-pack"))
    return Played(run_id=run_id, status=expected)


def _request(player: Player, kind: str) -> tuple[str, str]:
    player.bring_up(PROD, lambda: Digest.parse(player.bundle("before")["digest"]))
    bundle = player.bundle(kind)
    player.bring_up(STAGE, lambda: Digest.parse(bundle["digest"]))
    player.load(PROD)
    run_id = player.promote(bundle["digest"], PROD, f"demo: {kind}")
    return run_id, bundle["digest"]


def _expect(run: dict[str, Any], expected: RunStatus) -> None:
    if run["status"] != expected:
        why = run["outcome_reason"] or run["pause_note"]
        raise DemoFailed(f"{run['id']}: expected {expected}, found {run['status']}: {why}")
