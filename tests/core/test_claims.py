"""Which person an OpenID provider vouches for, and why not; whatever it may say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.claims import Account, ClaimRule, NoAccount, judge

NOW_S = 1_800_000_000
PEOPLE = {"ana.li": "ana.li@example.com", "bob": "Bob@Example.com"}
GOOD: dict[str, object] = {
    "iss": "https://idp",
    "sub": "1",
    "iat": NOW_S - 10,
    "email": "ana.li@example.com",
    "email_verified": True,
    "preferred_username": "bob",
    "groups": ["sre", "unknown", 7],
}
RULE = ClaimRule(user_claim="email", groups=frozenset({"sre", "qa"}))


def test_by_address_and_by_name() -> None:
    by_mail = judge(GOOD, RULE, PEOPLE, now_s=NOW_S)
    assert by_mail == Account(user="ana.li", issuer="https://idp", subject="1", groups=("sre",))
    by_name = judge(GOOD, ClaimRule(user_claim="preferred_username"), PEOPLE, now_s=NOW_S)
    assert isinstance(by_name, Account) and by_name.user == "bob"
    loud = judge({**GOOD, "email": "BOB@example.COM"}, RULE, PEOPLE, now_s=NOW_S)
    assert isinstance(loud, Account) and loud.user == "bob"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"iat": NOW_S - 301}, "stale"),
        ({"iat": NOW_S + 61}, "stale"),
        ({"iat": True}, "incomplete"),
        ({"iat": None}, "incomplete"),
        ({"iss": ""}, "incomplete"),
        ({"sub": 7}, "incomplete"),
        ({"email": ["ana.li@example.com"]}, "incomplete"),
        ({"email": "ana.li@example.com\n"}, "incomplete"),
        ({"email_verified": False}, "unverified"),
        ({"email_verified": "true"}, "unverified"),
        ({"email_verified": None}, "unverified"),
        ({"email": "eve@example.com"}, "unknown"),
        ({"email": "ana.li"}, "unknown"),
    ],
)
def test_who_is_not_let_in(change: dict[str, Any], code: str) -> None:
    rule = ClaimRule(user_claim="email")
    people = {"ana": "ana.li@example.com"}
    found = judge({**GOOD, **change}, rule, people, now_s=NOW_S)
    assert isinstance(found, NoAccount) and found.code == code and found.sentence.endswith(".")


def test_domains_and_shared_addresses() -> None:
    rule = ClaimRule(user_claim="email", domains=frozenset({"other.example"}))
    found = judge(GOOD, rule, PEOPLE, now_s=NOW_S)
    assert isinstance(found, NoAccount) and found.code == "domain"
    shared = {**PEOPLE, "anna": "ana.li@example.com"}
    found = judge(GOOD, RULE, shared, now_s=NOW_S)
    assert isinstance(found, NoAccount) and found.code == "unknown"  # nobody is guessed at


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["ana.li"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), VALUES))
def test_nothing_that_a_provider_says_makes_somebody_else(claims: dict[str, Any]) -> None:
    found = judge({**GOOD, **claims}, RULE, PEOPLE, now_s=NOW_S)
    if isinstance(found, Account):
        said = {**GOOD, **claims}["email"]
        assert isinstance(said, str) and PEOPLE[found.user].lower() == said.strip().lower()
        assert set(found.groups) <= RULE.groups
