"""The settings' rule for approvals: how many, of whom, for how long, and who may not."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.core.spec import CONFLICTS
from engine.settings_parts import Duration, Name, duration_ms
from engine.settings_values import ApprovalConfig, GroupConfig

Conflict = Literal[
    "requester", "starter", "bundle_creator", "token_owner", "policy_author", "waiver_author"
]


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Name
    members: Annotated[list[Name], Field(min_length=1)]
    required: bool = False


class ApprovalSection(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    min_approvals: Annotated[int, Field(ge=0, le=20)]
    groups: list[Group] = []
    expires_after: Duration = "24h"
    on_timeout: Annotated[
        Literal["expire"] | None,
        Field(description="what an unanswered question comes to; nothing is approved by waiting"),
    ] = None
    conflicts: Annotated[
        list[Conflict] | None,
        Field(
            description="who may not approve; left out, all of them. Commit authors of the "
            "provenance and service accounts never do"
        ),
    ] = None


def approval_of(section: ApprovalSection) -> ApprovalConfig:
    return ApprovalConfig(
        min_approvals=section.min_approvals,
        groups=tuple(
            GroupConfig(name=g.name, members=tuple(g.members), required=g.required)
            for g in section.groups
        ),
        expires_after_s=duration_ms(section.expires_after) // 1_000,
        conflicts=CONFLICTS if section.conflicts is None else tuple(section.conflicts),
    )
