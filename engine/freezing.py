"""Freeze windows of a house: setting them, ending them, and what they mean for an environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.admission import Admission
from engine.asker import Asker, actor_of
from engine.core import freeze_rules, freezes
from engine.core.commands import Refusal
from engine.core.errors import NotFound
from engine.core.events import Recorded
from engine.core.freeze_events import FREEZES, FreezeAdded, FreezeEnded
from engine.core.freeze_rules import FreezeWish
from engine.core.freezes import Bar, Closure, Freeze, Place, Span
from engine.core.retirement import DAY_US
from engine.core.scopes import FREEZE
from engine.ports import Clock, EventStore
from engine.settings import Settings
from engine.time_zones import offset_at

_AHEAD_US: Final = 400 * DAY_US


class Freezing(Admission):
    """Thread-safe: what is in force is asked of the store at every call."""

    def __init__(self, store: EventStore, settings: Settings, clock: Clock) -> None:
        super().__init__(store, settings)
        self._clock = clock

    def places(self) -> tuple[Place, ...]:
        """Every environment of the house with its region, by name."""
        found = self._settings.environments.values()
        return tuple(
            Place(environment=one.name, region=one.region)
            for one in sorted(found, key=lambda one: one.name)
        )

    def place(self, environment: str) -> Place:
        """Raises `NotFound`."""
        one = self._settings.environment(environment)
        return Place(environment=one.name, region=one.region)

    def in_force(self) -> tuple[Freeze, ...]:
        """Every freeze that nobody has ended, in the order in which they were set."""
        return self._store.freezes()

    def freeze(self, freeze_id: str) -> Freeze:
        """Raises `NotFound`, also for one that was ended."""
        for one in self._store.freezes():
            if one.id == freeze_id:
                return one
        raise NotFound(f"There is no freeze {freeze_id} in force.")

    def bar(self, place: Place) -> Bar | None:
        """What keeps promotions from starting there now; None when nothing does."""
        return freezes.barring(self._store.freezes(), place, self._clock.now_us(), offset_at)

    def bars(self) -> dict[str, Bar | None]:
        """The same of every environment, by name."""
        return {place.environment: self.bar(place) for place in self.places()}

    def closes_us(self, place: Place) -> int | None:
        """When an environment that is open now closes next; None when no window says so."""
        return freezes.closes_us(self._store.freezes(), place, self._clock.now_us(), offset_at)

    def closures(self, place: Place, from_us: int, to_us: int) -> tuple[Closure, ...]:
        return freezes.closures(self._store.freezes(), place, from_us, to_us, offset_at)

    def window(self, freeze: Freeze) -> Span | None:
        """The freeze's window of now, else the one to come; None when all of them are over."""
        now_us = self._clock.now_us()
        begin_us = max(now_us, freeze.fact.from_us)
        found = freezes.spans(freeze, now_us, begin_us + _AHEAD_US, offset_at)
        return found[0] if found else None

    def covered(self, freeze: Freeze) -> tuple[str, ...]:
        """Environments that it applies to, as the settings are now, by name."""
        return tuple(one.environment for one in self.places() if freeze.applies(one))

    def why_not(self, asker: Asker, environments: tuple[str, ...], *, what: str) -> Refusal | None:
        """Why this person may not `what` (`set a freeze`) in all of these; None when they may."""
        actors = {name: actor_of(self._settings, asker, name) for name in environments}
        return freeze_rules.refusal(actors, what=what)

    def add(self, wish: FreezeWish, asker: Asker, *, command_id: str = "") -> Freeze:
        """Set a freeze; it counts from this moment on.

        Raises:
            NotFound: no such environment or region.
            Malformed: a field says nothing that can be meant.
            Refused: no role in one of the environments, or no reason. The attempt is on record.
        """
        where = freeze_rules.covered(wish.environments, wish.regions, self.places())
        offset = offset_at(wish.time_zone, where="time_zone")

        def fact(known: Sequence[Recorded]) -> FreezeAdded:
            return freeze_rules.added(
                wish,
                number=1 + sum(isinstance(one.event, FreezeAdded) for one in known),
                by=asker.user,
                now_us=self._clock.now_us(),
                people=self._settings.people,
                offset_at=offset,
            )

        attempt = _Attempt(verb=FREEZE, what="set a freeze", where=where, subject=wish.name)
        done = self._record(fact, attempt, asker, wish.reason, wish.ticket, command_id)
        return freeze_of(done)

    def end(
        self,
        freeze_id: str,
        asker: Asker,
        *,
        reason: str,
        ticket: str = "",
        command_id: str = "",
    ) -> Freeze:
        """End it now, whatever its window says. Returns what was ended.

        Raises:
            NotFound: none of that name is in force.
            Refused: as `add`.
        """
        before = self._ended(command_id)
        if before is not None:
            return before
        one = self.freeze(freeze_id)
        # One that covers nothing any more, since the settings changed, is everybody's to end.
        where = self.covered(one) or tuple(place.environment for place in self.places())

        def fact(_: Sequence[Recorded]) -> FreezeEnded:
            still = self.freeze(freeze_id)  # somebody else may have ended it meanwhile
            return freeze_rules.ended(still, reason=reason, ticket=ticket)

        attempt = _Attempt(verb="end_freeze", what="end a freeze", where=where, subject=freeze_id)
        self._record(fact, attempt, asker, reason, ticket, command_id)
        return one

    def _ended(self, command_id: str) -> Freeze | None:
        """What this command ended before; None for a new one."""
        done = self._store.by_command(command_id) if command_id else ()
        ended = {one.event.freeze for one in done if isinstance(one.event, FreezeEnded)}
        known = self._store.load(FREEZES) if ended else ()
        return next(
            (
                freeze_of(one)
                for one in known
                if isinstance(one.event, FreezeAdded) and one.event.freeze in ended
            ),
            None,
        )

    def _record(
        self,
        fact: Callable[[Sequence[Recorded]], FreezeAdded | FreezeEnded],
        attempt: _Attempt,
        asker: Asker,
        reason: str,
        ticket: str,
        command_id: str,
    ) -> Recorded:
        """Append what `fact` makes of the freezes on record, if the asker may."""
        return self.append_admitted(
            FREEZES,
            fact,
            asker,
            attempt.verb,
            lambda: self.why_not(asker, attempt.where, what=attempt.what),
            command_id=command_id,
            environment=attempt.where[0] if len(attempt.where) == 1 else "",
            subject=attempt.subject,
            asked=reason,
            ticket=ticket,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What is tried, as it stands in the record of its denial. `where`: environments, not none."""

    verb: str
    what: str
    where: tuple[str, ...]
    subject: str


def freeze_of(recorded: Recorded) -> Freeze:
    """The freeze that this event set."""
    (one,) = freezes.evolve({}, recorded).values()
    return one
