"""Looks at every integration in the background, and keeps what was found.

No page and no request ever asks an integration: they read what stands here. A change of level is an
event, so since when something is down survives a restart; single looks are not on record.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.asker import Asker, refusal_of
from engine.core.commands import Refusal
from engine.core.data_health import Integration, Level, answered, known_at, not_answered
from engine.core.errors import AdapterFailed, Conflict, NotFound, ReleaselineError
from engine.core.events import Recorded
from engine.core.health_events import HEALTH, DataHealthChanged
from engine.core.scopes import PROBE_INTEGRATION
from engine.core.statemachine import Role
from engine.ports import Clock, EventStore
from engine.ports_integrations import Probe
from engine.recording import append_to
from engine.redact import redact
from engine.settings import Settings
from engine.trail.denials import admit

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_STOP_S: Final = 1.0
_MAY_LOOK: Final = frozenset({Role.ADMIN, Role.SRE, Role.RELEASE_MANAGER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A probe and how long one look of it may take."""

    probe: Probe
    deadline_s: float


class Prober:
    """Thread-safe. `every_s`: between two looks at each integration."""

    def __init__(
        self, *, store: EventStore, clock: Clock, settings: Settings, probes: Sequence[Probed]
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self.every_s = settings.integrations.every_s
        self._probes = {one.probe.name: one for one in probes}
        self._lock = threading.Lock()
        self._looking: set[str] = set()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._threads: list[threading.Thread] = []
        self._round = threading.Thread()
        self._stopped = threading.Event()
        self._found = {
            name: Integration(name=name, kind=one.probe.kind) for name, one in self._probes.items()
        }
        for recorded in store.load(HEALTH):
            self._restore(recorded)

    # --- what is known ------------------------------------------------------------------------

    def integrations(self) -> tuple[Integration, ...]:
        """Each as it is known now, in the order of the settings."""
        now_us = self._clock.now_us()
        with self._lock:
            found = tuple(self._found.values())
        return tuple(known_at(one, now_us=now_us, every_s=self.every_s) for one in found)

    def addresses(self) -> Mapping[str, str]:
        """What is asked, by name; without secrets."""
        return {name: one.probe.address for name, one in self._probes.items()}

    def looking(self) -> frozenset[str]:
        """Which are being looked at right now."""
        with self._lock:
            return frozenset(self._looking)

    # --- looking ------------------------------------------------------------------------------

    def look_at_all(self) -> None:
        """One round; ends when every probe has answered or its time is over."""
        threads = [self._thread(name) for name in self._probes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def begin_round(self) -> None:
        """A round in the background; nothing when the one before has not ended."""
        with self._lock:
            if not self._probes or self._stopped.is_set() or self._round.is_alive():
                return
            self._round = threading.Thread(target=self.look_at_all, name="probes", daemon=True)
            self._round.start()

    def why_not(self, name: str, asker: Asker) -> Refusal | None:
        """Why they may not have it looked at now; None when they may."""
        what = "have an integration probed"
        why = refusal_of(self._settings, asker, PROBE_INTEGRATION, _MAY_LOOK, what=what)
        if why is None and name in self.looking():
            return Refusal(sentence=f"{name} is being looked at right now.", code="state")
        return why

    def wake(self, name: str, asker: Asker) -> None:
        """Have the integration looked at now, in the background.

        Raises:
            NotFound: there is none of this name.
            Refused: not allowed now. The attempt is on record.
        """
        if name not in self._probes:
            known = ", ".join(self._probes) or "none"
            raise NotFound(f"There is no integration {name!r}; there are: {known}.")
        why = self.why_not(name, asker)
        admit(self._store, why, user=asker.user, action=PROBE_INTEGRATION, subject=name)
        thread = self._thread(name)
        with self._lock:
            if self._stopped.is_set():
                raise Conflict("The engine is being stopped.")
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the looks that somebody asked for have ended."""
        for thread in tuple(self._threads):
            thread.join(timeout_s)

    def stop(self) -> None:
        """What is under way ends by its deadline, waited for or not; nothing of it is recorded."""
        self._stopped.set()
        self.wait(_STOP_S)

    def _thread(self, name: str) -> threading.Thread:
        # A daemon: a server that does not answer must not hold the process at its end.
        return threading.Thread(target=self._look, args=(name,), name=f"probe {name}", daemon=True)

    def _look(self, name: str) -> None:
        one = self._probes[name]
        with self._turns:
            with self._lock:
                if name in self._looking or self._stopped.is_set():
                    return
                self._looking.add(name)
            try:
                after = self._asked(one.probe, one.deadline_s)
                self._keep(after)
            finally:
                with self._lock:
                    self._looking.discard(name)

    def _asked(self, probe: Probe, deadline_s: float) -> Integration:
        began_s = time.monotonic()
        with self._lock:
            before = self._found[probe.name]
        try:
            found = probe.probe(deadline_s=deadline_s)
        except AdapterFailed as failed:
            at_us = self._clock.now_us()
            if failed.transient:
                return not_answered(before, redact(str(failed)), at_us=at_us)
            took_ms = int((time.monotonic() - began_s) * 1000)
            told = redact(str(failed))
            return answered(before, Level.FAIL, told, latency_ms=took_ms, at_us=at_us)
        except Exception as defect:
            # A defect of ours says nothing about the other side, and must not end the round.
            _log.exception("looking at %s failed by a defect", probe.name)
            return not_answered(
                before,
                f"could not be looked at: {type(defect).__name__}",
                at_us=self._clock.now_us(),
            )
        return answered(
            before,
            found.level,
            redact(found.reason),
            latency_ms=found.latency_ms,
            at_us=self._clock.now_us(),
        )

    def _keep(self, after: Integration) -> None:
        with self._lock:
            before = self._found[after.name]
            self._found[after.name] = after
        changed = before.level is not after.level
        if not changed or self._stopped.is_set():
            return
        event = DataHealthChanged(
            name=after.name,
            kind=after.kind,
            level=after.level.value,
            reason=after.reason,
            last_good_us=after.last_good_us or 0,
        )
        try:
            append_to(self._store, HEALTH, event, actor="engine")
        except ReleaselineError as error:  # it is known all the same, and told
            _log.warning("a change of %s could not be recorded: %s", after.name, error)

    def _restore(self, recorded: Recorded) -> None:
        event = recorded.event
        if not isinstance(event, DataHealthChanged) or event.name not in self._found:
            return
        self._found[event.name] = replace(
            self._found[event.name],
            level=Level(event.level),
            reason=event.reason,
            since_us=recorded.ts_us,
            last_us=recorded.ts_us,
            last_good_us=event.last_good_us or None,
        )
