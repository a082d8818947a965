"""The shape of `releaseline.yaml`: the one source of its checks and of its JSON Schema.

What needs more than one key to be judged (references, sums, files on disk) is checked in
`engine.settings_read`; what a gate's numbers mean, in `engine.core.health`.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from engine.core.metrics import SeriesNames
from engine.settings_approval import ApprovalSection
from engine.settings_feeds import FeedsSection
from engine.settings_hooks import HookSection, OutboundSection, WebhookSection
from engine.settings_integrations import IntegrationsSection
from engine.settings_parts import Duration, Name, RateLimitSection, Text
from engine.settings_sign_in import PersonSection, SignInSection
from engine.settings_trust import TrustSection

SERIES: Final = SeriesNames()
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d", re.ASCII)
_SHARE: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?\s?%", re.ASCII)


def share_bp(text: str) -> int:
    """`10%` in basis points, without a detour over floats. Raises `ValueError`."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))


def days(text: str) -> int:
    """`90d` as 90. Raises `ValueError` for any other text, and for less than a day."""
    match = _DAYS.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1])


def _days(text: str) -> str:
    try:
        days(text)
    except ValueError:
        raise PydanticCustomError("days", "whole days from 1d, like 90d") from None
    return text


def _pattern(text: str) -> str:
    try:
        empty = re.fullmatch(text, "") is not None
    except re.error as error:
        told = {"why": str(error)}
        raise PydanticCustomError("pattern", "a regular expression ({why})", told) from None
    if empty:
        raise PydanticCustomError("pattern", "a regular expression that no empty text matches")
    return text


def _share(text: str) -> str:
    try:
        right = 0 < share_bp(text) <= 10_000
    except ValueError:
        right = False
    if not right:
        raise PydanticCustomError("share", "a share over 0% up to 100%, like 10%")
    return text


