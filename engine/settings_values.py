"""What the settings of a home are, once read: frozen values, and who may do what where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.core.health_criteria import Criteria
from engine.core.metrics import SeriesNames
from engine.core.spec import CONFLICTS
from engine.core.statemachine import Role
from engine.evidence.imported import Anchor
from engine.settings_feeds import FeedOrigin
from engine.settings_hooks import InboundConfig, OutboundConfig, WebhookConfig
from engine.settings_integrations import IntegrationsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    user: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverConfig:
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """Attributes:
    url: where a Prometheus answers; empty for the router, which is asked directly.
    token: where the bearer token for it is found, `env:NAME` or `file:PATH`; empty = none.
    slow_over_ms: a request is slow when it took longer; one limit for the whole workflow.
    timeout_ms: how long one question to the source may take.
    max_sample_age_ms: an older answer counts as no answer.
    """

    type: Literal["router", "prometheus"]
    url: str
    slow_over_ms: int
    timeout_ms: int = 4_000
    max_sample_age_ms: int = 10_000
    token: str = ""
    series: SeriesNames = field(default_factory=SeriesNames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Attributes:
    share_bp: basis points of the environment's targets; 0 for the verification after the deploy.
    min_targets: never fewer than this, whatever the share says.
    on_failure: empty = the step's own default (a deploy pauses, a verification rolls back).
    """

    name: str
    share_bp: int
    min_targets: int
    criteria: Criteria
    on_failure: Literal["", "pause", "fail", "rollback"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """`digest` is that of its canonical document: the same judgement gives the same digest."""

    name: str
    digest: Digest
    poll_ms: int
    metrics: MetricsConfig
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFiles:
    name: str
    policy: Path
    config: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredInput:
    """Where a value of the environment comes from: `env` + variable name, `file` + path, `vault` +
    mount/path#field, `consul` + key."""

    name: str
    scheme: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """At least one approval has to come from `members` when `required`."""

    name: str
    members: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalConfig:
    """`min_approvals` 0: nobody is asked. `conflicts`: of `spec.CONFLICTS`, who may not approve."""

    min_approvals: int
    groups: tuple[GroupConfig, ...] = ()
    expires_after_s: int = 86_400
    conflicts: tuple[str, ...] = CONFLICTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Attributes:
    promotes_from: the environment that a bundle has to come from; None for the first one.
    on_breach: what the health gate's ROLLBACK does: go back by itself, or pause and ask.
    rollback_ticket: regular expression that the ticket of a person's rollback has to match; empty
        = none is needed.
    queue: `latest` when a newer promotion takes the place of those that wait; else `fifo`.
    """

    name: str
    region: str
    promotes_from: str | None
    targets: tuple[str, ...]
    driver: DriverConfig
    workflow: Workflow
    policy: PolicyFiles
    inputs: tuple[DeclaredInput, ...]
    approval: ApprovalConfig
    on_breach: Literal["rollback", "pause"]
    rollback_ticket: str = ""
    queue: Literal["fifo", "latest"] = "fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedsConfig:
    """`folder` holds feeds that somebody puts there; `sources` are where others are synced from.

    `import_keys`: PEM of keys of other homes whose exported files may be imported.
    """

    folder: Path
    sources: tuple[FeedOrigin, ...] = ()
    import_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """`samples_days`: how long raw health samples are kept; their roll-ups stay for ever."""

    samples_days: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityConfig:
    """How often everything that is stored is read again, and how fast that may go."""

    every_us: int = 3_600_000_000
    bytes_per_s: int = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiversConfig:
    """`days_max`: how long a waiver may hold."""

    days_max: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Requests to the API of one token or session: `burst` at once, then `per_second`."""

    per_second: int = 100
    burst: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Attributes:
    allowed_hosts: further host names (without port) that the server answers for.
    behind_proxy: TLS ends in a proxy of yours; cookies are then marked Secure.
    public_log: the log's entries, with the certificates in them, are read without sign-in.
    """

    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    behind_proxy: bool
    public_log: bool = False
    rate_limit: RateLimit = RateLimit()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """Attributes:
    issuer: the name under which this home signs.
    log_origin: the first line of every checkpoint of the transparency log.
    """

    issuer: str
    log_origin: str
    base_uri: str = "https://releaseline.local/attestation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role, in the named environments or, when there is None, in all."""

    role: Role
    environments: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig:
    """An OpenID provider that people sign in at.

    Attributes:
        name: what the sign-in page calls it.
        metadata_url: of its discovery document, `.../.well-known/openid-configuration`.
        client_secret: where it is found, `env:NAME` or `file:PATH`.
        redirect_uri: our own address as the provider knows it, ending with /oauth2callback.
        user_claim: whose value names a person of the settings: by `user`, or by `email`.
        groups_claim: whose value lists groups.
        groups: what each group gives.
        allowed_domains: of the e-mail address; empty = any.
    """

    name: str
    metadata_url: str
    client_id: str
    client_secret: str
    redirect_uri: str
    user_claim: str = "email"
    groups_claim: str = "groups"
    groups: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    allowed_domains: tuple[str, ...] = ()
    prompt: str = "login"
    scope: str = "openid email profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Attributes:
    digest: of the canonical document of everything that was read, policies excepted: those
        have their own digests.
    grants: roles by user.
    trust: whose attestations may be imported, in the order of the file.
    webhooks: who is told what happens here.
    hooks: who may call in.
    """

    home: Path
    digest: Digest
    environments: Mapping[str, Environment]
    policies: Mapping[str, PolicyFiles]
    feeds: FeedsConfig
    server: ServerConfig
    evidence: EvidenceConfig
    people: Mapping[str, Person] = field(default_factory=dict)
    grants: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict)
    integrations: IntegrationsConfig = field(default_factory=IntegrationsConfig)
    retention: RetentionConfig = RetentionConfig()
    integrity: IntegrityConfig = IntegrityConfig()
    waivers: WaiversConfig = WaiversConfig()
    trust: tuple[Anchor, ...] = ()
    oidc: OidcConfig | None = None
    outbound: OutboundConfig = field(default_factory=OutboundConfig)
    webhooks: tuple[WebhookConfig, ...] = ()
    hooks: tuple[InboundConfig, ...] = ()

    def environment(self, name: str) -> Environment:
        """Raises `NotFound`, naming what there is."""
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise NotFound(f"There is no environment {name!r}; there are {known}.")
        return self.environments[name]

    @property
    def console_url(self) -> str:
        """Where people reach the console, without a last slash; for links in messages."""
        return self.outbound.public_url or self.server.url

    def person(self, user: str) -> Person:
        """Raises `NotFound`."""
        if user not in self.people:
            raise NotFound(
                f"There is no person {user!r} in the settings.",
                hint="Add them under `people` in releaseline.yaml and start the server again.",
            )
        return self.people[user]

    def holders(self, role: Role, environment: str) -> tuple[str, ...]:
        """Every person who has the role in the environment by these settings, sorted."""
        return tuple(
            sorted(user for user in self.people if role in self.roles_of(user, environment))
        )

    def roles_of(self, user: str, environment: str) -> frozenset[Role]:
        """Empty for a stranger."""
        return _held(self.grants.get(user, ()), environment)

    def roles_of_groups(self, groups: Iterable[str], environment: str) -> frozenset[Role]:
        """What groups of the OpenID provider give beside that; empty without one."""
        given = {} if self.oidc is None else self.oidc.groups
        return _held((grant for name in groups for grant in given.get(name, ())), environment)


def _held(grants: Iterable[Grant], environment: str) -> frozenset[Role]:
    return frozenset(
        grant.role
        for grant in grants
        if grant.environments is None or environment in grant.environments
    )
