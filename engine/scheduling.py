"""Schedules at the door: who may make and end one, and what is known of them.

The runs that they make are `engine.scheduling_runs`'; whether and when such a run starts is said by
`engine.starting`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from engine.admission import Admission
from engine.asker import Asker
from engine.catalog import Catalog
from engine.core import holds, preconditions, schedules
from engine.core.commands import Action, Refusal, Window
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.firings import Firing, check, coming, firings
from engine.core.local_time import clock_text, day_text, local
from engine.core.preconditions import SOAKED, Precondition
from engine.core.recurrence import in_words, parse_rule
from engine.core.run import Run
from engine.core.schedule_events import STREAM, ScheduleCancelled, ScheduleCreated, Timing
from engine.core.schedules import Schedule
from engine.core.scopes import SCHEDULE
from engine.core.spans import limit_text
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.scheduling_history import ScheduleHistory
from engine.scheduling_runs import ScheduleRuns
from engine.settings import Settings
from engine.time_zones import offset_at
from engine.trail.denials import of_wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to be scheduled."""

    bundle: Digest
    environment: str
    timing: Timing
    preconditions: tuple[Precondition, ...]
    reason: str = ""
    ticket: str = ""


def said(timing: Timing) -> str:
    """`once on 2026-12-01 at 02:00 Europe/Sofia, for 2 h`."""
    rule = parse_rule(timing.rule) if timing.rule else None
    day = f"{in_words(rule)}{f' from {timing.first}' if rule else f' on {timing.first}'}"
    return f"{day} at {timing.time} {timing.zone}, for {limit_text(timing.window_s)}"


