"""The audit trail as a question: which records, whose, and who may ask. Pure.

Every event of a home is a record. An *attempt* is one that somebody caused: allowed, and then the
event says what came of it, or denied, and then it says why. What an attempt brought with it (a
step that ends because its run was cancelled) is no attempt of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.core.statemachine import Role

ENGINE: Final = "engine"
UNKNOWN: Final = "unknown"
ALLOWED: Final = "allowed"
DENIED: Final = "denied"
REJECTED: Final = "command.rejected/1"
SIGN_IN_FAILED: Final = "sign_in.failed/1"
CONFLICT: Final = "conflict_of_interest"

MAY_READ: Final = frozenset({Role.AUDITOR, Role.RELEASE_MANAGER, Role.SRE, Role.ADMIN})

# What somebody asked for where their event says what came of it: the words of commands, so that
# one filter finds what was allowed and what was not. What moves a run says by itself which way it
# took (`via`), and an override what it is for (`action`); any other kind is its own verb.
VERBS: Final[Mapping[str, str]] = {
    "run.requested/1": "promote",
    "step.scheduled/1": "schedule_step",
    "step.unscheduled/1": "unschedule_step",
    "step.marked_failed/1": "mark_step_failed",
    "rollback.targets_requested/1": "rollback",
    "run.commented/1": "comment",
    "approval.rejected/1": "reject",
    "override.withdrawn/1": "drop_override",
    "override.declined/1": "drop_override",
    "review.closed/1": "review",
    "hold.lifted/1": "lift_hold",
    "schedule.created/1": "schedule",
    "schedule.cancelled/1": "cancel",
    "freeze.added/1": "freeze",
    "freeze.ended/1": "end_freeze",
    "waiver.requested/1": "request_waiver",
    "waiver.granted/1": "grant_waiver",
    "waiver.refused/1": "refuse_waiver",
    "waiver.revoked/1": "revoke_waiver",
    "bundle.created/1": "create_bundle",
    "attestation.imported/1": "import_attestation",
    "policy.published/1": "publish_policy",
    "feed.sync_started/1": "sync_feeds",
    "rescan.started/1": "rescan",
    "replay.requested/1": "replay",
    "evidence.exported/1": "export",
    "data.exported/1": "export",
    "backup.made/1": "backup",
    "evidence.addendum/1": "annotate_addendum",
    "link.created/1": "create_link",
    "token.created/1": "create_token",
    "token.revoked/1": "revoke_token",
    "session.opened/1": "sign_in",
    "session.revoked/1": "sign_out",
    "account.released/1": "release_account",
    "webhook.set/1": "set_webhook",
    "webhook.removed/1": "remove_webhook",
    "webhook.tested/1": "test_webhook",
    "webhook.redelivery_requested/1": "redeliver",
    SIGN_IN_FAILED: "sign_in",
    "audit.checked/1": "check_audit",
    "store.checked/1": "fsck",
    "samples.retired/1": "retention",
    "keys.rotated/1": "rotate_keys",
}

# The one way of the state machine that is not called as its command: of a run in the queue.
RESUME_QUEUED, RESUME = "resume_queued", "resume"

# Recorded with somebody's attempt and under their name, but asked for by nobody: these kinds, and
# what a run does by the way of its request.
OF_A_REQUEST: Final = "request"
CONSEQUENCES: Final = frozenset(
    {
        "firing.ticked/1",
        "step.ticked/1",
        "step.started/1",
        "step.succeeded/1",
        "step.failed/1",
        "step.errored/1",
        "step.inconclusive/1",
        "step.skipped/1",
        "step.cancelled/1",
        "run.rejected/1",
        "review.opened/1",
        "feed.synced/1",
        "feed.sync_failed/1",
        "rescan.finished/1",
        "rescan.failed/1",
        "integrity.damaged/1",
        "integrity.repaired/1",
        "integrity.swept/1",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which records are asked for. Empty = any.

    Attributes:
        who: user name, exactly.
        verb: as in `VERBS`, or a kind of event without its version.
        since_us, until_us: from this moment on, and before that one.
        run: id of a run that a record belongs to or is about.
        environment: by name; of the run where a record itself names none.
        denied: only what was not allowed.
        overrides, self_approvals: only these; with both, either of them.
        everything: also what the engine did and what attempts brought with them.
    """

    who: str = ""
    verb: str = ""
    since_us: int | None = None
    until_us: int | None = None
    run: str = ""
    environment: str = ""
    denied: bool = False
    overrides: bool = False
    self_approvals: bool = False
    everything: bool = False

    def words(self) -> dict[str, str | int | bool]:
        """What is set, as it stands in a manifest."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in found.items() if value not in {None, "", False}}


EVERY_ATTEMPT: Final = AuditFilter()
