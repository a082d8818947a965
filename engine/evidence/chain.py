"""The proof chain of a run: every evidence item in order, and where it stands in the log.

`proof-chain.json` is the list, `proof-chain.dsse` the signature over it and over every evidence
file. Whoever leaves an item out, or swaps one, breaks a digest, a number or a link in it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.evidence.merkle import Tree, leaf_hash
from engine.evidence.strict import base64_of, fields, integer, parse_object, text

FILE: Final = "proof-chain.json"
STEM: Final = "proof-chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One evidence item.

    Attributes:
        file: path of its envelope in a pack; `file_digest` of those bytes.
        payload: digest of its statement; the next node's statement names it as `prev`.
        signed_s: UTC seconds of its time stamp.
        leaf: its leaf hash in the log.
    """

    seq: int
    checkpoint: str
    attempt: int
    file: str
    file_digest: Digest
    payload: Digest
    predicate_type: str
    signer: str
    signed_s: int
    log_index: int
    leaf: bytes

    def document(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "checkpoint": self.checkpoint,
            "attempt": self.attempt,
            "file": self.file,
            "fileSha256": self.file_digest.hex,
            "payloadSha256": self.payload.hex,
            "predicateType": self.predicate_type,
            "signer": self.signer,
            "signedAtS": self.signed_s,
            "logIndex": self.log_index,
            "leafHash": self.leaf.hex(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A state of the log that a receipt shows, with the proof that the sealed one extends it."""

    size: int
    root: bytes
    consistency: tuple[bytes, ...]

    def document(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "root": _b64(self.root),
            "consistency": [_b64(one) for one in self.consistency],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpan:
    """What the log was when the run's first item was taken in, and right before the seal.

    Attributes:
        start: the head that the run began with; its proof leads to `size`.
        heads: those that the items' receipts show, by size.
        size, root: before the seal.
    """

    origin: str
    vkey: str
    start: Head
    heads: tuple[Head, ...]
    size: int
    root: bytes

    def document(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "vkey": self.vkey,
            "sizeAtRunStart": self.start.size,
            "rootAtRunStart": _b64(self.start.root),
            "consistencyFromRunStart": [_b64(one) for one in self.start.consistency],
            "heads": [one.document() for one in self.heads],
            "sizeBeforeSeal": self.size,
            "rootBeforeSeal": _b64(self.root),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofChain:
    """Attributes:
    subject: digest of the release bundle's manifest.
    outcome: how the run ended; a chain of a failed run can't be taken for a good one.
    standing: the people whose approval still counted at the end.
    """

    run_id: str
    subject: Digest
    environment: str
    outcome: str
    outcome_reason: str
    nodes: tuple[Node, ...]
    standing: tuple[str, ...]
    log: LogSpan

    def to_bytes(self, base: str) -> bytes:
        return canonical(
            {
                "schema": f"{base}/proof-chain/v1",
                "runId": self.run_id,
                "subject": {"sha256": self.subject.hex},
                "environment": self.environment,
                "outcome": self.outcome,
                "outcomeReason": self.outcome_reason,
                "count": len(self.nodes),
                "nodes": [node.document() for node in self.nodes],
                "headPayloadSha256": self.nodes[-1].payload.hex if self.nodes else None,
                "evidenceRoot": self.evidence_root.hex(),
                "standingApprovals": list(self.standing),
                "log": self.log.document(),
            }
        )

    def predicate(self, base: str) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "outcomeReason": self.outcome_reason,
            "environment": self.environment,
            "count": len(self.nodes),
            "chain": {"name": FILE, "digest": {"sha256": Digest.of(self.to_bytes(base)).hex}},
            "headPayloadSha256": self.nodes[-1].payload.hex if self.nodes else None,
            "evidenceRoot": self.evidence_root.hex(),
        }

    @property
    def evidence_root(self) -> bytes:
        """RFC 6962 root over the statements' digests, in order."""
        return Tree(leaf_hash(bytes.fromhex(node.payload.hex)) for node in self.nodes).root()


def parse_chain(content: bytes, *, where: str = FILE) -> ProofChain:
    """Read proof-chain.json in its one spelling. Raises `Malformed`; names the field."""
    document = parse_object(content, where=where)
    keys = {
        "schema",
        "runId",
        "subject",
        "environment",
        "outcome",
        "outcomeReason",
        "count",
        "nodes",
        "headPayloadSha256",
        "evidenceRoot",
        "standingApprovals",
        "log",
    }
    fields(document, keys, where=where)
    schema = text(document, "schema", where=where)
    chain = ProofChain(
        run_id=text(document, "runId", where=where),
        subject=Digest(text(_object(document, "subject", where), "sha256", where=where)),
        environment=text(document, "environment", where=where),
        outcome=text(document, "outcome", where=where),
        outcome_reason=text(document, "outcomeReason", where=where),
        nodes=tuple(_node(one, f"{where}.nodes") for one in _list(document, "nodes", where)),
        standing=tuple(str(one) for one in _list(document, "standingApprovals", where)),
        log=_log(_object(document, "log", where), f"{where}.log"),
    )
    # Everything that follows from the rest (count, head, root) is compared by writing it again.
    if (
        not schema.endswith("/proof-chain/v1")
        or chain.to_bytes(schema.removesuffix("/proof-chain/v1")) != content
    ):
        raise Malformed("expected a canonical proof chain whose sums agree", where=where)
    return chain


def _node(value: Any, where: str) -> Node:
    keys = {
        "seq",
        "checkpoint",
        "attempt",
        "file",
        "fileSha256",
        "payloadSha256",
        "predicateType",
        "signer",
        "signedAtS",
        "logIndex",
        "leafHash",
    }
    fields(value, keys, where=where)
    return Node(
        seq=integer(value, "seq", where=where),
        checkpoint=text(value, "checkpoint", where=where),
        attempt=integer(value, "attempt", where=where),
        file=text(value, "file", where=where),
        file_digest=Digest(text(value, "fileSha256", where=where)),
        payload=Digest(text(value, "payloadSha256", where=where)),
        predicate_type=text(value, "predicateType", where=where),
        signer=text(value, "signer", where=where),
        signed_s=integer(value, "signedAtS", where=where),
        log_index=integer(value, "logIndex", where=where),
        leaf=bytes.fromhex(Digest(text(value, "leafHash", where=where)).hex),
    )


def _log(value: Mapping[str, Any], where: str) -> LogSpan:
    keys = {
        "origin",
        "vkey",
        "sizeAtRunStart",
        "rootAtRunStart",
        "consistencyFromRunStart",
        "heads",
        "sizeBeforeSeal",
        "rootBeforeSeal",
    }
    fields(value, keys, where=where)
    return LogSpan(
        origin=text(value, "origin", where=where),
        vkey=text(value, "vkey", where=where),
        start=Head(
            size=integer(value, "sizeAtRunStart", where=where),
            root=base64_of(value, "rootAtRunStart", where=where),
            consistency=_hashes(value, "consistencyFromRunStart", where),
        ),
        heads=tuple(_head(one, f"{where}.heads") for one in _list(value, "heads", where)),
        size=integer(value, "sizeBeforeSeal", where=where),
        root=base64_of(value, "rootBeforeSeal", where=where),
    )


def _head(value: Any, where: str) -> Head:
    fields(value, {"size", "root", "consistency"}, where=where)
    return Head(
        size=integer(value, "size", where=where),
        root=base64_of(value, "root", where=where),
        consistency=_hashes(value, "consistency", where),
    )


def _hashes(value: Mapping[str, Any], key: str, where: str) -> tuple[bytes, ...]:
    return tuple(base64_of({key: one}, key, where=where) for one in _list(value, key, where))


def _object(value: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = value[key]
    if not isinstance(found, Mapping):
        raise Malformed("expected an object", where=f"{where}.{key}")
    return found


def _list(value: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    found = value[key]
    if not isinstance(found, list):
        raise Malformed("expected a list", where=f"{where}.{key}")
    return found


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
