"""Who may approve, what an approval is bound to, and when there are enough of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core import preconditions
from engine.core.commands import UNKNOWN, Now, Refusal
from engine.core.digest import Digest
from engine.core.errors import Refused
from engine.core.jcs import canonical
from engine.core.scopes import UNLIMITED, Limits, refusal
from engine.core.spec import CONFLICTS, StepKind
from engine.core.state import Run
from engine.core.statemachine import Role

# Parts that no rule may leave out.
COMMIT_AUTHOR: Final = "commit_author"
GLASS_BREAKER: Final = "glass_breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. `roles` are those held in the run's environment, never more.

    Attributes:
        service: a token of a machine; may request, never approve.
        hand: another person, who made the link or token that they came in with; empty when nobody
            but themselves could have used it.
        provider: name of the OpenID provider that people sign in at; empty without one.
        limits: of the token that is shown; a session has none.
    """

    user: str
    roles: frozenset[Role]
    service: bool = False
    limits: Limits = UNLIMITED
    hand: str = ""
    provider: str = ""

    def beyond_token(self, verb: str, environment: str = "") -> Refusal | None:
        """Why the token that is shown is not for this deed; None when the roles decide."""
        return refusal(self.limits, self.user, verb, environment)


def binding(run: Run) -> Digest:
    """Digest of everything that an approval of this run is about.

    Should any of it change, the digest changes with it and the approval counts no more.

    Raises:
        Refused: inputs, verdict or plan are not there yet, so nothing can be approved.
    """
    return Digest.of(canonical(binding_document(run)))


