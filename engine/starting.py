"""Whether a scheduled run may start now: reads what its preconditions rest on, and records it.

What the answers mean is said by `engine.core.starting`; here they are read, kept as evidence before
they are told, and asked for again as long as they keep the run from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine import env_guard
from engine.core import freezes, precondition_reads, preconditions, starting
from engine.core.data_health import Integration, Level
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed
from engine.core.events import Event
from engine.core.feeds import limits_of
from engine.core.freezes import Bar
from engine.core.holds import sentence
from engine.core.jcs import canonical
from engine.core.preconditions import (
    CREATOR,
    DEBT,
    ENVIRONMENT,
    FEEDS,
    FROZEN,
    HELD,
    INTEGRATIONS,
    ON_CALL,
    ROLLBACK,
    SCANS,
    SOAKED,
    Read,
    Row,
    State,
)
from engine.core.rescans import Standing
from engine.core.run import Run
from engine.core.schedule_events import PreconditionsChecked
from engine.core.starting import CHECK_EVERY_S
from engine.core.statemachine import RunStatus
from engine.outside import Outside
from engine.recording import record
from engine.steps import OBSERVE_DEADLINE_S
from engine.time_zones import offset_at

SCHEMA: Final = "releaseline.preconditions/1"


def feeds_named(config: Mapping[str, Any]) -> frozenset[str]:
    """The feeds that a policy's configuration rests on."""
    return frozenset({*config.get("feeds", {}), *config.get("required_feeds", ())})


