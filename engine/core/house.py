"""Facts that belong to no single run: bundles, people's sessions, the engine's own life.

They live in streams of their own (`bundles`, `admin`, `engine:<id>`), in the same log and with
the same rules as a run's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from engine.core.attestations import AttestationImported
from engine.core.audit_events import (
    AuditChecked,
    BackupMade,
    DataExported,
    SignInFailed,
    StoreChecked,
)
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.feed_events import FeedSynced, FeedSyncFailed, FeedSyncStarted
from engine.core.freeze_events import FreezeAdded, FreezeEnded
from engine.core.health_events import DataHealthChanged
from engine.core.hook_events import (
    HookReceived,
    NoticeRaised,
    RedeliveryRequested,
    WebhookRemoved,
    WebhookSet,
    WebhookTested,
)
from engine.core.integrity_events import DamageCleared, DamageFound, IntegritySwept
from engine.core.policy_versions import PolicyPublished
from engine.core.rescan_events import RescanFailed, RescanFinished, RescanStarted
from engine.core.schedule_events import ScheduleEvent
from engine.core.waiver_events import (
    WaiverGranted,
    WaiverRefused,
    WaiverRequested,
    WaiverRevoked,
)

BUNDLES = "bundles"
ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCreated:
    """`digest` is the manifest's, whose bytes are a blob of that name."""

    TYPE: ClassVar = "bundle.created/1"
    digest: Digest
    name: str
    version: str
    authors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCreated:
    """A one-time sign-in link; only the hash of its secret is kept."""

    TYPE: ClassVar = "link.created/1"
    secret_hash: str
    user: str
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """Attributes:
    method: `link` or `oidc`.
    link_hash: the link that was used up by it; empty without one.
    issuer, subject: of the OpenID provider's account, which a session stays bound to.
    groups: those of the account that give roles.
    """

    TYPE: ClassVar = "session.opened/1"
    secret_hash: str
    user: str
    method: str
    link_hash: str
    expires_us: int
    issuer: str = ""
    subject: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked:
    TYPE: ClassVar = "session.revoked/1"
    secret_hash: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated:
    """An API token. `service` tokens never count as a person in approvals.

    Attributes:
        scopes, environments: what it is limited to (`engine.core.scopes`); empty = to what the
            user's roles give.
    """

    TYPE: ClassVar = "token.created/1"
    token_id: str
    secret_hash: str
    user: str
    service: bool
    expires_us: int
    scopes: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked:
    TYPE: ClassVar = "token.revoked/1"
    token_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReleased:
    """Another account of the OpenID provider may sign in as `user` from here on."""

    TYPE: ClassVar = "account.released/1"
    user: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected:
    """Somebody asked for something that is not allowed; denied attempts are history too.

    Attributes:
        action: what was asked for, in the words of commands.
        run: that it was about; empty when it was about none.
        reason: why it was denied.
        environment: empty for that of the run, or for none.
        subject: what else it was about: a digest, a name, an id.
        asked: the reason that they gave.
        own: they would have let through what is their own work.
        override: they wanted it although something stood against it.
        before, after: what would have been exchanged for what.
    """

    TYPE: ClassVar = "command.rejected/1"
    action: str
    run: str
    code: str
    reason: str
    environment: str = ""
    subject: str = ""
    asked: str = ""
    ticket: str = ""
    override: bool = False
    own: bool = False
    before: Digest | None = None
    after: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLifted:
    """A bundle that was rolled back may be promoted to the environment again. `run`: whose hold."""

    TYPE: ClassVar = "hold.lifted/1"
    environment: str
    bundle: Digest
    run: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted:
    """`log_size`, `log_root` (hex): the log's tree at this moment, over `log_origin`'s leaves."""

    TYPE: ClassVar = "engine.started/1"
    version: str
    pid: int
    config: Digest
    log_origin: str = ""
    log_size: int = 0
    log_root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRotated:
    """Keys were made anew; `fingerprint` is the new trusted root's.

    Attributes:
        number: of the rotation in this home, 1-based without gaps.
        what: of log, ca, tsa, witness.
        origin, first: of the present log shard, and its first leaf among those of all shards.
        files: of the statement that ties a new shard to the one before; empty without one.
    """

    TYPE: ClassVar = "keys.rotated/1"
    number: int
    what: tuple[str, ...]
    fingerprint: Digest
    origin: str
    first: int
    files: tuple[NamedDigest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStopped:
    TYPE: ClassVar = "engine.stopped/1"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWatchdog:
    """The scheduler gave no tick in time and was set going again."""

    TYPE: ClassVar = "engine.watchdog/1"
    silent_ms: int
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRebuilt:
    TYPE: ClassVar = "store.rebuilt/1"
    reason: str
    events: int
    quarantined: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull:
    """Nothing could be recorded between these moments; recorded once there was space again."""

    TYPE: ClassVar = "disk_full/1"
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplesRetired:
    """Raw samples older than `before_us` were taken away (`engine.core.retirement`).

    `kept`: attempts that were old enough and left alone, each with the reason.
    """

    TYPE: ClassVar = "samples.retired/1"
    before_us: int
    runs: int
    attempts: int
    samples: int
    minutes: int
    kept: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequested:
    """Somebody asked for recorded decisions to be replayed (`engine.core.replays`)."""

    TYPE: ClassVar = "replay.requested/1"
    replay: str
    scope: str
    mode: str
    depth: str
    policy: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFinished:
    """Every outcome of a request is there, or it ended early: `status` says which."""

    TYPE: ClassVar = "replay.finished/1"
    replay: str
    status: str
    matching: int
    mismatching: int
    same: int
    flipped: int
    unproven: int
    failed: int


HouseEvent: TypeAlias = (
    BundleCreated
    | AttestationImported
    | LinkCreated
    | SessionOpened
    | SessionRevoked
    | TokenCreated
    | TokenRevoked
    | AccountReleased
    | CommandRejected
    | HoldLifted
    | FreezeAdded
    | FreezeEnded
    | WaiverRequested
    | WaiverGranted
    | WaiverRefused
    | WaiverRevoked
    | EngineStarted
    | KeysRotated
    | EngineStopped
    | EngineWatchdog
    | StoreRebuilt
    | DiskFull
    | SamplesRetired
    | ReplayRequested
    | ReplayFinished
    | FeedSyncStarted
    | FeedSynced
    | FeedSyncFailed
    | RescanStarted
    | RescanFinished
    | RescanFailed
    | PolicyPublished
    | DataHealthChanged
    | WebhookSet
    | WebhookRemoved
    | WebhookTested
    | RedeliveryRequested
    | NoticeRaised
    | HookReceived
    | SignInFailed
    | DataExported
    | AuditChecked
    | StoreChecked
    | DamageFound
    | DamageCleared
    | IntegritySwept
    | ScheduleEvent
    | BackupMade
)
