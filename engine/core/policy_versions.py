"""Which policy is in force where, since when and by whom: folded from what was published. Pure.

A version is a digest; its bytes are a blob that never changes. What changes is which of them an
environment is judged by, and each change is an event with its author. A file in the home that
differs from the last one seen there is a change too: by whom, the engine can't know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.digest import Digest
from engine.core.scopes import PUBLISH_POLICY
from engine.core.statemachine import Role

# Whoever changed a policy may not approve what it lets through for so long (decision 12).
CONFLICT_US: Final = 14 * 24 * 3600 * 1_000_000

PUBLISHED: Final = "published"
HOME: Final = "home"

_REASON_MAX: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPublished:
    """From here on runs of `environment` are requested under `policy`.

    Attributes:
        name, version: as the policy calls itself.
        before: the digest that was in force; None for the first one.
        source: `published` by a person, or `home`: found in a file of the home.
        tests: blob of its tests; None when it has none. `passed`: how many there are.
    """

    TYPE: ClassVar = "policy.published/1"
    environment: str
    policy: Digest
    name: str
    version: str
    before: Digest | None
    source: str
    tests: Digest | None
    passed: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A policy in force in one environment, from `since_us` until the next one."""

    event: PolicyPublished
    by: str
    since_us: int
    until_us: int | None

    @property
    def in_force(self) -> bool:
        return self.until_us is None


def versions(published: Iterable[tuple[PolicyPublished, str, int]]) -> tuple[Version, ...]:
    """Every version of every environment, oldest first.

    Args:
        published: (event, actor, ts_us) in the order in which they were recorded.
    """
    found: list[Version] = []
    newest: dict[str, int] = {}
    for event, by, ts_us in published:
        before = newest.get(event.environment)
        if before is not None:
            old = found[before]
            found[before] = Version(
                event=old.event, by=old.by, since_us=old.since_us, until_us=ts_us
            )
        newest[event.environment] = len(found)
        found.append(Version(event=event, by=by, since_us=ts_us, until_us=None))
    return tuple(found)


def in_force(known: Iterable[Version], environment: str) -> Version | None:
    return next((v for v in known if v.in_force and v.event.environment == environment), None)


def authors(known: Iterable[Version], environment: str, now_us: int) -> tuple[str, ...]:
    """People who changed the environment's policy less than 14 days ago, sorted.

    All of them, not the last one only: a small change by a friend clears nobody.
    """
    return tuple(
        sorted(
            {
                one.by
                for one in known
                if one.event.environment == environment
                and one.event.source == PUBLISHED
                and now_us - one.since_us < CONFLICT_US
            }
        )
    )


def home_files(known: Iterable[Version], files: Iterable[tuple[str, Digest]]) -> tuple[str, ...]:
    """Environments whose policy file is another one than when it was last looked at, sorted.

    Args:
        files: (environment, digest of the policy in its file).
    """
    seen = {one.event.environment: one.event.policy for one in known if one.event.source == HOME}
    return tuple(sorted(name for name, digest in files if seen.get(name) != digest))


def refusal(
    actor: Actor, environment: str, policy: Digest, now: Version | None, *, reason: str
) -> Refusal | None:
    """Why `actor` may not bring `policy` into force in `environment`; None when they may.

    Args:
        actor: with the roles held in this environment.
        now: what is in force there.
    """
    beyond = actor.beyond_token(PUBLISH_POLICY, environment)
    if beyond is not None:
        return beyond
    if actor.service:
        return Refusal(
            sentence=f"{actor.user} is a service account; policies are changed by people.",
            code="role",
        )
    if Role.POLICY_AUTHOR not in actor.roles:
        return Refusal(
            sentence=f"Policies of {environment} belong to its policy authors; {actor.user} is "
            "none of them.",
            code="role",
        )
    if not reason.strip() or len(reason) > _REASON_MAX or not reason.isprintable():
        return Refusal(sentence="Say in one line why the policy changes.", code="reason")
    if now is not None and now.event.policy == policy:
        return Refusal(
            sentence=f"This very policy is in force in {environment} already.", code="state"
        )
    return None