class Scheduling(Admission):
    """Thread-safe. The only writer of schedules' streams.

    Args:
        tokens: ids of the API tokens that may be used now.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        catalog: Catalog,
        clock: Clock,
        runs: ScheduleRuns,
        history: ScheduleHistory,
        tokens: Callable[[], frozenset[str]],
    ) -> None:
        super().__init__(store, settings)
        self._catalog, self._clock, self._tokens = catalog, clock, tokens
        self.runs, self.history = runs, history

    def stop(self) -> None:
        self.runs.stop()

    # --- what is known ------------------------------------------------------------------------

    def schedules(self) -> tuple[Schedule, ...]:
        """Every one, the newest first."""
        return self.runs.all()

    def schedule(self, schedule_id: str) -> Schedule:
        """Raises `NotFound`."""
        found = self.runs.get(schedule_id)
        if found is None:
            raise NotFound(f"There is no schedule {schedule_id!r}.")
        return found

    def preview(self, timing: Timing, *, count: int) -> tuple[Firing, ...]:
        """The next firings of a timing, whether anybody has scheduled it or not.

        Raises:
            Malformed: it is no timing; names the field, what is expected, and what was found.
        """
        check(timing)
        zone = offset_at(timing.zone)
        return tuple(islice(coming(timing, zone, now_us=self._clock.now_us()), count))

    def window(self, timing: Timing) -> Window:
        """The window of a timing that fires once. Raises `Malformed`."""
        check(timing)
        zone = offset_at(timing.zone)
        (one,) = firings(timing, zone)
        day, second = local(one.start_us, zone)
        return Window(
            start_us=one.start_us,
            end_us=one.end_us,
            time_zone=timing.zone,
            local=f"{day_text(day)} {clock_text(second // 60)}",
            note=one.note,
        )

    def coming(self, schedule: Schedule, *, count: int) -> tuple[Firing, ...]:
        """The firings that are still to come of it. The first one's run is there already: where
        somebody rescheduled that, the window is the new one."""
        if schedule.cancelled_by:
            return ()
        timing, shown = schedule.made.timing, []
        if schedule.waits:
            run = self._store.run(schedule.run)
            start_us, end_us = run.window_start_us or 0, run.window_end_us or 0
            shown = [Firing(date=schedule.firing, start_us=start_us, end_us=end_us)]
        behind = firings(timing, offset_at(timing.zone), after=schedule.firing)
        return tuple(islice((*shown, *islice(behind, count)), count))

    def why_not_start(self, run: Run) -> str:
        """Why whoever made the run's schedule may not start it now; empty when they may."""
        schedule = self.runs.get(run.request.schedule)
        if schedule is None:
            return ""
        if schedule.cancelled_by:
            return f"{schedule.id} was cancelled by {schedule.cancelled_by}"
        made = schedule.made
        if made.token and made.token not in self._tokens():
            return f"the token by which {schedule.created_by} made {schedule.id} is not valid now"
        asker = Asker(user=schedule.created_by, service=made.service, owner=made.owner)
        why_not = self.why_not_promote(asker, made.environment)
        return "" if why_not is None else why_not.sentence

    # --- what people ask ----------------------------------------------------------------------

    def create(self, wish: Wish, asker: Asker, *, command_id: str = "") -> Schedule:
        """Make a schedule, and the run of its first firing.

        The same `command_id` returns the same schedule and makes nothing.

        Raises:
            NotFound: unknown environment or bundle.
            Malformed: no such zone, time, recurrence or precondition; or it would never fire.
            Refused: no role to request in this environment, or the bundle is held there.
        """
        environment = self._settings.environment(wish.environment).name
        about = of_wish(wish.bundle, environment, wish.reason, wish.ticket)
        why_not = self.why_not_promote(asker, environment) or self._of_a_group(asker, environment)
        self.admit(asker, SCHEDULE, "", why_not, **about)
        bundle = self._catalog.get(wish.bundle)
        wanted = preconditions.complete(wish.preconditions)
        with self.runs.lock:
            # What was made then is told again, whatever has become of bundle and window since.
            earlier = self._store.by_command(command_id) if command_id else ()
            if earlier:
                return self.schedule(earlier[0].stream)
            held = holds.refusal(self._store.hold(environment, wish.bundle))
            self.admit(asker, SCHEDULE, "", held, **about)
            self._check(wish)
            number = self.runs.last_number() + 1
            event = ScheduleCreated(
                number=number,
                bundle=bundle.digest,
                bundle_name=bundle.name,
                bundle_version=bundle.version,
                environment=wish.environment,
                timing=wish.timing,
                preconditions=wanted,
                reason=wish.reason.strip(),
                ticket=wish.ticket.strip(),
                token=asker.key if asker.method == "token" else "",
                service=asker.service,
                owner=asker.maker,
            )
            return self._recorded(f"{STREAM}{number}", event, asker, command_id)

    def cancel(
        self, schedule_id: str, asker: Asker, *, reason: str, command_id: str = ""
    ) -> Schedule:
        """Have it make no further firing; a run of it that has not started is cancelled too.

        Raises:
            NotFound: no such schedule.
            Refused: not allowed, no reason, or it is over. The attempt is on record.
        """
        with self.runs.lock:
            schedule = self.schedule(schedule_id)
            if command_id and self._store.by_command(command_id):
                return schedule
            why_not = self.why_not_cancel(schedule, asker, reason=reason)
            about = {"environment": schedule.environment, "subject": schedule_id, "asked": reason}
            self.admit(asker, Action.CANCEL.value, schedule.run, why_not, **about)
            event = ScheduleCancelled(reason=reason.strip())
            return self._recorded(schedule_id, event, asker, command_id)

    def why_not_cancel(
        self, schedule: Schedule, asker: Asker, *, reason: str = "-"
    ) -> Refusal | None:
        """Why they may not cancel it; None when they may. Serves page, API and command line."""
        return schedules.cancel_refusal(schedule, self.actor(asker, schedule.environment), reason)

    def _recorded(
        self, stream: str, event: ScheduleCreated | ScheduleCancelled, asker: Asker, command_id: str
    ) -> Schedule:
        """Record it and do what follows; a crash in between is made good by the next sweep."""
        for one in append_to(self._store, stream, event, actor=asker.user, command_id=command_id):
            self.runs.take(one)
        self.runs.ensure(stream)
        return self.schedule(stream)

    # --- admission ----------------------------------------------------------------------------

    def _of_a_group(self, asker: Asker, environment: str) -> Refusal | None:
        """Rights that a group of the sign-in gives cannot be asked for when a schedule fires."""
        alone = replace(asker, groups=())
        if not asker.groups or self.why_not_promote(alone, environment) is None:
            return None
        return Refusal(
            sentence=f"{asker.user} may promote to {environment} by a group of the sign-in alone, "
            "and nobody can be asked for that when a schedule fires: it needs a role in the "
            "settings.",
            code="role",
        )

    def _check(self, wish: Wish) -> None:
        check(wish.timing)
        place = self._settings.environment(wish.environment)
        if SOAKED in preconditions.asked(wish.preconditions) and not place.promotes_from:
            raise Malformed(
                f"expected an environment that promotes from another one, found {place.name}",
                where=SOAKED,
            )
        first = next(firings(wish.timing, offset_at(wish.timing.zone)), None)
        if first is None:
            raise Malformed("expected a recurrence with a day in it, found none", where="rule")
        if first.end_us <= self._clock.now_us():
            found = f"{wish.timing.time} on {first.date} in {wish.timing.zone}"
            raise Malformed(f"expected a window that closes after now, found {found}", where="at")
