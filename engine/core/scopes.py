"""What a token may do at most. Pure.

A token never gives more than the roles of its user; it gives less where it has scopes or
environments. Reading is in every scope, since every role reads. A verb is the name of an action
of a run (`engine.core.commands.Action`) or of another deed that goes on record under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.core.commands import Action, Refusal

OVERRIDE: Final = "override"
PROMOTE: Final = "promote"
SCHEDULE: Final = "schedule"
CREATE_BUNDLE: Final = "create_bundle"
IMPORT_ATTESTATION: Final = "import_attestation"
EXPORT: Final = "export"
DRILL: Final = "drill"
ANNOTATE: Final = "annotate_addendum"
REPLAY: Final = "replay"
LIFT_HOLD: Final = "lift_hold"
FREEZE: Final = "freeze"
PUBLISH_POLICY: Final = "publish_policy"
REQUEST_WAIVER: Final = "request_waiver"
GRANT_WAIVER: Final = "grant_waiver"
REFUSE_WAIVER: Final = "refuse_waiver"
REVOKE_WAIVER: Final = "revoke_waiver"
SYNC_FEEDS: Final = "sync_feeds"
RESCAN: Final = "rescan"
RETRY_RUN: Final = "retry_run"
PROBE_INTEGRATION: Final = "probe_integration"
READ_AUDIT: Final = "read_audit"
CHECK_AUDIT: Final = "check_audit"
LIST_TOKENS: Final = "list_tokens"
REVOKE_TOKEN: Final = "revoke_token"  # noqa: S105 -- a verb
LIST_SESSIONS: Final = "list_sessions"
SIGN_OUT: Final = "sign_out"
RELEASE_ACCOUNT: Final = "release_account"
SET_WEBHOOK: Final = "set_webhook"
REMOVE_WEBHOOK: Final = "remove_webhook"
TEST_WEBHOOK: Final = "test_webhook"
REDELIVER: Final = "redeliver"
FSCK: Final = "fsck"
RETENTION: Final = "retention"
BACKUP: Final = "backup"
# In no scope: a token that is limited makes none that is less so, and no link either.
CREATE_LINK: Final = "create_link"
CREATE_TOKEN: Final = "create_token"  # noqa: S105 -- a verb
_ADMINISTER: Final = frozenset(
    {
        LIST_TOKENS,
        REVOKE_TOKEN,
        LIST_SESSIONS,
        SIGN_OUT,
        RELEASE_ACCOUNT,
        SET_WEBHOOK,
        REMOVE_WEBHOOK,
        TEST_WEBHOOK,
        REDELIVER,
        FSCK,
        RETENTION,
        BACKUP,
    }
)
_WHOLE_HOUSE: Final = _ADMINISTER | {CREATE_LINK, CREATE_TOKEN}


class Scope(StrEnum):
    READ = "read"
    BUNDLES = "bundles"
    ATTEST = "attest"
    PROMOTE = "promote"
    OPERATE = "operate"
    APPROVE = "approve"
    EVIDENCE = "evidence"
    POLICIES = "policies"
    FEEDS = "feeds"
    ADMIN = "admin"


_VERBS: Final[Mapping[Scope, frozenset[str]]] = {
    Scope.READ: frozenset(),
    Scope.BUNDLES: frozenset({CREATE_BUNDLE}),
    Scope.ATTEST: frozenset({IMPORT_ATTESTATION}),
    Scope.PROMOTE: frozenset({PROMOTE, SCHEDULE, Action.RERUN, Action.COMMENT}),
    Scope.OPERATE: frozenset(
        {
            Action.PAUSE,
            Action.RESUME,
            Action.CONTINUE,
            Action.RETRY_STEP,
            Action.RERUN_STEP,
            Action.MARK_STEP_FAILED,
            Action.ROLLBACK,
            Action.RETRY_ROLLBACK,
            Action.CANCEL,
            Action.CLOSE_FAILED,
            Action.ROLLBACK_PROMOTION,
            Action.START_NOW,
            Action.RESCHEDULE,
            Action.SCHEDULE_STEP,
            Action.UNSCHEDULE_STEP,
            Action.COMMENT,
            LIFT_HOLD,
            FREEZE,
            PROBE_INTEGRATION,
            RETRY_RUN,
        }
    ),
    Scope.APPROVE: frozenset(
        {
            Action.APPROVE,
            Action.REJECT,
            Action.WITHDRAW,
            Action.REVIEW,
            Action.DROP_OVERRIDE,
            Action.BREAK_GLASS,
            Action.COMMENT,
            OVERRIDE,
            GRANT_WAIVER,
            REFUSE_WAIVER,
            REVOKE_WAIVER,
        }
    ),
    Scope.EVIDENCE: frozenset({EXPORT, DRILL, ANNOTATE, REPLAY, READ_AUDIT, CHECK_AUDIT}),
    Scope.POLICIES: frozenset({PUBLISH_POLICY, REQUEST_WAIVER, REVOKE_WAIVER}),
    Scope.FEEDS: frozenset({SYNC_FEEDS, RESCAN}),
    Scope.ADMIN: _ADMINISTER,
}
# What a pipeline needs, and what a new service token has when nothing else was asked for.
PIPELINE: Final = (Scope.READ, Scope.BUNDLES, Scope.ATTEST, Scope.PROMOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Attributes:
    scopes, environments: empty = whatever the user's roles give.
    """

    scopes: frozenset[Scope] = frozenset()
    environments: frozenset[str] = frozenset()

    def covers(self, environment: str) -> bool:
        return not self.environments or environment in self.environments


UNLIMITED: Final = Limits()


def allows(scopes: Iterable[Scope], verb: str) -> bool:
    """Whether one of the scopes has the verb in it; a verb that stands in none is in no scope."""
    return any(verb in _VERBS[scope] for scope in scopes)


def limits_of(scopes: Iterable[str], environments: Iterable[str]) -> Limits:
    """The limits as they stand on record. A scope that this version does not know allows nothing.

    So a token that was made for it stays limited, rather than becoming free of limits.
    """
    named = tuple(scopes)
    known = frozenset(Scope(name) for name in named if name in _KNOWN)
    return Limits(
        scopes=known or (frozenset({Scope.READ}) if named else frozenset()),
        environments=frozenset(environments),
    )


def refusal(limits: Limits, user: str, verb: str, environment: str = "") -> Refusal | None:
    """Why a token with these limits may not do `verb`; None when its user's roles decide.

    Args:
        environment: where; empty = the deed is about none of them.
    """
    if limits.scopes and not allows(limits.scopes, verb):
        scopes = ", ".join(sorted(limits.scopes))
        return Refusal(
            sentence=f"This token of {user} has the scopes {scopes}; {_said(verb)} is in none of "
            "them.",
            code="scope",
        )
    where = environment or ("the whole house" if verb in _WHOLE_HOUSE else "")
    if where and not limits.covers(where):
        places = ", ".join(sorted(limits.environments))
        return Refusal(
            sentence=f"This token of {user} is for {places}, not for {where}.",
            code="environment",
        )
    return None


def _said(verb: str) -> str:
    return verb.replace("_", " ")


_KNOWN: Final = frozenset(Scope)
