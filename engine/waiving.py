"""The waiver register of a house: asking for one, granting, refusing and revoking it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from engine.admission import Admission
from engine.asker import Asker, actor_of
from engine.catalog import Catalog
from engine.core import waiver_rules, waivers
from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.errors import Malformed, NotFound
from engine.core.events import Recorded
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REQUEST_WAIVER, REVOKE_WAIVER
from engine.core.statemachine import Role
from engine.core.waiver_events import (
    WAIVERS,
    WaiverGranted,
    WaiverRefused,
    WaiverRequested,
    WaiverRevoked,
)
from engine.core.waiver_rules import WaiverWish
from engine.core.waivers import Waiver, Waivers, WaiverState
from engine.inputs.exceptions import exception_approvers
from engine.inputs.packages import package_of, parse_purl
from engine.ports import Clock, EventStore
from engine.settings import Settings
from engine.verdicts import PolicyDesk
from engine.waiver_register import register

_Event: TypeAlias = WaiverRequested | WaiverGranted | WaiverRefused | WaiverRevoked
_ENDINGS: Final[Mapping[str, Callable[..., _Event]]] = {
    GRANT_WAIVER: waiver_rules.granted,
    REFUSE_WAIVER: waiver_rules.refused,
    REVOKE_WAIVER: waiver_rules.revoked,
}


class Waiving(Admission):
    """Thread-safe: the register is asked of the store at every call.

    Args:
        wake: has a run looked at soon, for a waiver that it rests on has ended.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        settings: Settings,
        clock: Clock,
        catalog: Catalog,
        desk: PolicyDesk,
        wake: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(store, settings)
        self._clock, self._catalog, self._desk, self._wake = clock, catalog, desk, wake

    def all(self) -> tuple[Waiver, ...]:
        """Every waiver, the oldest first."""
        return tuple(register(self._store).values())

    def waiver(self, waiver_id: str) -> Waiver:
        """Raises `NotFound`."""
        found = register(self._store).get(waiver_id)
        if found is None:
            raise NotFound(f"There is no {waiver_id}.")
        return found

    def state(self, one: Waiver) -> WaiverState:
        """What it is now."""
        return one.state(self._clock.now_us())

    def trusted(self, environment: str) -> tuple[str, ...]:
        """Whom the policy in force there names as `exception_approvers`; nobody where it can't be
        asked, or the environment is gone."""
        try:
            policy = self._desk.compiled(self._desk.policy_digest(environment)).policy
        except (NotFound, Malformed):
            return ()
        return exception_approvers(policy.config)

    def may_judge(self, one: Waiver) -> tuple[str, ...]:
        """People who may grant or refuse it by their roles, sorted; empty when nobody may."""
        people = set(self._settings.people)
        for name in one.fact.environments:
            people &= set(self._settings.holders(Role.APPROVER, name)) & set(self.trusted(name))
        return tuple(sorted(people - set(one.authors)))

    def rests_on(self, one: Waiver) -> tuple[str, ...]:
        """Open runs whose newest verdict rests on it, in order of request."""
        return tuple(
            run.run_id
            for run in self._store.runs_open()
            if run.verdict is not None and one.id in {used.waiver for used in run.verdict.waivers}
        )

    def why_not_request(self, asker: Asker, environments: Sequence[str]) -> Refusal | None:
        """Why this person may not ask for one in all of these; None when they may."""
        return waiver_rules.may_not_request(self._actors(asker, environments))

    def why_not(self, one: Waiver, asker: Asker, verb: str) -> Refusal | None:
        """Why this person may not grant, refuse or revoke it; None when they may."""
        actors = self._actors(asker, one.fact.environments)
        if verb == REVOKE_WAIVER:
            return waiver_rules.may_not_revoke(one, actors)
        trusted = {name: self.trusted(name) for name in one.fact.environments}
        return waiver_rules.may_not_judge(one, actors, trusted, verb)

    def request(self, wish: WaiverWish, asker: Asker, *, command_id: str = "") -> Waiver:
        """Ask for one. It has no effect before somebody else has granted it.

        Raises:
            NotFound: no such environment or bundle.
            Malformed: a field says nothing that can be meant.
            Refused: no policy author in one of the environments, or no reason. It is on record.
        """
        where = waiver_rules.covered(wish.environments, tuple(self._settings.environments))

        def fact(known: Waivers) -> WaiverRequested:
            if wish.bundle is not None:
                self._catalog.get(wish.bundle)
            named = parse_purl(wish.purl.strip(), where="purl")
            return waiver_rules.requested(
                replace(wish, purl=package_of(named).purl),
                number=len(known) + 1,
                environments=where,
                now_us=self._clock.now_us(),
                days_max=self._settings.waivers.days_max,
                hand=asker.hand,
            )

        subject = f"{wish.finding.strip()} in {wish.purl.strip()}"
        attempt = _Attempt(
            verb=REQUEST_WAIVER, where=where, subject=subject, reason=wish.reason,
            ticket=wish.ticket, own=False,
        )  # fmt: skip
        recorded = self._record(
            attempt, asker, command_id, lambda: self.why_not_request(asker, where), fact
        )
        return waiver_of(recorded)

    def act(
        self,
        verb: str,
        waiver_id: str,
        asker: Asker,
        *,
        reason: str,
        ticket: str = "",
        command_id: str = "",
    ) -> Waiver:
        """Grant, refuse or revoke it (GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER).

        A run that waits for approval on a waiver that is revoked is judged anew.

        Raises:
            NotFound: there is none of that name.
            Refused: not theirs to do, not in this state, or no reason. The attempt is on record.
        """
        one = self.waiver(waiver_id)

        def fact(known: Waivers) -> _Event:
            now_us = self._clock.now_us()
            event = _ENDINGS[verb](known[waiver_id], now_us, reason=reason, ticket=ticket)
            return replace(event, hand=asker.hand) if isinstance(event, WaiverGranted) else event

        who = {asker.user, asker.hand}
        attempt = _Attempt(
            verb=verb, where=one.fact.environments, subject=waiver_id, reason=reason,
            ticket=ticket, own=verb == GRANT_WAIVER and not who.isdisjoint(one.authors),
        )  # fmt: skip
        self._record(attempt, asker, command_id, lambda: self.why_not(one, asker, verb), fact)
        if verb == REVOKE_WAIVER:
            for run_id in self.rests_on(one):
                self._wake(run_id)
        return self.waiver(waiver_id)

    def _record(
        self,
        attempt: _Attempt,
        asker: Asker,
        command_id: str,
        why_not: Callable[[], Refusal | None],
        fact: Callable[[Waivers], _Event],
    ) -> Recorded:
        """Append what `fact` makes of the register, if the asker may."""
        return self.append_admitted(
            WAIVERS,
            lambda known: fact(waivers.fold(known)),
            asker,
            attempt.verb,
            why_not,
            command_id=command_id,
            environment=attempt.where[0] if len(attempt.where) == 1 else "",
            subject=attempt.subject,
            asked=attempt.reason,
            ticket=attempt.ticket,
            own=attempt.own,
        )

    def _actors(self, asker: Asker, environments: Sequence[str]) -> dict[str, Actor]:
        return {name: actor_of(self._settings, asker, name) for name in environments}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """What is tried, as it stands in the record of its denial.

    Attributes:
        own: somebody tried to let through what they asked for themselves.
    """

    verb: str
    where: tuple[str, ...]
    subject: str
    reason: str
    ticket: str
    own: bool


def waiver_of(recorded: Recorded) -> Waiver:
    """The waiver that this event asked for, as it was then."""
    (one,) = waivers.evolve({}, recorded).values()
    return one
