"""One target's turn: from what it runs now to the bundle that the plan names.

What to do is decided from what is seen: which process carries the target's marker, and which
digest that process reports. Nothing is remembered between calls, so a turn that was cut off at any
line is finished, and not repeated, by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, ReleaselineError
from engine.core.plan import TargetChange
from engine.fleet import marker
from engine.fleet.control import Fleet
from engine.fleet.marker import Process
from engine.fleet.shelf import Shelf
from engine.ports import BlobStore, TargetOutcome, TargetResult

DRAIN_S: Final = 5.0
STOP_GRACE_S: Final = 10.0
STOP_LEAST_S: Final = 0.5
HEALTH_S: Final = 30.0
LOOK_S: Final = 2.0
_POLL_S: Final = 0.01

Say = Callable[[str, str], None]  # phase, message


class Deadline:
    """A moment on the monotonic clock; parts of a turn ask how much is left for them."""

    def __init__(self, after_s: float) -> None:
        self._at = time.monotonic() + after_s

    def left_s(self, at_most: float = 3600.0) -> float:
        return max(0.0, min(at_most, self._at - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Seen:
    """What runs for a target. `process` is set only when it is exactly one."""

    process: Process | None
    others: tuple[Process, ...]
    digest: Digest | None = None
    ready: bool | None = None
    trouble: str = ""
    epoch: int = 0
    since_us: int | None = None

    @property
    def running(self) -> tuple[Process, ...]:
        return self.others if self.process is None else (self.process, *self.others)


def look(fleet: Fleet, running: tuple[Process, ...], *, deadline_s: float) -> Seen:
    """Ask the process of a target what it runs. No answer is an unknown digest, not an error."""
    if not running:
        return Seen(None, (), trouble="no process runs")
    if len(running) > 1:
        pids = ", ".join(str(p.pid) for p in running)
        return Seen(None, running, trouble=f"several processes run: {pids}")
    try:
        health = fleet.health(running[0], deadline_s=deadline_s)
        return Seen(
            running[0],
            (),
            digest=_digest(health),
            ready=bool(health["ready"]),
            trouble=str(health["trouble"]),
            epoch=int(health["epoch"]),
            since_us=int(health["since_us"]),
        )
    except AdapterFailed as failed:
        return Seen(running[0], (), trouble=str(failed))
    except (KeyError, TypeError, ValueError, Malformed) as error:
        return Seen(running[0], (), trouble=f"unreadable answer: {error}")


def _digest(health: Mapping[str, Any]) -> Digest | None:
    text = health["digest"]
    return None if text is None else Digest.parse(str(text))


class Turn:
    """Carries out one change. Used once, by one thread."""

    def __init__(
        self, fleet: Fleet, blobs: BlobStore, change: TargetChange, *, epoch: int, say: Say
    ) -> None:
        self._fleet = fleet
        self._blobs = blobs
        self._target = change.target
        self._to = change.to_digest
        self._epoch = epoch
        self._say = say
        self._shelf = Shelf(fleet.home(change.target))

    def take(self, drained: bool, deadline: Deadline) -> TargetResult:
        """Args:
        drained: whether the router gives the target no traffic now, as a cut-off turn leaves it.
        """
        began = time.monotonic()
        try:
            with self._shelf.held(deadline_s=deadline.left_s(LOOK_S * 5)):
                outcome, seen, note = self._change(drained, deadline)
        except AdapterFailed as failed:
            outcome, seen, note = TargetOutcome.UNKNOWN, self._look(deadline), str(failed)
        except (ReleaselineError, OSError) as error:
            outcome, seen, note = TargetOutcome.FAILED, self._look(deadline), str(error)
        if outcome not in {TargetOutcome.CHANGED, TargetOutcome.NOOP}:
            self._say("fail", f"{outcome}: {note}")
        return TargetResult(
            target=self._target,
            outcome=outcome,
            digest=seen.digest,
            healthy=seen.ready,
            note=note,
            duration_ms=int((time.monotonic() - began) * 1000),
        )

    def _look(self, deadline: Deadline) -> Seen:
        running = self._fleet.services(self._target)
        return look(self._fleet, running, deadline_s=max(0.2, deadline.left_s(LOOK_S)))

    def _change(self, drained: bool, deadline: Deadline) -> tuple[TargetOutcome, Seen, str]:
        if not self._shelf.accept(self._epoch):
            seen = self._look(deadline)
            newer = self._shelf.epoch()
            return TargetOutcome.FENCED, seen, f"epoch {self._epoch} is older than {newer}"
        seen = self._settled(deadline)
        if seen.process is not None and seen.digest == self._to and seen.ready:
            if self._shelf.current() != self._to:
                # Killed between a switch and its stop, and asked for the way back since.
                if trouble := self._make_present():
                    return TargetOutcome.FAILED, seen, trouble
                self._shelf.switch(self._to)
            if drained:
                self._serve_again(seen.process, deadline)
            self._say("noop", f"already runs {self._to.short}")
            return TargetOutcome.NOOP, seen, ""
        trouble = self._make_present()
        if trouble:
            return TargetOutcome.FAILED, self._look(deadline), trouble
        if not deadline.left_s():
            return TargetOutcome.FAILED, self._look(deadline), "no time was left to switch it"
        self._drain(deadline)
        try:
            self._shelf.switch(self._to)
        except OSError:
            if seen.process is not None:  # it serves as before: give it back its traffic
                self._serve_again(seen.process, deadline)
            raise
        self._say("switch", f"current is {self._to.short}")
        return self._restart(seen, deadline)

    def _settled(self, deadline: Deadline) -> Seen:
        """What runs, after giving a process that has just been started the time to say so."""
        until = Deadline(deadline.left_s(LOOK_S))
        while True:
            seen = self._look(deadline)
            starting = seen.process is not None and not seen.ready
            if not starting or self._shelf.current() != self._to or not until.left_s():
                return seen
            time.sleep(_POLL_S)

    def _make_present(self) -> str:
        """Have the bundle lie at the target, every byte re-hashed; else say why not."""
        if self._shelf.intact(self._to):
            self._say("verify", f"{self._to} re-hashed at the target")
            return ""
        try:
            size = self._shelf.store(self._to, self._blobs)
        except (ReleaselineError, OSError) as error:
            return f"bundle {self._to.short} not brought to the target: {error}"
        self._say("fetch", f"{self._to}, {size} bytes")
        self._say("verify", f"{self._to} re-hashed at the target")
        return ""

    def _drain(self, deadline: Deadline) -> None:
        wait_s = deadline.left_s(DRAIN_S)
        body = {"target": self._target, "wait_s": wait_s}
        answer = self._fleet.router("/drain", body, deadline_s=wait_s + LOOK_S)
        self._say("drain", f"{answer['in_flight']} requests under way")

    def _restart(self, seen: Seen, deadline: Deadline) -> tuple[TargetOutcome, Seen, str]:
        if not marker.end_all(
            seen.running, grace_s=max(STOP_LEAST_S, deadline.left_s(STOP_GRACE_S))
        ):
            return TargetOutcome.UNKNOWN, self._look(deadline), "its process does not end"
        process = self._fleet.start_service(self._target)
        self._say("start", f"pid {process.pid} on port {process.port}")
        now = self._healthy(process, deadline)
        if not now.ready or now.digest != self._to:
            answered = now.ready is not None
            note = f"not ready: {now.trouble}" if not now.ready else f"runs {now.digest}"
            # It stays without traffic: whether to go back is not a driver's decision.
            return TargetOutcome.FAILED if answered else TargetOutcome.UNKNOWN, now, note
        self._say("health", f"ready on {now.digest}")
        self._serve_again(process, deadline)
        self._shelf.prune()
        self._say("done", f"runs {now.digest}")
        return TargetOutcome.CHANGED, now, ""

    def _healthy(self, process: Process, deadline: Deadline) -> Seen:
        """Wait for the process to be ready, or to say that it never will be."""
        until = Deadline(deadline.left_s(HEALTH_S))
        while True:
            seen = look(self._fleet, (process,), deadline_s=max(0.1, until.left_s(LOOK_S)))
            if marker.read(process.pid) is None:
                return Seen(None, (), ready=False, trouble="it ended while starting")
            hopeless = seen.ready is False and seen.trouble != "starting"
            if seen.ready or hopeless or not until.left_s():
                return seen
            time.sleep(_POLL_S)

    def _serve_again(self, process: Process, deadline: Deadline) -> None:
        body = {"target": self._target, "port": process.port}
        answer = self._fleet.router(
            "/undrain", body, deadline_s=max(LOOK_S, deadline.left_s(LOOK_S))
        )
        self._say("weight", f"back to {answer['weight']}")
