"""Policies over HTTP: every version that was in force, one of them, and bringing a new one in."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.api.acting import Name, Words
from engine.api.documents.base import PageOf, says
from engine.api.documents.judging import (
    BlockersDoc,
    PolicyCheckDoc,
    PolicyDoc,
    PublishedItemsDoc,
    VersionDoc,
)
from engine.api.once import OnceOnly
from engine.api.pages import Paged, page_of
from engine.api.places import DigestPath
from engine.api.runs import RunId, asker
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, StoredDamaged
from engine.core.policy_versions import PolicyPublished, Version
from engine.policy.lint import lint
from engine.policy.model import Policy, policy_from_blob
from engine.policy_book import Publication
from engine.services import Services

_Text = Annotated[str, Field(min_length=1, max_length=1 << 20)]


class PolicyIn(BaseModel):
    """`policy` YAML and `config` JSON as written; `tests` with their inputs in them."""

    model_config = ConfigDict(extra="forbid")
    policy: _Text
    config: _Text
    tests: dict[str, Any] | None = None


class PublicationIn(PolicyIn):
    environments: Annotated[list[Name], Field(min_length=1, max_length=100)]
    reason: Words


def routes(api: APIRouter, services: Services) -> None:
    book = services.policies

    @api.get("/policies", responses=says(PageOf[VersionDoc]))
    def versions(page: Paged) -> Any:
        """Every version that was in force, the newest first."""
        found = list(enumerate(book.versions()))
        items, following = page_of(
            found, page, "policies", lambda one: (one[0],), newest_first=True
        )
        return {"items": [_version(one) for _, one in items], "next": following}

    @api.get("/policies/{digest}", responses=says(PolicyDoc))
    def version(digest: DigestPath) -> Any:
        of = Digest.parse(digest)
        policy = _policy_of(services, of)
        known = [one for one in book.versions() if one.event.policy == of]
        return {
            "policy": str(of),
            "name": policy.name,
            "version": policy.version,
            "document": policy.document,
            "config": policy.config,
            "lint": [
                {"where": p.where, "rule": p.rule, "message": p.message} for p in lint(policy)
            ],
            "in_force": [_version(one) for one in known],
        }

    @api.post("/policies/check", responses=says(PolicyCheckDoc))
    def check(body: PolicyIn) -> Any:
        """Read, lint and test a policy; it changes nothing."""
        policy, outcomes = book.check(_publication(body, (), ""))
        return {
            "policy": str(policy.digest),
            "ok": all(one.ok for one in outcomes),
            "tests": [one.document() for one in outcomes],
        }

    @api.post("/policies", status_code=201, responses=says(PublishedItemsDoc, status=201))
    def publish(body: PublicationIn, request: Request, once: OnceOnly) -> Any:
        """Bring a policy into force for runs requested from now on; all its tests have to hold."""
        with once.doing(body.policy, body.config, _tests(body).decode(), *body.environments,
                        body.reason) as asked:  # fmt: skip
            events = book.publish(
                _publication(body, tuple(body.environments), body.reason),
                asker(request),
                command_id=asked.id,
            )
        return {"items": [_event(one) for one in events]}

    @api.get("/runs/{run_id}/blockers", responses=says(BlockersDoc))
    def blockers(run_id: RunId) -> Any:
        """The smallest single changes that would have blocked a run."""
        return services.blocking.document(run_id)


def _policy_of(services: Services, of: Digest) -> Policy:
    """Raises `NotFound`: other things are kept by their digest too."""
    try:
        return policy_from_blob(services.store.blobs.get(of), where=f"policy {of.short}")
    except StoredDamaged:
        raise
    except Malformed:
        raise NotFound(f"There is no policy {of}.") from None


def _publication(body: PolicyIn, environments: tuple[str, ...], reason: str) -> Publication:
    return Publication(
        policy=body.policy.encode(),
        config=body.config.encode(),
        tests=_tests(body),
        environments=environments,
        reason=reason,
    )


def _tests(body: PolicyIn) -> bytes:
    """The cases as a document that is still to be judged; empty without any."""
    return b"" if body.tests is None else json.dumps(body.tests, sort_keys=True).encode()


def _version(one: Version) -> dict[str, Any]:
    return {
        **_event(one.event),
        "by": one.by,
        "since_us": one.since_us,
        "until_us": one.until_us,
    }


def _event(event: PolicyPublished) -> dict[str, Any]:
    return {
        "environment": event.environment,
        "policy": str(event.policy),
        "name": event.name,
        "version": event.version,
        "before": None if event.before is None else str(event.before),
        "source": event.source,
        "tests": None if event.tests is None else str(event.tests),
        "passed": event.passed,
        "reason": event.reason,
    }
