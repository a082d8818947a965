"""Who may do what, written down by hand from the vocabulary (sections 3, 4) and its rulings.

Nothing here is computed by the code under test. `own`: what becomes of it when the person did, or
asked for, the very thing that it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EVERY: Final = (
    "viewer", "release_manager", "approver", "sre", "policy_author", "auditor", "admin", "ci"
)  # fmt: skip
RM: Final = frozenset({"release_manager"})
RM_SRE: Final = frozenset({"release_manager", "sre"})
RM_CI: Final = frozenset({"release_manager", "ci"})
APPROVER: Final = frozenset({"approver"})
TAKES_PART: Final = frozenset({"release_manager", "sre", "approver"})
ADMIN: Final = frozenset({"admin"})
AUTHOR: Final = frozenset({"policy_author"})
BUT_VIEWER_AND_CI: Final = frozenset(EVERY) - {"viewer", "ci"}
CARES_FOR_SOURCES: Final = frozenset({"admin", "sre", "release_manager"})
READS_THE_TRAIL: Final = frozenset({"auditor", "release_manager", "sre", "admin"})


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Attributes:
    state: what it is done to; empty = it is about no run.
    roles: who may.
    own: `same` = it makes no difference; `refused` = one's own work never; `only` = only one's own.
    done: HTTP statuses of somebody who may. 404, 409 and 422 stand where the thing cannot be had
        in a house that does not run: they come from behind the question who asks.
    cli: what is done with the command line, as exit codes; empty = there is no command for it.
    told: whether an attempt of somebody who may leaves a record here: not what only looks or
        probes, nor what finds nothing to do or bad input before there is an attempt.
    record: under which name an attempt stands in the audit trail, allowed or denied; empty = the
        verb's own.
    """

    name: str
    roles: frozenset[str]
    state: str = ""
    own: str = "same"
    done: frozenset[int] = frozenset({200, 201, 202})
    cli: frozenset[int] = frozenset({0})
    told: bool = True
    record: str = ""

    @property
    def recorded_as(self) -> str:
        return self.record or self.name

    def allows(self, role: str, *, own: bool) -> bool:
        if role not in self.roles:
            return False
        return not own if self.own == "refused" else True


_NOT_NOW: Final = frozenset({409})
_NO_COMMAND: Final[frozenset[int]] = frozenset()

