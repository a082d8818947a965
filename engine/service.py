"""The one door for commands: pages, API, command line and schedules all call this.

It turns a request into events after `engine.core.decide` has allowed it, and records denied
attempts too. It reads no clock of its own, draws no page and touches no target; the worker does
what the events make due.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

from engine.admission import Admission
from engine.again import Again
from engine.asker import LOCAL_ADMIN, Asker
from engine.catalog import Catalog
from engine.core import addenda, exporting, holds, queueing
from engine.core.approvals import Actor
from engine.core.commands import UNKNOWN, Action, ActionState, Command, Now, Refusal
from engine.core.decide import allowed, decide
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Conflict, NotFound, Refused
from engine.core.event_parts import PinnedChange
from engine.core.events import Recorded
from engine.core.exporting import ExportState
from engine.core.fact_events import EvidenceAddendum
from engine.core.heirs import NEW_RUN, bundle_before
from engine.core.house import ADMIN
from engine.core.plan import Observation
from engine.core.rollback_preview import RollbackPreview, from_record, plan_back, preview
from engine.core.run import Run
from engine.core.run_events import RunRequested
from engine.core.scopes import ANNOTATE, DRILL, EXPORT, LIFT_HOLD, PROMOTE
from engine.core.spec import HOTFIX
from engine.core.spec import PROMOTE as PROMOTE_KIND
from engine.core.standing import Hold
from engine.ports import EventStore
from engine.recording import append_to
from engine.requests import build_request
from engine.settings import Settings
from engine.trail.denials import of_command, of_wish

__all__ = ["LOCAL_ADMIN", "Asker", "Service"]

# The engine records several facts a second while a step runs; a person must not lose to it.
_TRIES: Final = 20
# Nor may people lose to each other: what they ask of one run is decided in turn.
_TURNS: Final = 64

# What should stop an effect under way at its next safe point.
_INTERRUPTS: Final = frozenset(
    {Action.PAUSE, Action.CANCEL, Action.ROLLBACK, Action.RERUN_STEP, Action.MARK_STEP_FAILED}
)


class Service(Admission):
    """Thread-safe.

    Args:
        policy_digest: environment name to the digest of the policy in force there.
        policy_authors: environment name to the people who changed that policy lately.
        speed: divisor of waiting times for new runs; 1 outside the demo.
        interrupt: tells the runner that a command changes what an effect under way should do;
            it stops between targets, never inside the switch of one.
        observe: looks at the targets of an environment; raises `AdapterFailed`.
        now: what is known of a run at this moment beyond its events (`engine.gate_now`).
        shown: adds to a decision what would be shown now (`engine.approving.views`).
        numbering: held while a run's number is taken; None where nobody else takes any.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        catalog: Catalog,
        policy_digest: Callable[[str], Digest],
        speed: int,
        interrupt: Callable[[str], None],
        observe: Callable[[str], Observation],
        now: Callable[[Run], Now] = lambda _: UNKNOWN,
        policy_authors: Callable[[str], tuple[str, ...]] = lambda _: (),
        shown: Callable[[Run, Command], Command] = lambda _, command: command,
        numbering: threading.Lock | None = None,
    ) -> None:
        super().__init__(store, settings)
        self._catalog = catalog
        self._policy_digest, self._speed, self._interrupt = policy_digest, speed, interrupt
        self._observe, self._moment, self._policy_authors = observe, now, policy_authors
        self._shown = shown
        self._numbering = numbering or threading.Lock()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))
        self._again = Again(
            store=store,
            settings=settings,
            catalog=catalog,
            policy_digest=policy_digest,
            policy_authors=policy_authors,
            speed=speed,
            observe=observe,
        )

    def run(self, run_id: str) -> Run:
        """Raises `NotFound`."""
        return self._store.run(run_id)

    def allowed(self, run_id: str, asker: Asker) -> tuple[ActionState, ...]:
        """Every action with ok, reason and when it opens, for this person now."""
        run = self._store.run(run_id)
        return allowed(run, self.actor(asker, run.environment), self._now(run))

    def promote(
        self,
        bundle: Digest,
        environment: str,
        asker: Asker,
        *,
        reason: str = "",
        ticket: str = "",
        kind: str = PROMOTE_KIND,
        command_id: str = "",
    ) -> Run:
        """Request a promotion and return its run, QUEUED for the environment.

        The same `command_id` returns the same run and requests nothing. A freeze only keeps the
        run in its queue; with `kind` HOTFIX it passes those that let it.

        Raises:
            NotFound: unknown environment or bundle.
            Refused: no role to request in this environment, or the bundle is held there.
        """
        actor = self.actor(asker, self._settings.environment(environment).name)
        why_not = self.why_not_promote(asker, environment)
        if why_not is None and kind == HOTFIX:
            why_not = queueing.hotfix_refusal(actor, environment, reason)
        about = of_wish(bundle, environment, reason, ticket)
        self.admit(asker, PROMOTE, "", why_not, **about)
        known = self._catalog.get(bundle)
        with self._numbering:
            earlier = self._store.by_command(command_id) if command_id else ()
            if earlier:
                return self._store.run(earlier[0].stream)
            hold = self._store.hold(environment, bundle)
            held = holds.refusal(hold)
            if held is not None and hold is not None:
                self.deny(asker, PROMOTE, "", held, **about)
                raise Refused(held.sentence, code=held.code, hint=holds.lifting(hold))
            number = self._store.last_run_number() + 1
            request = build_request(
                number=number,
                bundle=known,
                authors=self._catalog.authors(bundle),
                environment=environment,
                settings=self._settings,
                policy_digest=self._policy_digest(environment),
                policy_authors=self._policy_authors(environment),
                speed=self._speed,
                reason=reason.strip(),
                ticket=ticket.strip(),
                kind=kind,
                token_owner=asker.maker,
            )
            run_id = f"run-{number}"
            self._store.append(run_id, (request,), after=0, actor=asker.user, command_id=command_id)
            return self._store.run(run_id)

    def ask(
        self, run_id: str, command: Command, asker: Asker, *, command_id: str = ""
    ) -> tuple[Recorded, ...]:
        """Do what `command` says and return the events that it caused.

        Decided against the newest state, again when somebody was faster, up to 20 times. The same
        `command_id` returns the events of then and asks for nothing again. A command that makes
        a new run out of a finished one returns the events that the new run begins with.

        Raises:
            NotFound: no such run.
            Conflict: the command id was used for another run, or the run changes too fast.
            Outdated: the run is at another version than the one that was looked at.
            Refused: not allowed; the sentence says why. The attempt is on record.
            AdapterFailed: a plan came along, and the targets cannot be looked at to compare it.
        """
        if command.action in {Action.APPROVE, Action.REJECT} and not command.nonce:
            command = replace(command, nonce=secrets.token_hex(16))
        if command.action in NEW_RUN:
            return self._new_run(run_id, command, asker, command_id)
        earlier = self._store.by_command(command_id) if command_id else ()
        if earlier:
            if earlier[0].stream != run_id:
                raise Conflict(f"this command id was used for {earlier[0].stream} already")
            return earlier
        # Looking at targets takes seconds, in which nobody else has to wait for their turn.
        turn = self._turns[hash(run_id) % _TURNS] if command.plan is None else nullcontext()
        with turn:
            return self._done(run_id, command, asker, command_id)

    def _done(
        self, run_id: str, command: Command, asker: Asker, command_id: str
    ) -> tuple[Recorded, ...]:
        for _ in range(_TRIES):
            run = self._store.run(run_id)
            if command.plan is not None:
                plan = plan_back(run, self._observe(run.environment), command.targets)
                command = replace(command, plan_now=plan.digest)
            try:
                actor = self.actor(asker, run.environment)
                events = decide(run, self._shown(run, command), actor, self._now(run))
            except Refused as refused:
                self._denied(run, command, asker, refused)
                raise
            try:
                recorded = self._store.append(
                    run_id,
                    events,
                    after=run.version,
                    actor=asker.user,
                    command_id=command_id,
                )
            except Conflict:
                continue
            if command.action in _INTERRUPTS:
                self._interrupt(run_id)
            return recorded
        raise Conflict(f"{run_id} is changing too fast; look at it again")

    def _denied(self, run: Run, command: Command, asker: Asker, why: Refused) -> None:
        asked = of_command(run, command, asker.user, asker.hand)
        self.deny(asker, command.action.value, run.run_id, why, **asked)

    def _new_run(
        self, run_id: str, command: Command, asker: Asker, command_id: str
    ) -> tuple[Recorded, ...]:
        with self._numbering:
            earlier = self._store.by_command(command_id) if command_id else ()
            if earlier:
                if earlier[0].stream not in self._store.heirs(run_id):
                    raise Conflict(f"this command id was used for {earlier[0].stream} already")
                return earlier
            run = self._store.run(run_id)
            actor, number = self.actor(asker, run.environment), self._store.last_run_number() + 1
            try:
                decide(run, command, actor, self._now(run))
                self._again.check_plan(run, command)
                events = self._again.requested(run, command, asker.user, number)
            except Refused as refused:
                self._denied(run, command, asker, refused)
                raise
            wish, *rest = events
            assert isinstance(wish, RunRequested)
            if command.lift_hold and self._store.hold(run.environment, wish.bundle):
                self._lift(run.environment, wish.bundle, actor, command.reason)
            events = (replace(wish, token_owner=asker.maker), *rest)
            return self._store.append(
                f"run-{number}", events, after=0, actor=asker.user, command_id=command_id
            )

    def holds(self) -> tuple[Hold, ...]:
        """Every hold in force, by environment, the oldest first."""
        return self._store.holds()

    def hold_on(self, run: Run) -> Hold | None:
        """The hold on the run's bundle in its environment; None when it is free."""
        return self._store.hold(run.environment, run.bundle)

    def lift_hold(
        self,
        environment: str,
        bundle: Digest,
        asker: Asker,
        *,
        reason: str,
        command_id: str = "",
    ) -> Hold:
        """Let the bundle be promoted to the environment again. Returns the hold that was lifted.

        Raises:
            NotFound: unknown environment.
            Refused: not allowed, or nothing is held. The attempt is on record.
        """
        actor = self.actor(asker, self._settings.environment(environment).name)
        try:
            return self._lift(environment, bundle, actor, reason, command_id)
        except Refused as refused:
            self.deny(asker, LIFT_HOLD, "", refused, **of_wish(bundle, environment, reason, ""))
            raise

    def _lift(
        self,
        environment: str,
        bundle: Digest,
        actor: Actor,
        reason: str,
        command_id: str = "",
    ) -> Hold:
        hold = self._store.hold(environment, bundle)
        ended = hold is None or self._store.run(hold.run).terminal
        event = holds.lifted(hold, actor, environment=environment, reason=reason, ended=ended)
        append_to(self._store, ADMIN, event, actor=actor.user, command_id=command_id)
        assert hold is not None  # else it would have been refused
        return hold

    def heirs(self, run_id: str) -> tuple[str, ...]:
        """Runs that were made from this finished one, in order of request."""
        return self._store.heirs(run_id)

    def differences(self, run_id: str) -> tuple[str, tuple[PinnedChange, ...]]:
        """The run that this one was made from, and what it rests on otherwise than that one.

        Raises:
            NotFound: no such run, or it was not made from another one.
        """
        run = self._store.run(run_id)
        before = run.request.rerun_of or run.request.rolls_back
        if not before:
            raise NotFound(f"{run_id} was not made from another run.")
        return before, self._again.differences(self._store.run(before), run)

    def promotion_preview(self, run_id: str) -> RollbackPreview:
        """What taking a finished promotion back would do to each target now.

        Raises:
            NotFound: no such run.
            Refused: there is no one bundle that all of its targets could go back to.
        """
        run = self._store.run(run_id)
        bundle_before(run)
        return self._again.preview(run)

    def _now(self, run: Run) -> Now:
        return replace(self._moment(run), standing=self._again.standing(run))

    def check_export(self, run_id: str, asker: Asker, *, deed: str = EXPORT) -> None:
        """Evidence goes to every role but those that only look or only ask (vocabulary: roles).

        Raises:
            NotFound: no such run.
            Refused: no such role in the run's environment. The attempt is on record.
        """
        run = self._store.run(run_id)
        why_not = exporting.role_refusal(run, self.actor(asker, run.environment), deed=deed)
        self.admit(asker, deed, run_id, why_not)

    def exports(self, run_id: str, asker: Asker) -> tuple[ExportState, ...]:
        """Every kind of pack of the run, each with why this person can't have it now.

        Raises:
            NotFound: no such run.
        """
        run = self._store.run(run_id)
        added = sum(isinstance(r.event, EvidenceAddendum) for r in self._store.load(run_id))
        return exporting.exports(run, self.actor(asker, run.environment), addenda=added)

    def why_no_drill(self, run_id: str, asker: Asker) -> Refusal | None:
        """Why this person may not drill the run's pack; None when they may. Raises `NotFound`."""
        run = self._store.run(run_id)
        return exporting.role_refusal(run, self.actor(asker, run.environment), deed=DRILL)

    def check_addendum(self, run_id: str, asker: Asker) -> None:
        """Raises:
        NotFound: no such run.
        Refused: they may not add to it, or it has no seal yet. The attempt is on record.
        """
        run = self._store.run(run_id)
        why_not = addenda.refusal(run, self.actor(asker, run.environment))
        self.admit(asker, ANNOTATE, run_id, why_not)

    def rollback_preview(self, run_id: str, targets: Sequence[str] = ()) -> RollbackPreview:
        """What a rollback would do to each target now, looked at for this.

        When they cannot be looked at it is told from the record, with a warning that says so.

        Args:
            targets: by name; empty = everything that changed.

        Raises:
            NotFound: no such run, or a target that is not of its environment.
        """
        run = self._store.run(run_id)
        unknown = sorted(set(targets) - set(run.request.targets))
        if unknown:
            raise NotFound(f"{run.environment} has no target {', '.join(unknown)}.")
        try:
            observation = self._observe(run.environment)
        except AdapterFailed as failed:
            told = preview(run, from_record(run), targets)
            why = f"The targets cannot be looked at: {failed}. This is what was last on record."
            return replace(told, warnings=(why, *told.warnings))
        return preview(run, observation, targets)
