"""Links, accounts, sessions and tokens in any order: nothing dead ever works, and nothing alive is
refused. Played on the real store; a restart reads everything back from it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from data.store import Store
from engine.core.errors import NotFound, Unauthenticated
from engine.core.scopes import UNLIMITED, Limits, Scope
from engine.identity import Identity, Principal
from engine.identity.used import LastUsed
from engine.identity.values import session_id
from tests.faults.small_house import SimClock

MINUTE_US = 60_000_000
IDLE_US, TTL_US, LINK_US = 30 * MINUTE_US, 720 * MINUTE_US, 15 * MINUTE_US
# Sums of these come near no limit by chance.
MINUTES = st.sampled_from([0.2, 7, 11, 17, 37, 200, 723])
USERS = st.sampled_from(["ana", "bob", "eve"])
NUMBERS = itertools.count()


@dataclass
class Kept:
    """What the machine was given. `saved_us`: the last use that a crash does not take away."""

    secret: str
    user: str
    kind: str
    born_us: int
    ends_us: int
    key: str = ""
    subject: str = ""
    used_us: int = 0
    saved_us: int = 0
    over: bool = False
    limits: Limits = UNLIMITED


class Place:
    """One store for all examples: opening one takes longer than playing."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rl-identity-"))
        self.clock = SimClock()
        self.store = Store.open(self.folder / "home", clock=self.clock)

    def close(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


class IdentityMachine(RuleBasedStateMachine):
    place: Place

    @initialize()
    def begin(self) -> None:
        self.tag = f"{next(NUMBERS)}"
        self.clock = self.place.clock
        self.gone: set[str] = set()
        self.kept: list[Kept] = []
        self.bound: dict[str, str] = {}
        self.used_file = self.place.folder / f"used-{self.tag}.json"
        self.identity = self.opened()

    def opened(self) -> Identity:
        return Identity(
            self.place.store,
            self.clock,
            knows=lambda user: user not in self.gone,
            used=LastUsed(self.used_file, self.clock),
            shell="local-admin",
        )

    def named(self, user: str) -> str:
        return f"{user}-{self.tag}"

    def alive(self, one: Kept) -> bool:
        now_us = self.clock.us
        if one.over or one.user in self.gone or now_us >= one.ends_us:
            return False
        return one.kind != "session" or now_us - one.used_us <= IDLE_US

    def apart(self) -> None:
        """Not within a moment of any limit, where the call itself would decide."""
        limits = [one.ends_us for one in self.kept]
        limits += [one.used_us + IDLE_US for one in self.kept if one.kind == "session"]
        while any(abs(limit - self.clock.us) < 50_000 for limit in limits):
            self.clock.sleep(0.2)

    def keep(self, secret: str, user: str, kind: str, ttl_us: int, **more: object) -> Kept:
        now_us = self.clock.us
        one = Kept(secret, user, kind, now_us, now_us + ttl_us, used_us=now_us, saved_us=now_us)
        for name, value in more.items():
            setattr(one, name, value)
        if kind == "session":
            one.key = next(
                s.session_id
                for s in self.identity.sessions()
                if s.session_id not in {k.key for k in self.kept} and s.user == user
            )
        self.kept.append(one)
        return one

    @rule(user=USERS)
    def make_a_link(self, user: str) -> None:
        name = self.named(user)
        self.keep(self.identity.create_link(name, actor="root"), name, "link", LINK_US)

    @rule(user=USERS, days=st.sampled_from([1, 30]), scoped=st.booleans())
    def make_a_token(self, user: str, days: int, scoped: bool) -> None:
        name, ttl_us = self.named(user), days * 1440 * MINUTE_US
        scopes, places = ((Scope.PROMOTE.value,), ("eu-prod",)) if scoped else ((), ())
        made = self.identity.create_token(
            name, service=scoped, actor="root", ttl_us=ttl_us, scopes=scopes, environments=places
        )
        limits = Limits(scopes=frozenset(map(Scope, scopes)), environments=frozenset(places))
        self.keep(made.token, name, "token", ttl_us, key=made.token_id, limits=limits)

    @rule(user=USERS, subject=st.sampled_from(["one", "two"]))
    def sign_in_by_an_account(self, user: str, subject: str) -> None:
        name = self.named(user)
        theirs = self.bound.get(name, subject) == subject
        try:
            secret = self.identity.open_account(name, issuer="https://idp", subject=subject)
        except Unauthenticated:
            assert name in self.gone or not theirs
            return
        assert name not in self.gone and theirs
        self.bound[name] = subject
        self.keep(secret, name, "session", TTL_US, subject=subject)

    @rule(user=USERS)
    def release_an_account(self, user: str) -> None:
        name = self.named(user)
        try:
            self.identity.release_account(name, actor="root", reason="new laptop")
        except NotFound:
            assert name not in self.bound
            return
        del self.bound[name]
        for one in self.kept:
            one.over |= one.user == name and bool(one.subject)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.kept))
        doors: dict[str, Callable[[str], object]] = {
            "link": self.identity.redeem_link,
            "session": self.identity.session,
            "token": self.identity.token,
        }
        for kind in set(doors) - {one.kind}:  # a secret opens its own door only
            try:
                doors[kind](one.secret)
            except Unauthenticated:
                continue
            raise AssertionError(f"a {one.kind} opened the door of a {kind}")
        self.apart()
        expected = self.alive(one)
        try:
            got = doors[one.kind](one.secret)
        except Unauthenticated:
            assert not expected, one
            return
        assert expected, one
        if isinstance(got, Principal):
            assert (got.user, got.limits, got.key) == (one.user, one.limits, one.key)
            one.used_us = self.clock.us
        else:
            one.over = True
            self.keep(str(got), one.user, "session", TTL_US)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), by_id=st.booleans())
    def revoke(self, data: st.DataObject, by_id: bool) -> None:
        one = data.draw(st.sampled_from(self.kept))
        try:
            if one.kind == "token":
                self.identity.revoke_token(one.key, actor="root", reason="leaked")
            elif one.kind == "session" and by_id:
                self.identity.end_session(one.key, actor="root", reason="lost")
            else:
                self.identity.revoke_session(one.secret, reason="signed out")
        except NotFound:
            assert not self.alive(one)
        if one.kind != "link":
            one.over = True

    @rule(user=USERS, known=st.booleans())
    def change_the_people(self, user: str, known: bool) -> None:
        (self.gone.discard if known else self.gone.add)(self.named(user))

    @rule(minutes=MINUTES)
    def wait(self, minutes: float) -> None:
        self.clock.sleep(minutes * 60)

    @rule()
    def save(self) -> None:
        self.identity.save_used()
        for one in self.kept:
            one.saved_us = one.used_us

    @rule(crashed=st.booleans())
    def restart(self, crashed: bool) -> None:
        if not crashed:
            self.save()
        self.identity._unsubscribe()  # a crash saves nothing on its way out
        self.identity = self.opened()
        for one in self.kept:
            one.used_us = one.saved_us

    @invariant()
    def what_is_listed_is_what_works(self) -> None:
        if not hasattr(self, "identity"):
            return
        self.apart()
        living = {one.key for one in self.kept if one.kind != "link" and self.alive(one)}
        mine = {one.key for one in self.kept}
        listed = {s.session_id for s in self.identity.sessions() if s.session_id in mine}
        listed |= {t.token_id for t in self.identity.tokens() if t.token_id in mine}
        assert listed == living
        for one in self.kept:
            if one.kind != "link":
                who = Principal(user=one.user, method="token", key=one.key)
                assert self.identity.still(who) == (one.key in living)


def test_nothing_dead_works_and_nothing_alive_is_refused() -> None:
    place = Place()

    class Machine(IdentityMachine):
        pass

    Machine.place = place
    try:
        run = Machine.TestCase
        run.settings = settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        run().runTest()
    finally:
        place.close()


def test_the_id_of_a_session_is_no_secret() -> None:
    assert session_id("ab" * 32) == "s-" + "ab" * 8
