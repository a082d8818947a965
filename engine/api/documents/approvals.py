"""Answers about what waits for approval, and what is shown to whoever decides."""

from __future__ import annotations

from typing_extensions import TypedDict

from engine.api.documents.base import Anything, DigestText, closed


@closed
class WaitingDoc(TypedDict):
    """A run that asks for approval. `why_not`: why it does not wait for you; empty when it does."""

    run: str
    bundle: DigestText
    bundle_name: str
    bundle_version: str
    region: str
    environment: str
    requested_by: str
    since_us: int
    expires_us: int | None
    missing: list[str]
    mine: bool
    why_not: str


@closed
class ApprovalViewDoc(TypedDict):
    """`document`: of schema releaseline.approval-view/1; `digest` is of its canonical JSON."""

    digest: DigestText
    document: Anything
