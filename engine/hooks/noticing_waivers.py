"""Tells that a waiver waits for its second person, and that one will end soon: once each."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_waits import WAIVER_ENDING, WAIVER_REQUESTED
from engine.core.local_time import utc_text
from engine.core.waiver_events import WAIVERS
from engine.core.waivers import Waiver, Waivers, WaiverState, ends_soon
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.waiver_register import register


class WaiverNoticer:
    """`look` is called by one thread at a time.

    Args:
        may_judge: people who may grant or refuse a waiver.
    """

    def __init__(
        self,
        store: EventStore,
        clock: Clock,
        may_judge: Callable[[Waiver], tuple[str, ...]],
    ) -> None:
        self._store, self._clock, self._may_judge = store, clock, may_judge
        self._read = -1
        self._known: Waivers = {}
        self._told: set[str] = set()

    def look(self) -> None:
        """Record what is not on record yet. Raises `StorageFull`, `Conflict`."""
        version, now_us = self._store.version(WAIVERS), self._clock.now_us()
        if version != self._read:
            self._read, self._known = version, register(self._store)
        for one in self._known.values():
            state = one.state(now_us)
            what = f"{one.fact.finding} in {one.fact.purl}"
            if state is WaiverState.REQUESTED:
                text = f"{one.by} asks to waive {what} ({one.id}): {one.fact.reason}"
                self._raise(WAIVER_REQUESTED, one, text)
            elif state is WaiverState.GRANTED and ends_soon(one, now_us):
                until = utc_text(one.fact.expires_us)
                self._raise(WAIVER_ENDING, one, f"{one.id} for {what} ends at {until}.")

    def _raise(self, name: str, one: Waiver, text: str) -> None:
        command_id = f"notice/{name}//{one.id}"
        if command_id in self._told:
            return
        if not self._store.by_command(command_id):
            asks = name == WAIVER_REQUESTED
            where = one.fact.environments
            event = NoticeRaised(
                name=name,
                run="",
                environment=where[0] if len(where) == 1 else "",
                occasion=one.id,
                text=text,
                people=self._may_judge(one) if asks else (one.by,),
            )
            append_to(self._store, HOOKS, event, actor="engine", command_id=command_id)
        self._told.add(command_id)
