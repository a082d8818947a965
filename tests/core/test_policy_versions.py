"""Which policy is in force where, who changed it lately, and who may."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.policy_versions import (
    CONFLICT_US,
    HOME,
    PUBLISHED,
    PolicyPublished,
    authors,
    home_files,
    in_force,
    refusal,
    versions,
)
from engine.core.statemachine import Role

A, B = Digest.of(b"a"), Digest.of(b"b")
EVENT = PolicyPublished(
    environment="prod",
    policy=A,
    name="p",
    version="1",
    before=None,
    source=PUBLISHED,
    tests=None,
    passed=0,
    reason="r",
)
AUTHOR = Actor(user="eva", roles=frozenset({Role.POLICY_AUTHOR}))

published = st.lists(
    st.tuples(
        st.builds(
            lambda env, policy, source: replace(
                EVENT, environment=env, policy=policy, source=source
            ),
            st.sampled_from(["prod", "stage"]),
            st.sampled_from([A, B]),
            st.sampled_from([PUBLISHED, HOME]),
        ),
        st.sampled_from(["eva", "eve", "engine"]),
        st.integers(0, 4 * CONFLICT_US),
    ),
    max_size=8,
).map(lambda events: sorted(events, key=lambda one: one[2]))


@given(published)
def test_each_environment_has_one_version_at_any_time(
    events: list[tuple[PolicyPublished, str, int]],
) -> None:
    known = versions(events)
    assert [one.event for one in known] == [event for event, _, _ in events]
    for name in ("prod", "stage"):
        own = [one for one in known if one.event.environment == name]
        assert sum(one.in_force for one in own) == (1 if own else 0)
        for before, after in pairwise(own):
            assert before.until_us == after.since_us
        newest = in_force(known, name)
        assert newest == (own[-1] if own else None)


@given(published, st.integers(0, 6 * CONFLICT_US))
def test_authors_are_whoever_published_within_14_days(
    events: list[tuple[PolicyPublished, str, int]], now_us: int
) -> None:
    expected = {
        by
        for event, by, ts_us in events
        if event.environment == "prod"
        and event.source == PUBLISHED
        and ts_us > now_us - CONFLICT_US
    }
    assert authors(versions(events), "prod", now_us) == tuple(sorted(expected))


def test_a_small_change_by_a_friend_clears_nobody() -> None:
    known = versions([(EVENT, "eva", 0), (replace(EVENT, policy=B), "friend", 10)])
    assert authors(known, "prod", 20) == ("eva", "friend")
    assert authors(known, "prod", CONFLICT_US) == ("friend",)
    assert authors(known, "prod", CONFLICT_US + 10) == ()


def test_a_file_counts_as_changed_against_the_file_seen_last() -> None:
    home = replace(EVENT, source=HOME)
    known = versions([(home, "engine", 0), (replace(EVENT, policy=B), "eva", 1)])
    assert home_files(known, [("prod", A), ("stage", A)]) == ("stage",)
    # What was published stays in force over a file that did not change, and gives way to one
    # that did, whatever it changed to.
    assert home_files(known, [("prod", B)]) == ("prod",)


def test_who_may_publish_is_said_in_one_sentence() -> None:
    now = in_force(versions([(EVENT, "eva", 0)]), "prod")

    def said(actor: Actor, policy: Digest = B, reason: str = "why") -> str:
        found = refusal(actor, "prod", policy, now, reason=reason)
        return "" if found is None else f"{found.code}: {found.sentence}"

    assert said(AUTHOR) == ""
    assert said(replace(AUTHOR, service=True)).startswith("role: eva is a service account")
    admin = replace(AUTHOR, roles=frozenset({Role.ADMIN, Role.RELEASE_MANAGER}))
    assert said(admin).startswith("role: Policies of prod belong to its policy authors")
    assert said(AUTHOR, reason=" ").startswith("reason: ")
    assert said(AUTHOR, reason="two\nlines").startswith("reason: ")
    assert said(AUTHOR, A) == "state: This very policy is in force in prod already."
