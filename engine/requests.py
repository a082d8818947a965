"""From settings to a run's pinned wish: which steps, judged by which criteria. Pure.

Everything that later decisions rest on is copied into the request, so that an edit of the
configuration never changes a run that is under way.
"""

from __future__ import annotations

from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.run_events import RunRequested
from engine.core.spec import (
    HOTFIX,
    PROMOTE,
    ApprovalGroup,
    ApprovalRule,
    StepKind,
    StepSpec,
)
from engine.settings import Environment, Settings, Stage


def build_request(
    *,
    number: int,
    bundle: Bundle,
    authors: tuple[str, ...],
    environment: str,
    settings: Settings,
    policy_digest: Digest,
    policy_authors: tuple[str, ...],
    speed: int,
    reason: str,
    ticket: str,
    kind: str = PROMOTE,
    token_owner: str = "",
) -> RunRequested:
    """Pin what the run is and what it is judged by. `speed` divides the waiting times."""
    env = settings.environment(environment)
    return RunRequested(
        number=number,
        kind=kind,
        bundle=bundle.digest,
        bundle_name=bundle.name,
        bundle_version=bundle.version,
        bundle_authors=authors,
        region=env.region,
        environment=env.name,
        promotes_from=env.promotes_from or "",
        workflow=env.workflow.name,
        workflow_digest=env.workflow.digest,
        policy=env.policy.name,
        policy_digest=policy_digest,
        policy_authors=policy_authors,
        config_digest=settings.digest,
        steps=steps_of(env, speed),
        targets=tuple(sorted(env.targets)),
        approval=_approval(env, kind),
        on_breach=env.on_breach,
        speed=speed,
        initial="QUEUED",
        reason=reason,
        ticket=ticket,
        ticket_pattern=env.rollback_ticket,
        token_owner=token_owner,
        queue=env.queue,
    )


def steps_of(env: Environment, speed: int) -> tuple[StepSpec, ...]:
    """The eight steps of the default workflow; one deploy step per stage of the configured one."""
    return (
        StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs Materialized"),
        StepSpec(id="gate-eval", kind=StepKind.GATE_EVAL, name="Gate Eval (Policy)"),
        StepSpec(id="approval", kind=StepKind.APPROVAL, name="Approval"),
        *(_stage(stage, env, speed) for stage in env.workflow.stages),
        StepSpec(id="seal", kind=StepKind.SEAL, name="Seal Evidence"),
    )


def _stage(stage: Stage, env: Environment, speed: int) -> StepSpec:
    verify = stage.share_bp == 0
    criteria = stage.criteria.for_speed(speed)
    return StepSpec(
        id=stage.name,
        kind=StepKind.VERIFY if verify else StepKind.DEPLOY,
        name="Post-Deploy Verify" if verify else stage_title(stage),
        share_bp=stage.share_bp,
        min_targets=stage.min_targets,
        poll_ms=max(1_000, env.workflow.poll_ms // speed),
        gate=canonical(criteria.document()).decode(),
        on_failure=stage.on_failure or ("rollback" if verify else "pause"),
    )


def stage_title(stage: Stage) -> str:
    """`Deploy Canary 10%`, or `Deploy 100%` for everything."""
    percent = stage.share_bp // 100 if stage.share_bp % 100 == 0 else stage.share_bp / 100
    return f"Deploy {percent}%" if stage.share_bp == 10_000 else f"Deploy Canary {percent}%"


def _approval(env: Environment, kind: str) -> ApprovalRule:
    """A hotfix passes freezes that keep others out: one more person has to stand for it."""
    rule, hotfix = env.approval, kind == HOTFIX
    return ApprovalRule(
        rule_id=f"{env.name}/hotfix" if hotfix else f"{env.name}/approval",
        min_approvals=rule.min_approvals + hotfix,
        groups=tuple(
            ApprovalGroup(name=g.name, members=tuple(g.members), required=g.required)
            for g in rule.groups
        ),
        expires_after_s=rule.expires_after_s,
        conflicts=rule.conflicts,
    )
