"""Who may come in, and the record of who may not: what every door asks before anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.asker import Asker, actor_of, refusal_of
from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.errors import Conflict, Refused
from engine.core.events import Event, Recorded
from engine.core.scopes import PROMOTE
from engine.core.statemachine import Role
from engine.ports import EventStore
from engine.settings import Settings
from engine.trail.denials import admit, denied

# Who may ask for a promotion (vocabulary: roles). A `ci` token may request and nothing else.
_MAY_REQUEST: Final = frozenset({Role.RELEASE_MANAGER, Role.CI})
_TRIES: Final = 20


class Admission:
    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings

    def actor(self, asker: Asker, environment: str) -> Actor:
        """The asker with the roles that count in the environment."""
        return actor_of(self._settings, asker, environment)

    def require(
        self, asker: Asker, verb: str, roles: frozenset[Role], *, what: str, environment: str = ""
    ) -> None:
        """Raises:
        Refused: none of the roles is held, or the token is not for this. It is on record.
        """
        why_not = refusal_of(self._settings, asker, verb, roles, what=what, environment=environment)
        self.admit(asker, verb, "", why_not, environment=environment)

    def why_not_promote(self, asker: Asker, environment: str) -> Refusal | None:
        """Why they may not request a promotion to the environment; None when they may."""
        actor = self.actor(asker, environment)
        beyond = actor.beyond_token(PROMOTE, environment)
        if beyond is not None or actor.roles & _MAY_REQUEST:
            return beyond
        sentence = f"{asker.user} may not request promotions to {environment}."
        return Refusal(sentence=sentence, code="role")

    def sign_in_refused(self, user: str, code: str, reason: str) -> None:
        """Put on record that a provider vouched for somebody who is not let in.

        Args:
            user: as the provider calls them; empty when it does not say.
        """
        why = Refusal(sentence=reason, code=code)
        self.deny(Asker(user=user or "unknown"), "sign_in", "", why)

    def admit(
        self, asker: Asker, action: str, run: str, why_not: Refusal | None, **more: Any
    ) -> None:
        """As `engine.trail.denials.admit`. Raises `Refused`."""
        admit(self._store, why_not, user=asker.user, action=action, run=run, **more)

    def append_admitted(
        self,
        stream: str,
        fact: Callable[[Sequence[Recorded]], Event],
        asker: Asker,
        action: str,
        why_not: Callable[[], Refusal | None],
        *,
        command_id: str = "",
        **about: Any,
    ) -> Recorded:
        """Append what `fact` makes of all that the stream holds, if the asker may; again when
        somebody was faster.

        Args:
            about: of the record of a refusal (`engine.trail.denials`).

        Raises:
            Refused: by `why_not` or by `fact`. The attempt is on record.
            Conflict: others were faster twenty times in a row.
        """
        try:
            refusal = why_not()
            if refusal is not None:
                raise Refused(refusal.sentence, code=refusal.code)
            for _ in range(_TRIES):
                known = self._store.load(stream)
                event = fact(known)
                try:
                    (done,) = self._store.append(
                        stream,
                        (event,),
                        after=len(known),
                        actor=asker.user,
                        command_id=command_id,
                    )
                except Conflict:
                    continue
                return done
        except Refused as refused:
            self.deny(asker, action, "", refused, **about)
            raise
        raise Conflict(f"{stream.capitalize()} are changing too fast; look at them again.")

    def deny(
        self, asker: Asker, action: str, run: str, why: Refusal | Refused, **more: Any
    ) -> None:
        """Put a refusal on record. `more`: what else is known (`engine.trail.denials`)."""
        said = why.sentence if isinstance(why, Refusal) else str(why)
        given = {"action": action, "run": run, "code": why.code, "reason": said, **more}
        denied(self._store, user=asker.user, **given)
