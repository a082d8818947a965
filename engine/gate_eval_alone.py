"""One SBOM judged without a house: a bundle of that one document, no targets, the same road.

What a policy is asked about is made by `engine.gate_eval_sources` as in a promotion, so that a
pipeline that asks before it promotes gets the answer that the promotion will get, but for what only
a house knows: what runs already (every finding counts as new) and what is in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.core.bundle import Attachment, Bundle, Component
from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.gate_eval_sources import FeedNamed, GateSources, Gathered, document_of
from engine.inputs.feeds import FeedFacts
from engine.inputs.vex import trusted_vex
from engine.ports import FeedSnapshot

ENVIRONMENT: Final = "local"


def document_of_sbom(
    sbom: bytes,
    *,
    name: str,
    vex: Sequence[bytes],
    snapshots: Sequence[FeedSnapshot],
    feeds: FeedFacts,
    config: Mapping[str, Any],
    now_s: int,
) -> Gathered:
    """Args:
    name: of the one component that the SBOM speaks of.
    feeds: what `snapshots` say.
    config: the policy's limits, which name the authors whom it follows.
    """
    blobs = {Digest.of(content): content for content in (sbom, *vex)}
    bundle = Bundle(
        name=name,
        version="0",
        components=(_component(name, sbom),),
        attachments=(
            _attachment("sbom", name, sbom),
            *(_attachment("vex", "", one) for one in dict.fromkeys(vex)),
        ),
    )
    blobs[bundle.digest] = bundle.manifest()
    sources = GateSources(
        now_s=now_s,
        kind="PROMOTE",
        environment=ENVIRONMENT,
        region="",
        bundle=bundle.digest,
        pinned=(),
        feeds=tuple(
            FeedNamed(name=one.name, digest=one.digest, as_of_s=one.as_of_s) for one in snapshots
        ),
        baseline=(),
        baseline_unknown=0,
        runtime=None,
        trusted_vex=trusted_vex(config),
    )

    def read(digest: Digest) -> bytes:
        if digest not in blobs:
            raise NotFound(f"There is no {digest} here.")
        return blobs[digest]

    return document_of(sources, read, feeds)


def _component(name: str, content: bytes) -> Component:
    return Component(
        name=name,
        digest=Digest.of(content),
        size=len(content),
        media_type="application/octet-stream",
    )


def _attachment(kind: str, component: str, content: bytes) -> Attachment:
    return Attachment(
        kind=kind,
        component=component,
        digest=Digest.of(content),
        size=len(content),
        media_type="application/json",
    )
