"""Takes what waits in the outbox to its receivers, each in a lane of its own.

What may be sent now is decided in `engine.core.hook_book`. A lane lives as long as its receiver has
something due, so a slow one holds up nobody else; the engine never waits for any of them. A try is
on record behind its answer: a process that dies in between sends the message again, under its id.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Final

from engine.core.errors import AdapterFailed, Conflict, Malformed, NotFound, StorageFull
from engine.core.events import Recorded
from engine.core.fact_events import ApprovalRequested
from engine.core.hook_book import Answer, Hook, Waiting, due, judged
from engine.core.people_events import ApproversSeen
from engine.hooks.letters import Letters
from engine.hooks.noticing import Noticer
from engine.ports import Clock, EventStore
from engine.ports_notified import Notifier
from engine.redact import redact_record

_log = logging.getLogger(__name__)

DEADLINE_S: Final = 5.0
LOOK_EVERY_S: Final = 30.0
_FULL_S: Final = 5.0
# Between two looks at the outbox, however busy the log is.
_PAUSE_S: Final = 0.05
_LEAVE_S: Final = 1.0


class Postman:
    """Args:
    jitter_bp: 0 to 9,999, drawn anew for each wait.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        letters: Letters,
        notifier: Notifier,
        noticer: Noticer,
        jitter_bp: Callable[[], int] = lambda: secrets.randbelow(10_000),
    ) -> None:
        self._store, self._clock = store, clock
        self._letters, self._notifier, self._noticer = letters, notifier, noticer
        self._jitter_bp = jitter_bp
        self._lock = threading.Lock()
        self._lanes: dict[str, threading.Thread] = {}
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._look_at_s = 0.0
        self._full = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._work, name="postman", daemon=True)

    def start(self) -> None:
        """Begin; what waits since before is sent first."""
        self._unsubscribe = self._store.subscribe(self._recorded)
        self._thread.start()

    def stop(self) -> None:
        """What is on its way may still be answered for a second; the next start sends the rest."""
        self._stopping.set()
        self._wake.set()
        self._unsubscribe()
        with self._lock:
            lanes = tuple(self._lanes.values())
        for thread in (self._thread, *lanes):
            if thread.is_alive():
                thread.join(_LEAVE_S)

    def _recorded(self, batch: tuple[Recorded, ...]) -> None:
        if any(isinstance(one.event, ApprovalRequested | ApproversSeen) for one in batch):
            self._look_at_s = 0.0
        self._wake.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                wait_s = min(self._notice(), self._dispatch())
            except Exception:
                _log.exception("the postman could not look at the outbox")
                wait_s = _FULL_S
            self._wake.wait(wait_s)
            self._stopping.wait(_PAUSE_S)

    def _notice(self) -> float:
        """Look at what no event says, when it is time. Returns seconds until it is again."""
        left_s = self._look_at_s - self._clock.monotonic_s()
        if left_s > 0:
            return left_s
        self._look_at_s = self._clock.monotonic_s() + LOOK_EVERY_S
        try:
            self._noticer.look()
        except (StorageFull, Conflict) as error:
            _log.warning("what waits for people could not be recorded: %s", error)
        return LOOK_EVERY_S

    def _dispatch(self) -> float:
        """Open a lane for every receiver with something due. Returns seconds until the next is."""
        if self._full:
            self._full = False
            return _FULL_S
        wait_s = LOOK_EVERY_S
        for hook in self._store.waiting_hooks():
            now_us = self._clock.now_us()
            ready, next_us = due(self._store.outbox(hook), now_us)
            if ready:
                self._open_lane(hook)
            elif next_us is not None:
                wait_s = min(wait_s, (next_us - now_us) / 1_000_000)
        return max(wait_s, 0.01)

    def _open_lane(self, hook: str) -> None:
        with self._lock:
            if hook in self._lanes or self._stopping.is_set():
                return
            lane = threading.Thread(
                target=self._lane, args=(hook,), name=f"hook-{hook}", daemon=True
            )
            self._lanes[hook] = lane
        lane.start()

    def _lane(self, hook_id: str) -> None:
        try:
            while ready := self._due(hook_id):
                for waiting in ready:
                    hook = self._hook(hook_id)
                    if hook is None or self._stopping.is_set():
                        return
                    self._send(hook, waiting)
        except StorageFull as full:
            self._full = True
            _log.warning("deliveries wait for disk space: %s", full)
        except Exception:
            if not self._stopping.is_set():  # else the store is closed under us, as it may be
                self._full = True
                _log.exception("the lane of webhook %s broke off", hook_id)
        finally:
            with self._lock:
                self._lanes.pop(hook_id, None)
            self._wake.set()

    def _due(self, hook_id: str) -> tuple[Waiting, ...]:
        if self._stopping.is_set():
            return ()
        ready, _ = due(self._store.outbox(hook_id), self._clock.now_us())
        return ready

    def _hook(self, hook_id: str) -> Hook | None:
        return next((hook for hook in self._store.hooks() if hook.id == hook_id), None)

    def _send(self, hook: Hook, waiting: Waiting) -> None:
        began_s = self._clock.monotonic_s()
        answer = self._answer(hook, waiting)
        tried = judged(
            waiting,
            answer,
            now_us=self._clock.now_us(),
            took_ms=int((self._clock.monotonic_s() - began_s) * 1000),
            jitter_bp=self._jitter_bp(),
        )
        try:
            self._store.record((redact_record(tried),))
        except Conflict:  # the webhook was removed meanwhile, and the message with it
            _log.info("a delivery to %s was no longer waited for", hook.name)

    def _answer(self, hook: Hook, waiting: Waiting) -> Answer:
        try:
            letter = self._letters.letter(hook, waiting.message, now_us=self._clock.now_us())
            return self._notifier.deliver(letter, deadline_s=DEADLINE_S)
        except AdapterFailed as failed:
            return Answer(status=0, note=str(failed))
        except (Malformed, NotFound) as wrong:
            return Answer(status=0, note=str(wrong), final=True)
        except Exception as defect:
            # A message that we cannot write must not keep those behind it for ever.
            _log.exception("a message could not be delivered by a defect of ours")
            return Answer(status=0, note=f"a defect of ours: {type(defect).__name__}")
