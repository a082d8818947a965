"""Tells that an environment was frozen, by what, and that it is open again: once for each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.core.digest import Digest
from engine.core.freezes import Bar, sentence
from engine.core.hook_events import HOOKS, NoticeRaised
from engine.core.hook_waits import FROZEN, OPENED
from engine.ports import EventStore
from engine.recording import append_to


class FreezeNoticer:
    """`look` is called by one thread at a time.

    Args:
        bars: what bars each environment now, by its name; None = nothing.
    """

    def __init__(self, store: EventStore, bars: Callable[[], Mapping[str, Bar | None]]) -> None:
        self._store, self._bars = store, bars
        # What each environment was last told to be frozen by, as far as the log was read.
        self._told: dict[str, frozenset[str]] = {}
        for one in store.of_kinds([NoticeRaised.TYPE]):
            event = one.event
            if isinstance(event, NoticeRaised) and event.name in {FROZEN, OPENED}:
                keys = event.occasion.split() if event.name == FROZEN else []
                self._told[event.environment] = frozenset(keys)

    def look(self) -> None:
        """Record what is not on record yet. Raises `StorageFull`, `Conflict`."""
        for environment, bar in self._bars().items():
            told = self._told.get(environment, frozenset())
            keys = frozenset() if bar is None else frozenset(bar.keys)
            if bar is not None and not keys <= told:
                self._raise(FROZEN, environment, bar.keys, sentence(bar, environment))
            elif bar is None and told:
                text = f"{environment} is open again: promotions may start."
                self._raise(OPENED, environment, tuple(sorted(told)), text)
            self._told[environment] = keys

    def _raise(self, name: str, environment: str, keys: tuple[str, ...], text: str) -> None:
        occasion = " ".join(keys)
        event = NoticeRaised(
            name=name, run="", environment=environment, occasion=occasion, text=text, people=()
        )
        command_id = f"notice/{name}/{environment}/{Digest.of(occasion.encode()).hex}"
        if not self._store.by_command(command_id):
            append_to(self._store, HOOKS, event, actor="engine", command_id=command_id)
