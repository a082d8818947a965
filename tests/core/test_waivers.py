"""The waiver register: two people, one finding, until it ends; whatever order things come in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.core import waiver_rules, waivers
from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.event_parts import UsedWaiver
from engine.core.events import Recorded
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER, Limits, Scope
from engine.core.statemachine import Role
from engine.core.waiver_events import (
    WAIVERS,
    WaiverGranted,
    WaiverRefused,
    WaiverRequested,
    WaiverRevoked,
)
from engine.core.waiver_rules import DAY_US, WaiverWish
from engine.core.waivers import Waiver, Waivers, WaiverState

NOW_US = 1_771_403_460_000_000
PROD, STAGE = "eu-prod", "eu-stage"
BUNDLE, OTHER = Digest.of(b"bundle"), Digest.of(b"other")
FINDING, PURL = "CVE-2024-3651", "pkg:pypi/idna@3.6"
ROLES = {
    "pol": {Role.POLICY_AUTHOR},
    "bob": {Role.APPROVER},
    "carol": {Role.APPROVER},
    "dave": {Role.APPROVER},  # the policy names him nowhere
    "both": {Role.POLICY_AUTHOR, Role.APPROVER},
    "ana": {Role.RELEASE_MANAGER, Role.SRE, Role.ADMIN, Role.AUDITOR},
}
TRUSTED = {PROD: {"bob", "carol", "both"}, STAGE: {"bob", "both"}}


def actors(user: str, *places: str, **more: Any) -> dict[str, Actor]:
    roles = frozenset(ROLES[user])
    return {name: Actor(user=user, roles=roles, **more) for name in places or (PROD,)}


def wish(**fields: Any) -> WaiverWish:
    given = {"finding": FINDING, "purl": PURL, "reason": "accepted", "days": 14} | fields
    return WaiverWish(**given)


def asked(number: int = 1, **fields: Any) -> WaiverRequested:
    return waiver_rules.requested(
        wish(**fields), number=number, environments=(PROD,), now_us=NOW_US, days_max=90
    )


def recorded(event: Any, by: str, at_us: int = NOW_US, seq: int = 1) -> Recorded:
    return Recorded(
        gseq=seq, stream=WAIVERS, seq=seq, ts_us=at_us, actor=by, command_id="",
        prev=Digest.of(b"before"), hash=Digest.of(b"now"), event=event,
    )  # fmt: skip


def one(**fields: Any) -> Waiver:
    return replace(Waiver(fact=asked(), by="pol", asked_us=NOW_US), **fields)


# --- what one of them is ----------------------------------------------------------------------


def test_its_state_follows_from_its_facts_and_the_time() -> None:
    deed = waivers.Deed(by="bob", at_us=NOW_US, reason="fine", ticket="")
    end_us = asked().expires_us
    assert end_us == NOW_US + 14 * DAY_US
    for fields, before, after in (
        ({}, WaiverState.REQUESTED, WaiverState.EXPIRED),
        ({"granted": deed}, WaiverState.GRANTED, WaiverState.EXPIRED),
        ({"refused": deed}, WaiverState.REFUSED, WaiverState.REFUSED),
        ({"granted": deed, "revoked": deed}, WaiverState.REVOKED, WaiverState.REVOKED),
    ):
        found = one(**fields)
        assert (found.state(end_us - 1), found.state(end_us)) == (before, after)


def test_one_that_ends_soon_is_said_so_in_its_last_week_or_third() -> None:
    long, short = one(), one(fact=asked(days=3))
    assert not waivers.ends_soon(long, long.fact.expires_us - 5 * DAY_US)  # a third of 14 days
    assert waivers.ends_soon(long, long.fact.expires_us - 4 * DAY_US)
    assert not waivers.ends_soon(short, NOW_US) and waivers.ends_soon(short, NOW_US + 2 * DAY_US)
    year = one(fact=replace(asked(), expires_us=NOW_US + 365 * DAY_US))
    assert not waivers.ends_soon(year, year.fact.expires_us - 7 * DAY_US - 1)
    assert waivers.ends_soon(year, year.fact.expires_us - 7 * DAY_US)


def test_it_covers_what_it_names_and_nothing_else() -> None:
    every, only = one(), one(fact=replace(asked(), bundle=BUNDLE))
    assert every.covers(PROD, BUNDLE) and every.covers(PROD, OTHER)
    assert not every.covers(STAGE, BUNDLE)
    assert only.covers(PROD, BUNDLE) and not only.covers(PROD, OTHER)


def test_a_verdict_can_rest_no_more_on_what_ended_or_was_revoked() -> None:
    deed = waivers.Deed(by="bob", at_us=NOW_US, reason="found a way in.", ticket="")
    used = UsedWaiver(
        waiver="waiver-1", finding=FINDING, purl=PURL, author="pol", granted_by="bob",
        expires_us=asked().expires_us,
    )  # fmt: skip
    holds = {"waiver-1": one(granted=deed)}
    assert waivers.lost(holds, [used], NOW_US) == ""
    assert waivers.lost(holds, [used], used.expires_us) == (
        f"waiver-1 ({FINDING} in {PURL}) ended at 2026-03-04 08:31 UTC"
    )
    gone = {"waiver-1": one(granted=deed, revoked=deed)}
    assert waivers.lost(gone, [used, used], NOW_US).count("was revoked by bob: found a way in") == 2
    assert waivers.lost({}, [used], NOW_US).endswith("is not on record")
    assert waivers.lost(gone, [], NOW_US) == ""


# --- who may, and what has to be said -------------------------------------------------------------


def test_only_a_policy_author_asks_everywhere_that_it_is_to_hold() -> None:
    refused = waiver_rules.may_not_request
    assert refused(actors("pol", PROD, STAGE)) is None
    mixed = {PROD: actors("pol")[PROD], STAGE: actors("bob")[PROD]}
    why = refused(mixed)
    assert why is not None and "in eu-stage: this needs the role policy author" in why.sentence
    for user in ("bob", "ana"):
        assert (found := refused(actors(user))) is not None and found.code == "role"
    found = refused(actors("pol", service=True))
    assert found is not None and "is a service account" in found.sentence
    narrow = Limits(scopes=frozenset({Scope.APPROVE}))
    assert (found := refused(actors("pol", limits=narrow))) is not None and found.code == "scope"


@pytest.mark.parametrize("verb", [GRANT_WAIVER, REFUSE_WAIVER])
@pytest.mark.parametrize(
    ("user", "author", "code"),
    [
        ("bob", "pol", None),
        ("carol", "pol", None),
        ("both", "pol", None),
        ("both", "both", "conflict_of_interest"),
        ("dave", "pol", "role"),
        ("pol", "pol", "role"),
        ("ana", "pol", "role"),
    ],
)
def test_the_second_person(verb: str, user: str, author: str, code: str | None) -> None:
    found = waiver_rules.may_not_judge(one(by=author), actors(user), TRUSTED, verb)
    assert (None if found is None else found.code) == code


@pytest.mark.parametrize(
    ("user", "hand", "provider", "why"),
    [
        ("bob", "pol", "", "pol made the link or token that bob came in with, and wrote waiver-1"),
        (
            "bob",
            "dora",
            "",
            "dora made the link or token that bob came in with, and the one that pol",
        ),
        ("bob", "ana", "", ""),
        ("bob", "ana", "the provider", "sign in through the provider to grant it"),
        ("carol", "", "", "carol made the link or token that pol wrote waiver-1 with"),
    ],
)
def test_nobody_is_a_second_person_by_a_link_that_they_lent(
    user: str, hand: str, provider: str, why: str
) -> None:
    lent = "carol" if user == "carol" else "dora"
    asked_by_hand = one(fact=replace(asked(), hand=lent))
    who = actors(user, hand=hand, provider=provider)
    found = waiver_rules.may_not_judge(asked_by_hand, who, TRUSTED, GRANT_WAIVER)
    assert (found is None) is (not why)
    assert found is None or (found.code == "conflict_of_interest" and why in found.sentence)
    granted = WaiverGranted(waiver="waiver-1", reason="r", hand=hand)
    log = [recorded(asked_by_hand.fact, "pol"), recorded(granted, user, seq=2)]
    holds = waivers.holding(waivers.fold(log), PROD, BUNDLE, NOW_US)
    assert bool(holds) is (hand == "ana")


def test_the_second_person_is_trusted_wherever_it_is_to_hold() -> None:
    places = actors("carol", PROD, STAGE)
    why = waiver_rules.may_not_judge(one(), places, TRUSTED, GRANT_WAIVER)
    assert why is not None and "the policy of eu-stage does not name them" in why.sentence
    assert waiver_rules.may_not_judge(
        one(), actors("bob", PROD, STAGE), TRUSTED, GRANT_WAIVER
    ) is None  # fmt: skip
    service = actors("bob", service=True)
    assert waiver_rules.may_not_judge(one(), service, TRUSTED, GRANT_WAIVER) is not None


def test_who_asks_or_judges_in_any_of_its_environments_may_take_it_back() -> None:
    for user, may in (("pol", True), ("bob", True), ("dave", True), ("ana", False)):
        assert (waiver_rules.may_not_revoke(one(), actors(user)) is None) is may
    mixed = {PROD: actors("ana")[PROD], STAGE: replace(actors("bob")[PROD], user="ana")}
    assert waiver_rules.may_not_revoke(one(), mixed) is None


@pytest.mark.parametrize("finding", ["", "CV", "CVE 2024", "<b>", "CVE-2024-3651\n", "x" * 101])
def test_a_finding_has_a_name(finding: str) -> None:
    with pytest.raises(Malformed, match="finding: expected a name like CVE-2024-3651"):
        asked(finding=finding.replace("\n", "\n!"))


def test_what_is_asked_for_has_a_reason_and_an_end() -> None:
    for days in (0, -1, 91):
        with pytest.raises(Malformed, match=r"days: expected 1 to 90 \(waivers.longest\)"):
            asked(days=days)
    for reason in ("", "  ", "two\nlines", "x" * 401):
        with pytest.raises(Refused) as refused:
            asked(reason=reason)
        assert refused.value.code == "reason"
    assert asked(days=90, finding=" CVE-2024-3651 ").finding == FINDING


def test_left_out_it_is_every_environment_that_there_is_now() -> None:
    assert waiver_rules.covered((), (PROD, STAGE)) == (PROD, STAGE)
    assert waiver_rules.covered((PROD, PROD), (PROD, STAGE)) == (PROD,)
    with pytest.raises(NotFound, match="There is no environment mars"):
        waiver_rules.covered(("mars",), (PROD,))


# --- every order of everything ----------------------------------------------------------------


@dataclass
class Told:
    """What a plain reading of the accepted commands says of one waiver."""

    author: str
    expires_us: int
    granted_by: str = ""
    over: bool = False


class Register(RuleBasedStateMachine):
    """People do what they like, in any order, while time goes on."""

    @initialize()
    def begin(self) -> None:
        self.register: Waivers = {}
        self.now_us, self.seq = NOW_US, 0
        self.told: dict[str, Told] = {}

    def _record(self, event: Any, by: str) -> None:
        self.seq += 1
        self.register = waivers.evolve(
            self.register, recorded(event, by, self.now_us, seq=self.seq)
        )

    @rule(user=st.sampled_from(sorted(ROLES)), days=st.integers(1, 5))
    def ask(self, user: str, days: int) -> None:
        if waiver_rules.may_not_request(actors(user)) is not None:
            assert Role.POLICY_AUTHOR not in ROLES[user]
            return
        made = waiver_rules.requested(
            wish(days=days), number=len(self.register) + 1, environments=(PROD,),
            now_us=self.now_us, days_max=90,
        )  # fmt: skip
        self._record(made, user)
        self.told[made.waiver] = Told(author=user, expires_us=made.expires_us)

    @rule(
        user=st.sampled_from(sorted(ROLES)),
        verb=st.sampled_from([GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER]),
        pick=st.integers(0, 5),
    )
    def act(self, user: str, verb: str, pick: int) -> None:
        if not self.register:
            return
        known = list(self.register.values())
        chosen = known[pick % len(known)]
        who, told = actors(user), self.told[chosen.id]
        judging = verb != REVOKE_WAIVER
        why = (
            waiver_rules.may_not_judge(chosen, who, TRUSTED, verb)
            if judging
            else waiver_rules.may_not_revoke(chosen, who)
        )
        if why is not None:
            return
        make = {
            GRANT_WAIVER: waiver_rules.granted,
            REFUSE_WAIVER: waiver_rules.refused,
            REVOKE_WAIVER: waiver_rules.revoked,
        }[verb]
        try:
            event = make(chosen, self.now_us, reason="because", ticket="")  # type: ignore[operator]
        except Refused as refused:
            assert refused.code == "state"
            assert told.over or told.granted_by or self.now_us >= told.expires_us
            return
        self._record(event, user)
        if verb == GRANT_WAIVER:
            told.granted_by = user
        else:
            told.over = True

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.now_us += hours * 3_600_000_000

    @invariant()
    def only_two_people_make_it_hold_and_only_until_it_ends(self) -> None:
        held = {h.waiver: h for h in waivers.holding(self.register, PROD, BUNDLE, self.now_us)}
        expected = {
            name: told
            for name, told in self.told.items()
            if told.granted_by and not told.over and self.now_us < told.expires_us
        }
        assert set(held) == set(expected)
        for name, told in expected.items():
            assert held[name].requested_by == told.author != told.granted_by
            assert held[name].approved_by == told.granted_by
            assert told.granted_by in TRUSTED[PROD]
        assert waivers.holding(self.register, STAGE, BUNDLE, self.now_us) == ()


Register.TestCase.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
test_any_order_of_commands = Register.TestCase

EVENTS = st.one_of(
    st.builds(WaiverGranted, waiver=st.just("waiver-1"), reason=st.just("r")),
    st.builds(WaiverRefused, waiver=st.just("waiver-1"), reason=st.just("r")),
    st.builds(WaiverRevoked, waiver=st.just("waiver-1"), reason=st.just("r")),
)


@settings(max_examples=60)
@given(events=st.lists(st.tuples(EVENTS, st.sampled_from(["pol", "bob"])), max_size=6))
def test_not_even_a_forged_log_lets_the_author_alone_make_it_hold(
    events: list[tuple[Any, str]],
) -> None:
    log = [recorded(asked(), "pol")]
    log += [recorded(event, by, seq=n) for n, (event, by) in enumerate(events, start=2)]
    found = waivers.holding(waivers.fold(log), PROD, BUNDLE, NOW_US)
    assert all(one.approved_by == "bob" for one in found)
    if any(not isinstance(event, WaiverGranted) for event, _ in events):
        assert found == ()  # what was refused or revoked once never comes back
