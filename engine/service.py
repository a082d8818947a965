"""The one door for commands: pages, API, command line and schedules all call this.

It turns a request into events after `engine.core.decide` has allowed it, and records denied
attempts too. It reads no clock of its own, draws no page and touches no target; the worker does
what the events make due.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from engine.catalog import Catalog
from engine.core.approvals import Actor
from engine.core.commands import Action, ActionState, Command
from engine.core.decide import allowed, decide
from engine.core.digest import Digest
from engine.core.errors import Conflict, Refused
from engine.core.events import Recorded
from engine.core.house import ADMIN, CommandRejected
from engine.core.plan import RollbackPlan, plan_rollback
from engine.core.run import Run
from engine.core.statemachine import Role
from engine.identity import append_to
from engine.ports import EventStore
from engine.requests import build_request
from engine.settings import Settings

# Whoever has a shell on the machine and can read the home holds its keys anyway; this is the name
# under which that shell talks to a running server. It may look and make links, and nothing else.
LOCAL_ADMIN: Final = "local-admin"
# Who may ask for a promotion (vocabulary: roles). A `ci` token may request and nothing else.
_MAY_REQUEST: Final = frozenset({Role.RELEASE_MANAGER, Role.CI})
_MAY_NOT_EXPORT: Final = frozenset({Role.VIEWER, Role.CI})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who is at the door. Roles are looked up per environment, never handed in."""

    user: str
    service: bool = False


# What should stop an effect under way at its next safe point.
_INTERRUPTS: Final = frozenset(
    {Action.PAUSE, Action.CANCEL, Action.ROLLBACK, Action.RERUN_STEP, Action.MARK_STEP_FAILED}
)


class Service:
    """Thread-safe.

    Args:
        policy_digest: environment name to the digest of the policy in force there.
        speed: divisor of waiting times for new runs; 1 outside the demo.
        interrupt: tells the runner that a command changes what an effect under way should do;
            it stops between targets, never inside the switch of one.
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
    ) -> None:
        self._store, self._settings, self._catalog = store, settings, catalog
        self._policy_digest, self._speed, self._interrupt = policy_digest, speed, interrupt
        self._numbering = threading.Lock()

    def actor(self, asker: Asker, environment: str) -> Actor:
        if asker.user == LOCAL_ADMIN:
            roles = frozenset({Role.ADMIN, Role.VIEWER})
        else:
            roles = self._settings.roles_of(asker.user, environment)
        return Actor(user=asker.user, roles=roles, service=asker.service)

    def run(self, run_id: str) -> Run:
        """Raises `NotFound`."""
        return self._store.run(run_id)

    def allowed(self, run_id: str, asker: Asker) -> tuple[ActionState, ...]:
        """Every action with ok, reason and when it opens, for this person now."""
        run = self._store.run(run_id)
        return allowed(run, self.actor(asker, run.environment))

    def promote(
        self,
        bundle: Digest,
        environment: str,
        asker: Asker,
        *,
        reason: str = "",
        ticket: str = "",
        command_id: str = "",
    ) -> Run:
        """Request a promotion and return its run, QUEUED for the environment.

        The same `command_id` returns the same run and requests nothing.

        Raises:
            NotFound: unknown environment or bundle.
            Refused: no role to request in this environment.
        """
        actor = self.actor(asker, self._settings.environment(environment).name)
        if not actor.roles & _MAY_REQUEST:
            sentence = f"{asker.user} may not request promotions to {environment}."
            self._deny(asker, "promote", "", "role", sentence)
            raise Refused(sentence, code="role")
        known = self._catalog.get(bundle)
        with self._numbering:
            earlier = self._store.by_command(command_id) if command_id else ()
            if earlier:
                return self._store.run(earlier[0].stream)
            number = self._store.last_run_number() + 1
            request = build_request(
                number=number,
                bundle=known,
                authors=self._catalog.authors(bundle),
                environment=environment,
                settings=self._settings,
                policy_digest=self._policy_digest(environment),
                speed=self._speed,
                reason=reason.strip(),
                ticket=ticket.strip(),
            )
            run_id = f"run-{number}"
            self._store.append(run_id, (request,), after=0, actor=asker.user, command_id=command_id)
            return self._store.run(run_id)

    def ask(
        self, run_id: str, command: Command, asker: Asker, *, command_id: str = ""
    ) -> tuple[Recorded, ...]:
        """Do what `command` says and return the events that it caused.

        Decided against the newest state, up to three times when somebody was faster. The same
        `command_id` returns the events of then and asks for nothing again.

        Raises:
            NotFound: no such run.
            Conflict: the command id was used for another run, or the run changes too fast.
            Refused: not allowed; the sentence says why. The attempt is on record.
        """
        if command.action in {Action.APPROVE, Action.REJECT} and not command.nonce:
            command = _with_nonce(command)
        earlier = self._store.by_command(command_id) if command_id else ()
        if earlier:
            if earlier[0].stream != run_id:
                raise Conflict(f"this command id was used for {earlier[0].stream} already")
            return earlier
        for _ in range(3):
            run = self._store.run(run_id)
            try:
                events = decide(run, command, self.actor(asker, run.environment))
            except Refused as refused:
                self._deny(asker, command.action.value, run_id, refused.code, str(refused))
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

    def check_export(self, run_id: str, asker: Asker) -> None:
        """Evidence goes to every role but those that only look or only ask (vocabulary: roles).

        Raises:
            NotFound: no such run.
            Refused: no such role in the run's environment. The attempt is on record.
        """
        environment = self._store.run(run_id).environment
        if not self.actor(asker, environment).roles - _MAY_NOT_EXPORT:
            sentence = f"{asker.user} may not export evidence of {environment}."
            self._deny(asker, "export", run_id, "role", sentence)
            raise Refused(sentence, code="role")

    def rollback_preview(self, run_id: str) -> RollbackPlan:
        """What a full rollback would do to each target, from what was last observed."""
        run = self._store.run(run_id)
        return preview_rollback(run)

    def _deny(self, asker: Asker, action: str, run_id: str, code: str, reason: str) -> None:
        event = CommandRejected(action=action, run=run_id, code=code, reason=reason)
        append_to(self._store, ADMIN, event, actor=asker.user)


def preview_rollback(run: Run) -> RollbackPlan:
    """Pure: the plan from the run's own record of its targets."""
    stuck = {fact.target for fact in run.irreversible}
    touched = set(run.touched_targets)
    baseline = {
        t.target: t.baseline for t in run.targets if t.target in touched or t.baseline is not None
    }
    return plan_rollback(
        run_id=run.run_id,
        environment=run.environment,
        baseline=baseline,
        current={t.target: t.current for t in run.targets},
        present={t: ((d,) if d and t not in stuck else ()) for t, d in baseline.items()},
    )


def _with_nonce(command: Command) -> Command:
    return replace(command, nonce=secrets.token_hex(16))
