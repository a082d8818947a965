"""What an OpenID provider says of somebody, judged: which person of the settings that is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FRESH_S: Final = 5 * 60
_CLOCKS_APART_S: Final = 60
_TEXT_MAX: Final = 320
_GROUPS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """Attributes:
    user_claim: whose value names the person: `email`, and a value with an @, by e-mail address;
        any other by user name.
    groups_claim: whose value lists groups; `groups`: those that give roles here.
    domains: of the e-mail address, lower case; empty = any.
    """

    user_claim: str
    groups_claim: str = "groups"
    groups: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person of the settings, and the account at the provider that vouches for them."""

    user: str
    issuer: str
    subject: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAccount:
    """Why nobody is signed in.

    Attributes:
        code: stale, incomplete, unverified, domain or unknown.
        sentence: for the record; names who it was about.
        who: as the provider calls them; empty when it does not say.
    """

    code: str
    sentence: str
    who: str = ""


def judge(
    claims: Mapping[str, object], rule: ClaimRule, people: Mapping[str, str], *, now_s: int
) -> Account | NoAccount:
    """Args:
    claims: of an ID token whose signature, audience and nonce were checked.
    people: e-mail address by user name.
    now_s: UTC epoch seconds.
    """
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    name, issued_s = _text(claims, rule.user_claim), claims.get("iat")
    lacks = [
        claim
        for claim, value in (("iss", issuer), ("sub", subject), (rule.user_claim, name))
        if not value
    ]
    if lacks or type(issued_s) is not int:
        what = ", ".join(lacks or ["iat"])
        return NoAccount(code="incomplete", sentence=f"The provider says no {what}.", who=name)
    if not -_CLOCKS_APART_S <= now_s - issued_s <= FRESH_S:
        return NoAccount(
            code="stale",
            sentence=f"The provider's word about {name} is {now_s - issued_s} s old; at most "
            f"{FRESH_S} s are accepted.",
            who=name,
        )
    by_mail = "@" in name or rule.user_claim == "email"
    # Whoever may write any address into their profile must not become its owner here.
    verified = claims.get("email_verified", rule.user_claim != "email")
    if by_mail and verified is not True:
        return NoAccount(
            code="unverified",
            sentence=f"The provider has not verified the e-mail address {name}.",
            who=name,
        )
    address = name if by_mail else _text(claims, "email")
    if rule.domains and address.rpartition("@")[2].lower() not in rule.domains:
        return NoAccount(
            code="domain",
            sentence=f"{address or name} is of no domain that may sign in here.",
            who=name,
        )
    found = [
        user
        for user, email in people.items()
        if (email.lower() == name.lower() if by_mail else user == name)
    ]
    if len(found) != 1:
        return NoAccount(
            code="unknown", sentence=f"{name} is no person of the settings here.", who=name
        )
    groups = _groups(claims.get(rule.groups_claim)) & rule.groups
    return Account(user=found[0], issuer=issuer, subject=subject, groups=tuple(sorted(groups)))


def _text(claims: Mapping[str, object], name: str) -> str:
    """A claim that is a text of reasonable length and of printable signs; else empty."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > _TEXT_MAX or not value.isprintable():
        return ""
    return value.strip()


def _groups(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    if not isinstance(value, Sequence):
        return frozenset()
    return frozenset(one for one in value[:_GROUPS_MAX] if isinstance(one, str))