def binding_document(run: Run) -> dict[str, str | int]:
    """What `binding` is the digest of, so that others can work it out again.

    Raises:
        Refused: as `binding`.
    """
    if run.verdict is None or run.plan is None or run.resolved_inputs is None:
        raise Refused("Inputs, verdict and rollout plan must exist before anyone can approve.")
    return {
        "schema": "releaseline.approval-binding/1",
        "run": run.run_id,
        "gateAttempt": len(run.step(run.verdict.step).attempts),
        "environment": run.environment,
        "bundle": str(run.bundle),
        "inputs": str(run.resolved_inputs),
        "policy": str(run.verdict.policy),
        "verdict": str(run.verdict.verdict),
        "plan": str(run.plan),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One way to be part of a promotion.

    Attributes:
        name: one of `CONFLICTS`, which a rule may leave out, or one that always counts.
        did: what they did, as the middle of a sentence.
    """

    name: str
    people: tuple[str, ...]
    did: str

    @property
    def always(self) -> bool:
        return self.name not in CONFLICTS

    @property
    def other(self) -> str:
        """Who has to do it instead, as the middle of a sentence."""
        author = self.name in {COMMIT_AUTHOR, "bundle_creator"}
        return "an author cannot" if author else "somebody else has to"


def parts(run: Run) -> tuple[Part, ...]:
    """Everybody who is part of this promotion, and by what; people may stand in several."""
    request = run.request
    glass = (one for one in run.overrides if one.until_us)
    broke = tuple(person for one in glass for person in (one.asked_by, one.confirmed_by))
    maker = "made the token or link that requested this promotion"
    policy = "changed this environment's policy less than 14 days before this run"
    named = (
        (COMMIT_AUTHOR, run.authors, "is a commit author by this bundle's provenance"),
        ("requester", (run.requested_by,), "requested this promotion"),
        ("starter", (run.started_by,), "started this promotion"),
        ("token_owner", (request.token_owner,), maker),
        ("bundle_creator", request.bundle_authors, "made this bundle"),
        ("policy_author", request.policy_authors, policy),
        ("waiver_author", run.waived_by, "wrote a waiver that the verdict rests on"),
        (GLASS_BREAKER, broke, "broke the glass for this promotion"),
    )
    return tuple(
        Part(name=name, people=tuple(person for person in people if person), did=did)
        for name, people, did in named
    )


def own_work(run: Run, user: str, deed: str, *, conflicts: Sequence[str] = CONFLICTS) -> str | None:
    """Say why `user`, being part of this promotion, may not do `deed` (`approve it`); else None.

    Args:
        conflicts: of `CONFLICTS`, the parts that count here; some always do.
    """
    for part in parts(run):
        if user in part.people and (part.always or part.name in conflicts):
            return f"{user} {part.did}; {part.other} {deed}."
    return None


def let_in(actor: Actor) -> str:
    """Who made what they came in with, as the beginning of a sentence."""
    return f"{actor.hand} made the link or token that {actor.user} came in with"


def lent(run: Run, actor: Actor, deed: str, *, conflicts: Sequence[str] = CONFLICTS) -> str | None:
    """Say why `actor` may not do `deed` with a link or token that somebody else made; None when
    they may.

    Whoever made it could use it, so it counts as their deed too: nobody is two people. Where people
    sign in at a provider there is a way that nobody can lend. `conflicts` as in `own_work`.
    """
    if not actor.hand:
        return None
    if actor.provider:
        return f"{let_in(actor)}; sign in through {actor.provider} to {deed}."
    for part in parts(run):
        if actor.hand in part.people and (part.always or part.name in conflicts):
            return f"{let_in(actor)}, and {part.did}; {part.other} {deed}."
    return None


def _one_hand(run: Run, actor: Actor) -> str | None:
    """Why another approval that counts is by the same hand; None when none is."""
    for given in run.counting_approvals:
        if given.person == actor.hand:
            return f"{let_in(actor)}, and approved already; each approval needs another hand."
        if given.hand == actor.user:
            return (
                f"{actor.user} made the link or token that {given.person} approved with; each "
                "approval needs another hand."
            )
        if given.hand and given.hand == actor.hand:
            return (
                f"{let_in(actor)}, and the one that {given.person} approved with; each approval "
                "needs another hand."
            )
    return None


def conflict(run: Run, actor: Actor) -> str | None:
    """Say why `actor` may not decide on this run, in one sentence; None when they may.

    The same sentence stands on the page, so that a person knows before asking.
    """
    if actor.service:
        return f"{actor.user} is a service account; approvals come from people."
    if Role.APPROVER not in actor.roles:
        return f"{actor.user} has no approver role in {run.environment}."
    conflicts = run.request.approval.conflicts
    involved = own_work(run, actor.user, "approve it", conflicts=conflicts)
    if involved is not None:
        return involved
    if any(a.person == actor.user for a in run.counting_approvals):
        return f"{actor.user} has approved already; each approval needs another person."
    return lent(run, actor, "approve it", conflicts=conflicts) or _one_hand(run, actor)


def groups_of(run: Run, user: str) -> tuple[str, ...]:
    return tuple(g.name for g in run.request.approval.groups if user in g.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a quorum still needs: so many approvals, and one from each of these groups."""

    approvals: int
    groups: tuple[str, ...]


def lack(run: Run, *, without: Collection[str] = ()) -> Lack:
    """Args:
    without: people whose approval is left out.
    """
    rule = run.request.approval
    given = [a for a in run.counting_approvals if a.person not in without]
    return Lack(
        approvals=max(0, rule.min_approvals - len(given)),
        groups=tuple(
            group.name
            for group in rule.groups
            if group.required and not any(group.name in a.groups for a in given)
        ),
    )


def missing(run: Run, *, without: Collection[str] = ()) -> tuple[str, ...]:
    """What the quorum still lacks, in words; empty when it is met. `without` as in `lack`."""
    lacks, least = lack(run, without=without), run.request.approval.min_approvals
    given = f"{least - lacks.approvals} of {least} approvals"
    return (
        *((given,) if lacks.approvals else ()),
        *(f"one from {name}" for name in lacks.groups),
    )


def comment_reasons(run: Run, now: Now = UNKNOWN) -> tuple[str, ...]:
    """What an approver has to say something about, one phrase each; empty = no comment is needed.

    What is not known of the data's health is not the same as health.
    """
    found = []
    if run.verdict is not None and run.verdict.warn > 0:
        found.append("the verdict has warnings")
    if run.waived_by:
        found.append(f"it rests on a waiver of {', '.join(run.waived_by)}")
    if run.checked is not None:
        found += preconditions.warnings(run.checked.rows)
    if now.unhealthy is None:
        found.append("data health is not known")
    elif now.unhealthy:
        found.append(f"data health is not OK ({'; '.join(now.unhealthy)})")
    return tuple(found)


def approval_step(run: Run) -> str:
    step = run.step_of_kind(StepKind.APPROVAL)
    if step is None:
        raise Refused("This run has no approval step.")
    return step.id
