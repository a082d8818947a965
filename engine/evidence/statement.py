"""in-toto statements: what is said about which artifact, and its place in a run's chain.

Every predicate of ours carries one extension field, the link: run, attempt, place in the chain and
the digest of the statement before. A reader that does not know it passes over it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.event_parts import NamedDigest
from engine.core.jcs import canonical
from engine.evidence.strict import fields, integer, parse_object, text

TYPE: Final = "https://in-toto.io/Statement/v1"
MANIFEST_NAME: Final = "release-bundle.manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A statement's place in the proof chain of its run.

    Attributes:
        seq: 1-based, without gaps over the run.
        checkpoint: id of the step, or `seal`, `export`.
        prev: name and payload digest of the statement before; None for the first.
    """

    run_id: str
    attempt: int
    seq: int
    checkpoint: str
    prev: NamedDigest | None

    def document(self) -> dict[str, Any]:
        return {
            "runId": self.run_id,
            "attempt": self.attempt,
            "seq": self.seq,
            "checkpoint": self.checkpoint,
            "prev": None if self.prev is None else resource(self.prev),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Attributes:
    subjects: what it is about, at least one.
    base: the URI under which our own types and extensions are named.
    """

    subjects: tuple[NamedDigest, ...]
    predicate_type: str
    predicate: Mapping[str, Any]
    link: Link
    base: str

    def to_bytes(self) -> bytes:
        return canonical(
            {
                "_type": TYPE,
                "subject": [resource(one) for one in self.subjects],
                "predicateType": self.predicate_type,
                "predicate": {**self.predicate, f"{self.base}/link/v1": self.link.document()},
            }
        )


def resource(named: NamedDigest) -> dict[str, Any]:
    """An in-toto ResourceDescriptor."""
    return {"name": named.name, "digest": {"sha256": named.digest.hex}}


def parse_statement(payload: bytes, *, where: str) -> Statement:
    """Read a statement of ours from a payload that was verified.

    Raises:
        Malformed: names the field; also a statement without exactly one link.
    """
    document = parse_object(payload, where=where)
    fields(document, {"_type", "subject", "predicateType", "predicate"}, where=where)
    if document["_type"] != TYPE:
        raise Malformed(f"expected {TYPE}, found {document['_type']!r}", where=f"{where}._type")
    predicate = document["predicate"]
    if not isinstance(predicate, Mapping):
        raise Malformed("expected an object", where=f"{where}.predicate")
    links = [key for key in predicate if key.endswith("/link/v1")]
    if len(links) != 1:
        raise Malformed(f"expected one link, found {len(links)}", where=f"{where}.predicate")
    return Statement(
        subjects=resources(document["subject"], where=f"{where}.subject"),
        predicate_type=text(document, "predicateType", where=where),
        predicate={key: value for key, value in predicate.items() if key != links[0]},
        link=_link(predicate[links[0]], f"{where}.link"),
        base=links[0].removesuffix("/link/v1"),
    )


def resources(value: Any, *, where: str) -> tuple[NamedDigest, ...]:
    """Read a list of ResourceDescriptors that carry a name and a SHA-256, at least one."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Malformed("expected a list with at least one entry", where=where)
    return tuple(_resource(one, where) for one in value)


def _resource(value: Any, where: str) -> NamedDigest:
    fields(value, {"name", "digest"}, where=where)
    digest = fields(value["digest"], {"sha256"}, where=f"{where}.digest")
    return NamedDigest(
        name=text(value, "name", where=where), digest=Digest(text(digest, "sha256", where=where))
    )


def _link(value: Any, where: str) -> Link:
    fields(value, {"runId", "attempt", "seq", "checkpoint", "prev"}, where=where)
    return Link(
        run_id=text(value, "runId", where=where),
        attempt=integer(value, "attempt", where=where),
        seq=integer(value, "seq", where=where),
        checkpoint=text(value, "checkpoint", where=where),
        prev=None if value["prev"] is None else _resource(value["prev"], f"{where}.prev"),
    )