Share = Annotated[
    str,
    AfterValidator(_share),
    Field(json_schema_extra={"pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})?\s?%$"}, description="10%"),
]
Days = Annotated[
    str,
    AfterValidator(_days),
    Field(json_schema_extra={"pattern": r"^[1-9][0-9]{0,4}d$"}, description="like 90d"),
]
Pattern = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"format": "regex"}),
    AfterValidator(_pattern),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Above0 = Annotated[float, Field(gt=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class HealthyRule(_Part):
    """Proceed when this share of the stage's targets was healthy for so long."""

    share: Above0
    of: Literal["stage_cohort"] | None = None
    for_: Annotated[Duration, Field(alias="for")]
    unhealthy_after: Count | None = None
    recover_after: Count | None = None
    max_failed_probes: Fraction | None = None


class ErrorRule(_Part):
    max: Above0
    strict: bool | None = None
    window: Duration | None = None
    min_requests: Count | None = None


class LatencyRule(_Part):
    """Left out, there is no latency limit."""

    slow_over: Duration
    max_slow_share: Above0
    min_requests: Count | None = None


class ProceedIf(_Part):
    healthy: HealthyRule
    error_rate: ErrorRule
    latency_p95: LatencyRule | None = None


class Dispersion(_Part):
    history: Duration | None = None
    windows: Annotated[list[Duration], Field(min_length=1, max_length=8)] | None = None


class Judge(_Part):
    """How the canary is compared; what is left out is as in the gate of `canary-10-50-100`."""

    method: Annotated[
        Literal["anytime", "threshold", "group_sequential", "mann_whitney"] | None,
        Field(
            description="anytime: canary against baseline at every poll, the one to take unless "
            "there is a reason; group_sequential: the same at a planned number of looks; "
            "mann_whitney: ranks of the rates poll by poll at these looks, for much and wild "
            "traffic; threshold: the limit alone, where the limit is the contract"
        ),
    ] = None
    looks: Annotated[
        int | None,
        Field(ge=1, le=20, description="of group_sequential and mann_whitney, within healthy.for"),
    ] = None
    baseline: Literal["concurrent", "history"] | None = None
    margin: Annotated[float, Field(ge=1, le=10)] | None = None
    alpha: Above0 | None = None
    alpha_hold: Above0 | None = None
    min_bad: Count | None = None
    staggered_start: Duration | None = None
    dispersion: Dispersion | None = None
    carry_evidence: bool | None = None


class Trigger(_Part):
    when: Literal[
        "worse_than_baseline",
        "limit_proven",
        "cohort_healthy_below",
        "baseline_breaches_too",
        "no_data",
        "insufficient_traffic",
        "suspect",
    ]
    unless: Literal["baseline_breaches_too"] | None = None
    at: Literal["max_hold"] | None = None
    share: Fraction | None = None
    for_: Annotated[Duration | None, Field(alias="for")] = None


class Burn(_Part):
    burn: Annotated[float, Field(gt=0, le=10_000)]
    windows: Annotated[list[Duration], Field(min_length=1, max_length=4)]


class EnvGuard(_Part):
    """Either `slo` with `block_start_if`, or `openslo`: a file that says both."""

    slo: Above0 | None = None
    block_start_if: list[Burn] | None = None
    openslo: Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> EnvGuard:
        own = (self.slo is not None, self.block_start_if is not None)
        if (self.openslo is None and all(own)) or (self.openslo is not None and not any(own)):
            return self
        raise PydanticCustomError("env_guard", "slo and block_start_if, or openslo alone")


class HealthGate(_Part):
    proceed_if: ProceedIf
    judge: Judge | None = None
    auto_rollback: list[Trigger] | None = None
    auto_pause: list[Trigger] | None = None
    on_insufficient: Literal["pause", "promote"] | None = None
    max_hold: Duration | None = None
    fleet_min: Above0 | None = None
    env_guard: EnvGuard | None = None


MetricName = Annotated[str, Field(pattern=r"^[A-Za-z_:][A-Za-z0-9_:]*$")]
LabelName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Series(_Part):
    """How the series of a Prometheus are called; what is left out is as the fleet exposes it."""

    select: Text | None = None
    requests: MetricName | None = None
    durations: Annotated[
        MetricName | None, Field(description="null: there is no histogram of durations")
    ] = SERIES.durations
    ready: Annotated[
        MetricName | None, Field(description="null: a target that can be scraped is healthy")
    ] = SERIES.ready
    target_label: LabelName | None = None
    code_label: LabelName | None = None
    errors: Text | None = None


class MetricsSource(_Part):
    type: Literal["router", "prometheus"]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    token: Annotated[str, Field(pattern=r"^(env|file):.+$")] | None = None
    series: Series | None = None
    timeout: Duration = "4s"
    poll: Duration = "5s"
    max_sample_age: Duration = "10s"


class SizedShare(_Part):
    min: Annotated[int, Field(ge=1, le=10_000)]
    share: Share


def _sized(value: object) -> object:
    return {"min": 1, "share": value} if isinstance(value, str) else value


class WorkflowStage(_Part):
    """A stage with `targets` deploys; the one without them verifies after the deploy."""

    name: Name
    targets: Annotated[
        SizedShare | None,
        BeforeValidator(_sized, json_schema_input_type=Share | SizedShare | None),
    ] = None
    gate: HealthGate | None = None
    for_: Annotated[Duration | None, Field(alias="for")] = None
    on_failure: Literal["pause", "fail", "rollback"] | None = None


class PromotionWorkflow(_Part):
    kind: Literal["PromotionWorkflow"]
    name: Name
    metrics_source: MetricsSource
    defaults: HealthGate | None = None
    stages: Annotated[list[WorkflowStage], Field(min_length=1, max_length=20)]


class PolicySection(_Part):
    name: Name
    policy: Text
    config: Text


class Driver(_Part):
    """Real HTTP processes on this machine, behind the embedded router."""

    kind: Literal["local-fleet"]


class Input(_Part):
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]
    from_: Annotated[str, Field(alias="from", pattern=r"^(env|file|vault|consul):.+$")]


class EnvironmentSection(_Part):
    name: Name
    region: Text
    promotes_from: Name | None = None
    targets: Annotated[list[Name], Field(min_length=1, max_length=10_000)]
    driver: Driver
    workflow: Name
    policy: Name
    inputs: list[Input] = []
    approval: ApprovalSection
    on_breach: Literal["rollback", "pause"] = "rollback"
    rollback_ticket: Pattern | None = None
    queue: Literal["fifo", "latest"] = "fifo"


class RetentionSection(_Part):
    """Roll-ups by the minute stay for ever; the raw samples beneath them so long."""

    samples: Days = "90d"


class IntegritySection(_Part):
    """Everything that is stored is read again now and then, bit by bit."""

    every: Duration = "1h"
    megabytes_per_second: Annotated[int, Field(ge=1, le=10_000)] = 16


class WaiversSection(_Part):
    """How long a waiver of a finding may hold at most."""

    longest: Days = "90d"


class ServerSection(_Part):
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8501
    allowed_hosts: list[Text] = []
    behind_proxy: bool = False
    public_log: bool = False
    rate_limit: RateLimitSection = RateLimitSection()


class EvidenceSection(_Part):
    issuer: Text
    log_origin: Annotated[str, Field(pattern=r"^[^\s+]{1,200}$")]
    base_uri: Annotated[str, Field(pattern=r"^https://\S+[^/]$")] = (
        "https://releaseline.local/attestation"
    )


class SettingsFile(_Part):
    """The settings of a Releaseline home."""

    version: Literal[1]
    server: ServerSection = ServerSection()
    sign_in: SignInSection = SignInSection()
    evidence: EvidenceSection
    trust: list[TrustSection] = []
    feeds: FeedsSection
    integrations: IntegrationsSection = IntegrationsSection()
    retention: RetentionSection = RetentionSection()
    integrity: IntegritySection = IntegritySection()
    waivers: WaiversSection = WaiversSection()
    policies: Annotated[list[PolicySection], Field(min_length=1)]
    workflows: Annotated[list[PromotionWorkflow], Field(min_length=1)]
    environments: Annotated[list[EnvironmentSection], Field(min_length=1)]
    people: Annotated[list[PersonSection], Field(min_length=1)]
    outbound: OutboundSection = OutboundSection()
    webhooks: Annotated[list[WebhookSection], Field(max_length=50)] = []
    hooks: Annotated[list[HookSection], Field(max_length=50)] = []


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the settings file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SettingsFile.model_json_schema(),
    }


def schema_text() -> str:
    """The text of `examples/releaseline.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