RUN_VERBS: Final = (
    Verb(name="pause", roles=RM_SRE, state="canary"),
    Verb(name="resume", roles=RM_SRE, state="paused"),
    # Its criteria are not met, so two people are needed: this is the first one, who asks.
    Verb(name="continue", roles=RM_SRE, state="canary"),
    Verb(name="rerun_step", roles=RM_SRE, state="canary", cli=_NO_COMMAND),
    Verb(name="mark_step_failed", roles=frozenset({"sre"}), state="canary"),
    Verb(name="retry_step", roles=RM_SRE, state="failed"),
    Verb(name="rollback", roles=RM_SRE, state="canary"),
    Verb(name="retry_rollback", roles=RM_SRE, state="rollback_failed"),
    Verb(name="cancel", roles=RM, state="queued"),
    Verb(name="close_failed", roles=RM, state="paused"),
    Verb(name="start_now", roles=RM, state="scheduled"),
    Verb(name="reschedule", roles=RM, state="scheduled"),
    Verb(name="schedule_step", roles=RM, state="waiting"),
    Verb(name="unschedule_step", roles=RM, state="timed"),
    Verb(name="approve", roles=APPROVER, state="waiting", own="refused"),
    Verb(name="reject", roles=APPROVER, state="waiting", own="refused"),
    Verb(name="withdraw", roles=APPROVER, state="approved", own="only"),
    Verb(name="break_glass", roles=RM_SRE, state="waiting"),
    Verb(name="comment", roles=TAKES_PART, state="canary"),
    Verb(name="review", roles=TAKES_PART, state="reviewed", own="refused"),
    Verb(name="confirm_continue", roles=RM_SRE, state="asked", own="refused", record="continue"),
    Verb(name="rerun", roles=RM_CI, state="done"),
    Verb(name="rollback_promotion", roles=RM_SRE, state="done", done=_NOT_NOW, cli=frozenset({5})),
    Verb(name="export", roles=BUT_VIEWER_AND_CI, state="canary"),
    Verb(
        name="drill",
        roles=BUT_VIEWER_AND_CI,
        told=False,
        state="canary",
        done=_NOT_NOW,
        cli=_NO_COMMAND,
    ),
    Verb(name="annotate_addendum", roles=TAKES_PART | {"auditor"}, state="done"),
    Verb(name="replay", roles=BUT_VIEWER_AND_CI, state="done", cli=_NO_COMMAND),
)
HOUSE_VERBS: Final = (
    Verb(name="promote", roles=RM_CI),
    # Far off, so that nothing fires here; whoever may promote may do so later.
    Verb(name="schedule", roles=RM_CI),
    Verb(name="cancel_schedule", roles=RM, record="cancel"),
    Verb(name="create_bundle", roles=RM_CI),
    Verb(name="import_attestation", roles=RM_CI, told=False, done=frozenset({422}),
         cli=frozenset({2})),
    Verb(name="lift_hold", roles=RM_SRE, done=_NOT_NOW, cli=frozenset({5})),
    # Outside of the time that is asked about, so that it holds up nothing here.
    Verb(name="set_freeze", roles=RM_SRE, record="freeze"),
    Verb(name="end_freeze", roles=RM_SRE),
    Verb(name="publish_policy", roles=AUTHOR),
    # Of somebody else; whom the policy names as `exception_approvers` everybody here is.
    Verb(name="request_waiver", roles=AUTHOR),
    Verb(name="grant_waiver", roles=APPROVER),
    Verb(name="refuse_waiver", roles=APPROVER),
    Verb(name="revoke_waiver", roles=APPROVER | AUTHOR),
    Verb(name="sync_feeds", roles=CARES_FOR_SOURCES, done=_NOT_NOW, cli=frozenset({5})),
    # Nothing that is live in this house has an SBOM.
    Verb(name="rescan", roles=RM_SRE, done=_NOT_NOW, cli=frozenset({5})),
    Verb(name="import_feeds", roles=CARES_FOR_SOURCES, told=False, record="sync_feeds"),
    Verb(name="probe_integration", roles=CARES_FOR_SOURCES, told=False, cli=_NO_COMMAND),
    Verb(name="read_audit", roles=READS_THE_TRAIL, told=False),
    Verb(name="check_audit", roles=READS_THE_TRAIL),
    Verb(name="make_link", roles=ADMIN, record="create_link"),
    Verb(name="make_token", roles=ADMIN, record="create_token"),
    Verb(name="list_tokens", roles=ADMIN, told=False),
    Verb(name="revoke_token", roles=ADMIN),
    Verb(name="release_account", roles=ADMIN, told=False, done=frozenset({404}),
         cli=frozenset({4})),
    Verb(name="end_session", roles=ADMIN, record="sign_out"),
    Verb(name="check_store", roles=ADMIN, record="fsck", cli=_NO_COMMAND),
    Verb(name="check_log", roles=ADMIN, record="fsck", cli=_NO_COMMAND),
    Verb(name="backup", roles=ADMIN),
    Verb(name="retention", roles=ADMIN, cli=_NO_COMMAND),
    Verb(name="add_webhook", roles=ADMIN, record="set_webhook"),
    Verb(name="rotate_webhook", roles=ADMIN, record="set_webhook"),
    Verb(name="test_webhook", roles=ADMIN),
    Verb(name="redeliver", roles=ADMIN, done=_NOT_NOW, cli=frozenset({5})),
    Verb(name="remove_webhook", roles=ADMIN),
)  # fmt: skip