class Starter:
    """Thread-safe; keeps nothing.

    Args:
        integrations: those that the environment rests on, as they are known now.
        debt: run and sentence of every override in the environment that nobody has reviewed yet.
        scans: how the SBOMs of the environment stand; raises `Malformed` when nobody can say.
        on_call: every on-call schedule, as it is known now.
        creator: why whoever made the run's schedule may not start it now; empty when they may.
    """

    def __init__(
        self,
        out: Outside,
        *,
        integrations: Callable[[str], Sequence[Integration]],
        debt: Callable[[str], Sequence[tuple[str, str]]],
        scans: Callable[[str], Standing],
        on_call: Callable[[], Sequence[Integration]],
        creator: Callable[[Run], str],
    ) -> None:
        self._out, self._integrations, self._debt = out, integrations, debt
        self._scans, self._creator, self._on_call = scans, creator, on_call

    def look(self, run: Run) -> dict[str, Read]:
        """Read everything that the run asks for, and what is always asked. Never raises for what
        gives no answer."""
        now_us = self._out.clock.now_us()
        hold = self._out.store.hold(run.environment, run.bundle)
        held = "" if hold is None else sentence(hold)
        found = {
            CREATOR: precondition_reads.always(
                self._creator(run), fine=f"{run.requested_by} may", now_us=now_us
            ),
            HELD: precondition_reads.always(held, fine="free", now_us=now_us),
            FROZEN: precondition_reads.always(self._frozen(run), fine="none", now_us=now_us),
        }
        limits = {one.name: one.limit_s for one in run.request.preconditions}
        for name in sorted(preconditions.asked(run.request.preconditions)):
            found[name] = self._read(run, name, limits[name], now_us)
        return found

    def bar(self, run: Run) -> Bar | None:
        """The freezes that bar the run's environment for it now."""
        now_us = self._out.clock.now_us()
        return freezes.bar_of(self._out.store.freezes(), run, now_us, offset_at)

    def rows(self, run: Run) -> tuple[Row, ...]:
        """Every precondition of the run as it is now. Nothing is recorded."""
        return self._rows(run, self.look(run))

    def lacks(self, run: Run) -> tuple[str, ...]:
        """What keeps a SCHEDULED run from starting now, one phrase each; its window is no matter
        here, because whoever starts it by hand passes that by."""
        return preconditions.unmet(self.rows(run))

    def open_window(
        self, run: Run, found: Mapping[str, Read], guard: env_guard.Read | None, *, taken: str
    ) -> float | None:
        """Let a run whose window is open start, or have it wait.

        Args:
            found: as `look` has it.
            guard: how the environment spends its error budget; None when it is not guarded.
            taken: why the environment is not free; empty when it is.

        Returns:
            A wait in seconds when it has to wait.
        """
        now_us = self._out.clock.now_us()
        free = {ENVIRONMENT: precondition_reads.always(taken, fine="free", now_us=now_us)}
        epoch = self._out.store.next_epoch(run.environment)

        def build(now: Run, checked: PreconditionsChecked, at_us: int) -> Sequence[Event]:
            judged = None if guard is None else (guard.fact, guard.criteria)
            events = starting.before_open(now, checked, at_us, epoch=epoch, guard=judged)
            if guard is not None and guard.fact in events:
                self._out.store.blobs.put(guard.document)  # before the event that names it
            return events

        after = self._recorded(run, {**found, **free}, build, before_us=run.window_end_us)
        if after.status is not RunStatus.SCHEDULED or after.window_end_us is None:
            return None
        left_s = (after.window_end_us - self._out.clock.now_us()) / 1_000_000
        return max(0.0, min(CHECK_EVERY_S, left_s))

    def hold_in_queue(self, run: Run) -> float | None:
        """Look once more at a scheduled run that somebody started by hand, before it takes its
        environment: time passes in queues.

        Returns a wait in seconds when it has to stay.
        """
        now_us = self._out.clock.now_us()
        broken = run.glass_broken(now_us)
        if not run.request.schedule or broken:
            return None
        after = self._recorded(
            run, self.look(run), lambda now, read, _: starting.before_lock(now, read)
        )
        return CHECK_EVERY_S if starting.held_up(after) else None

    # --- reading ------------------------------------------------------------------------------

    def _read(self, run: Run, name: str, limit_s: int, now_us: int) -> Read:
        place = run.environment
        reads: dict[str, Callable[[], Read]] = {
            FEEDS: lambda: self._feeds(run, limit_s, now_us),
            SCANS: lambda: self._rescanned(run, now_us),
            INTEGRATIONS: lambda: precondition_reads.integrations(
                _known(self._integrations(place))
            ),
            SOAKED: lambda: self._soaked(run, limit_s, now_us),
            DEBT: lambda: precondition_reads.override_debt(self._debt(place), now_us=now_us),
            ROLLBACK: lambda: self._rollback(run),
            ON_CALL: lambda: precondition_reads.on_call(_known(self._on_call())),
        }
        unknown = Read(state=State.UNKNOWN, value="nothing here can tell")
        return reads[name]() if name in reads else unknown

    def _feeds(self, run: Run, limit_s: int, now_us: int) -> Read:
        desk = self._out.desk
        try:
            newest = {one.name: one.as_of_s for one in desk.feeds()}
        except Malformed as error:
            return Read(state=State.UNKNOWN, value=f"the feeds cannot be read: {error}")
        config = desk.compiled(desk.policy_digest(run.environment)).policy.config
        known: dict[str, int | None] = {}
        for name in feeds_named(config):
            limits = limits_of(config, name)
            # One that is not there counts only where the policy cannot do without it.
            if name in newest or (limits is not None and limits.required):
                known[name] = newest.get(name)
        return precondition_reads.feeds(known, limit_s=limit_s, now_us=now_us)

    def _rescanned(self, run: Run, now_us: int) -> Read:
        try:
            return precondition_reads.scans(self._scans(run.environment), now_us=now_us)
        except Malformed as error:
            trouble = f"the feeds cannot be read: {error}"
            return precondition_reads.scans(None, now_us=now_us, trouble=trouble)

    def _frozen(self, run: Run) -> str:
        bar = self.bar(run)
        return "" if bar is None else freezes.sentence(bar, run.environment)

    def _soaked(self, run: Run, limit_s: int, now_us: int) -> Read:
        place, store = run.request.promotes_from, self._out.store
        last, since_us, runs_it = "", None, False
        for run_id in reversed(store.runs_started(place) if place else ()):
            one = store.run(run_id)
            if one.status is RunStatus.SUCCEEDED or one.changed_targets:
                last, since_us = run_id, one.ended_us or one.updated_us
                runs_it = one.status is RunStatus.SUCCEEDED and one.bundle == run.bundle
                break
        return precondition_reads.soaked(
            place, last, since_us, runs_it=runs_it, limit_s=limit_s, now_us=now_us
        )

    def _rollback(self, run: Run) -> Read:
        driver = self._out.places[run.environment].driver
        try:
            seen = driver.observe(deadline_s=OBSERVE_DEADLINE_S)
        except AdapterFailed as failed:
            trouble = f"the targets cannot be looked at: {failed}"
            return precondition_reads.rollback((), observed_us=0, trouble=trouble)
        targets = [
            (one.target, None if one.digest is None else one.digest in one.present)
            for one in sorted(seen.targets, key=lambda one: one.target)
        ]
        return precondition_reads.rollback(targets, observed_us=seen.observed_at_us)

    # --- telling ------------------------------------------------------------------------------

    def _rows(self, run: Run, found: Mapping[str, Read]) -> tuple[Row, ...]:
        return preconditions.rows(run.request.preconditions, found)

    def _recorded(
        self,
        run: Run,
        found: Mapping[str, Read],
        build: Callable[[Run, PreconditionsChecked, int], Sequence[Event]],
        *,
        before_us: int | None = None,
    ) -> Run:
        at_us, rows = self._out.clock.now_us(), self._rows(run, found)
        document = canonical(
            {
                "schema": SCHEMA,
                "run": run.run_id,
                "schedule": run.request.schedule,
                "firing": run.request.firing,
                "environment": run.environment,
                "atUs": at_us,
                "windowStartUs": run.window_start_us,
                "windowEndUs": run.window_end_us,
                "preconditions": [
                    {
                        "name": row.name,
                        "mode": row.mode.value,
                        "state": row.state.value,
                        "value": row.value,
                        "threshold": row.threshold,
                        "observedAtUs": row.observed_us or None,
                        "source": {"sha256": row.source.removeprefix("sha256:")}
                        if row.source
                        else None,
                        "read": found[row.name].source if row.source else None,
                    }
                    for row in rows
                ],
            }
        )
        checked = PreconditionsChecked(at_us=at_us, rows=rows, evidence=Digest.of(document))

        def keep(now: Run) -> Sequence[Event]:
            events = build(now, checked, self._out.clock.now_us())
            if checked in events:
                self._out.store.blobs.put(document)  # before the event that names it
            return events

        return record(self._out.store, run.run_id, keep, before_us=before_us)


def _known(found: Sequence[Integration]) -> list[tuple[str, Level, str, int | None]]:
    return [(one.name, one.level, one.reason, one.last_us) for one in found]
