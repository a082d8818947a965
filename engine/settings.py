"""The settings of a home: read once, all problems at once, then frozen.

Nothing else reads `releaseline.yaml`. Secrets are never in here, only the places where they are
found. What each key means stands beside it in `examples/releaseline.yaml`; the shape of the file
is `engine.settings_shape`, and the JSON Schema that users see is generated from there.
"""

from __future__ import annotations

from engine.settings_feeds import FeedOrigin
from engine.settings_hooks import InboundConfig, OutboundConfig, WebhookConfig
from engine.settings_integrations import IntegrationConfig, IntegrationsConfig
from engine.settings_read import read_settings
from engine.settings_values import (
    ApprovalConfig,
    DeclaredInput,
    DriverConfig,
    Environment,
    EvidenceConfig,
    FeedsConfig,
    Grant,
    GroupConfig,
    IntegrityConfig,
    MetricsConfig,
    OidcConfig,
    Person,
    PolicyFiles,
    RetentionConfig,
    ServerConfig,
    Settings,
    Stage,
    Workflow,
)

__all__ = [
    "ApprovalConfig",
    "DeclaredInput",
    "DriverConfig",
    "Environment",
    "EvidenceConfig",
    "FeedOrigin",
    "FeedsConfig",
    "Grant",
    "GroupConfig",
    "InboundConfig",
    "IntegrationConfig",
    "IntegrationsConfig",
    "IntegrityConfig",
    "MetricsConfig",
    "OidcConfig",
    "OutboundConfig",
    "Person",
    "PolicyFiles",
    "RetentionConfig",
    "ServerConfig",
    "Settings",
    "Stage",
    "WebhookConfig",
    "Workflow",
    "read_settings",
]
