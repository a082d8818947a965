"""Approvals: for this run and nothing else, by whom they say, in time, and none against itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.eligibility import BREAK_GLASS
from engine.core.errors import Malformed
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical
from engine.core.statemachine import RunStatus
from engine.evidence.about import About
from engine.evidence.approved_view import check_view
from engine.evidence.chain import ProofChain
from engine.evidence.item import Item
from engine.evidence.report import Ledger
from engine.evidence.statement import resources
from engine.evidence.strict import fields, text
from engine.evidence.wording import moment, worded

SUMMARY: Final = "https://slsa.dev/verification_summary/v1"
APPROVED: Final = "approved"
_DECISIONS: Final = frozenset({APPROVED, "rejected"})
# Nobody was asked, or two people broke the glass: both say so in the step's own statement.
_EXCUSED: Final = frozenset({"NOT_REQUIRED", BREAK_GLASS})
_TYPE: Final = "/approval/v1"
_OUTCOME: Final = "/approval-outcome/v1"


def is_approval(item: Item) -> bool:
    return item.statement.predicate_type == f"{item.statement.base}{_TYPE}"


def check_approval(
    item: Item,
    items: Sequence[Item],
    files: Mapping[str, bytes],
    about: About,
    ledger: Ledger,
    nonces: set[str],
) -> None:
    """The decision is for this run, bundle, environment and policy decision, by its approver, on
    what they were shown.

    Raises:
        Malformed: it does not have the form of an approval.
    """
    said, where = item.statement.predicate, item.path
    scope = said.get("scope")
    if not isinstance(scope, Mapping):
        raise Malformed("expected an object", where=f"{where}.scope")
    ledger.equal(where, "approval.run", expected=about.run_id, found=scope.get("runId"))
    bundle = {"sha256": about.manifest.hex}
    ledger.equal(where, "approval.bundle", expected=bundle, found=scope.get("bundle"))
    ledger.equal(
        where,
        "approval.environment",
        expected=about.said.get("environment"),
        found=scope.get("environment"),
    )
    link = item.statement.link
    ledger.equal(where, "approval.attempt", expected=link.attempt, found=scope.get("attempt"))
    if said.get("decision") not in _DECISIONS:
        ledger.no(
            where,
            "approval.decision",
            expected=" or ".join(sorted(_DECISIONS)),
            found=str(said.get("decision")),
        )
    approver = fields(said.get("approver"), {"id", "user", "groups"}, where=where)
    ledger.equal(
        where,
        "approval.identity",
        expected=text(approver, "id", where=where),
        found=item.verified.signer.identity,
    )
    if said.get("requestedBy") == approver["user"]:
        ledger.no(where, "approval.requester", expected="another person", found="the requester")
    nonce = text(said, "nonce", where=where)
    if nonce in nonces:
        ledger.no(where, "approval.nonce", expected="a nonce used once", found=nonce)
    nonces.add(nonce)
    _check_times(item, ledger)
    judged = _check_basis(item, items, ledger)
    _check_binding(item, scope, judged, about, ledger)
    check_view(item, scope, files, ledger)


def check_approved(chain: ProofChain, items: Sequence[Item], ledger: Ledger) -> None:
    """The approvals that count at the end are there, and nobody went on against a refusal."""
    given = [item for item in items if is_approval(item)]
    approved = {
        _user(item): item for item in given if item.statement.predicate.get("decision") == APPROVED
    }
    for person in chain.standing:
        if person not in approved:
            ledger.no(
                "proof-chain.json",
                "approval.standing",
                expected=f"an approval by {person}",
                found="none",
            )
    ledger.equal(
        "proof-chain.json",
        "approval.standing",
        expected=len(set(chain.standing)),
        found=len(chain.standing),
    )
    if chain.outcome != RunStatus.SUCCEEDED.value:
        return
    for item in given:
        ledger.equal(
            item.path,
            "approval.denied",
            expected=APPROVED,
            found=item.statement.predicate.get("decision"),
        )
    counting = [approved[person] for person in chain.standing if person in approved]
    _check_together(counting, ledger)
    excused = any(
        item.statement.predicate_type == f"{item.statement.base}{_OUTCOME}"
        and item.statement.predicate.get("outcome") in _EXCUSED
        for item in items
    )
    if given and not chain.standing and not excused:
        ledger.no(
            "proof-chain.json",
            "approval.standing",
            expected="an approval that counts, for the run succeeded",
            found="none",
        )


def _check_together(counting: Sequence[Item], ledger: Ledger) -> None:
    """When the last of those that count was given, none of the others had expired."""
    times = [
        (_seconds(one.statement.predicate, "decidedAt", one.path),
         _seconds(one.statement.predicate, "expiresAt", one.path))
        for one in counting
    ]  # fmt: skip
    last = max((decided for decided, _ in times), default=0)
    for item, (_, expires) in zip(counting, times, strict=True):
        if last >= expires:
            ledger.no(
                item.path,
                "approval.expired",
                expected=f"one that still stood when the last was given, {moment(last)}",
                found=f"one that had expired {moment(expires)}",
            )


def _user(item: Item) -> str:
    approver = item.statement.predicate.get("approver")
    return str(approver.get("user")) if isinstance(approver, Mapping) else ""


def _check_times(item: Item, ledger: Ledger) -> None:
    """Decided before it expired, and before it was signed: nobody signs what is yet to come."""
    said, where = item.statement.predicate, item.path
    decided, expires = (_seconds(said, key, where) for key in ("decidedAt", "expiresAt"))
    if decided >= expires:
        ledger.no(
            where, "approval.expired", expected=f"before {moment(expires)}", found=moment(decided)
        )
    if decided > item.verified.at_s:
        signed = moment(item.verified.at_s)
        ledger.no(where, "approval.time", expected=f"by {signed}", found=moment(decided))


def _check_basis(item: Item, items: Sequence[Item], ledger: Ledger) -> tuple[Item, ...]:
    """Based on policy decisions of this very run that came before it."""
    said, where = item.statement.predicate, item.path
    judged = {
        (one.path, one.payload): one
        for one in items
        if one.statement.predicate_type == SUMMARY
        and one.statement.link.seq < item.statement.link.seq
    }
    basis = {(one.name, one.digest) for one in resources(said.get("basis"), where=where)}
    if not basis <= judged.keys():
        ledger.no(
            where,
            "approval.basis",
            expected="this run's policy decision",
            found=worded([NamedDigest(name=name, digest=one) for name, one in sorted(basis)]),
        )
    found = tuple(judged[key] for key in sorted(basis & judged.keys()))
    for one in found:
        ledger.equal(
            where,
            "approval.basis",
            expected="PASSED",
            found=one.statement.predicate.get("verificationResult"),
        )
    return found


def _check_binding(
    item: Item,
    scope: Mapping[str, Any],
    judged: Sequence[Item],
    about: About,
    ledger: Ledger,
) -> None:
    """What the binding is the digest of says the same as the rest of the statement."""
    where, bound = item.path, scope.get("bound")
    if not isinstance(bound, Mapping):
        raise Malformed("expected the document that the binding is of", where=f"{where}.bound")
    ledger.equal(
        where,
        "approval.binding",
        expected={"sha256": Digest.of(canonical(dict(bound))).hex},
        found=scope.get("binding"),
    )
    ledger.equal(where, "approval.binding", expected=about.run_id, found=bound.get("run"))
    bundle = str(about.manifest)
    ledger.equal(where, "approval.binding", expected=bundle, found=bound.get("bundle"))
    ledger.equal(
        where,
        "approval.binding",
        expected=str(scope.get("environment")).rpartition("/")[2],
        found=bound.get("environment"),
    )
    for one in judged:
        decision = one.statement.predicate.get(f"{one.statement.base}/policy-decision/v1")
        digest = decision.get("decisionDigest") if isinstance(decision, Mapping) else None
        ledger.equal(
            where,
            "approval.binding",
            expected=digest,
            found={"sha256": str(bound.get("verdict")).removeprefix("sha256:")},
        )


def _seconds(said: Mapping[str, Any], key: str, where: str) -> int:
    value = text(said, key, where=where)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"expected a time, found {value!r}", where=f"{where}.{key}") from None
    if at.tzinfo is None:  # it would be another moment wherever it is read
        raise Malformed(f"expected a time with its zone, found {value!r}", where=f"{where}.{key}")
    return int(at.timestamp())
