"""What every pack has, whatever it holds: trust, the log's state, the script, the signed list."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.exporting import BUNDLE, PARTIAL, WATERMARK
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence import history, verify
from engine.evidence.merkle import Tree
from engine.evidence.pack import write_tar_gz, write_zip
from engine.evidence.trust import Chain, client_trust_config, parse_trusted_root
from engine.keystore import Keys

SCRIPT: Final = "verify.sh"

Blob = Callable[[Digest], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who makes a pack, and when. `identity`: what its certificates say; `issuer`: who says so."""

    keys: Keys
    identity: str
    issuer: str
    base: str
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A pack before it is signed. `said` is the export statement's predicate."""

    kind: str
    files: Mapping[str, bytes]
    said: Mapping[str, Any]

    @property
    def sums(self) -> bytes:
        """SHA256SUMS as sha256sum -c reads it."""
        lines = (f"{Digest.of(self.files[name]).hex}  {name}\n" for name in sorted(self.files))
        return "".join(lines).encode()

    def pack(self, bundle: bytes) -> bytes:
        """The archive, with the signed list of its files."""
        files = {**self.files, verify.SUMS: self.sums, verify.SUMS_BUNDLE: bundle}
        return write_zip(files) if self.kind == BUNDLE else write_tar_gz(files)


def finished(
    kind: str, run: Run, files: Mapping[str, bytes], maker: Maker, **said: Any
) -> Contents:
    """The contents with their manifest, which says the same as the signed statement."""
    whole = {
        "kind": kind,
        "partial": kind == PARTIAL,
        "createdAt": maker.created_at,
        "environment": f"{run.request.region}/{run.environment}",
        "outcome": run.outcome.value if run.outcome is not None else run.status.value,
        "chain": None if run.chain is None else {"sha256": run.chain.hex},
        "files": len(files) + 1,
        **said,
    }
    manifest = canonical(
        {
            "schema": "releaseline.pack/1",
            "watermark": WATERMARK if kind == PARTIAL else "",
            "runId": run.run_id,
            **whole,
        }
    )
    return Contents(kind=kind, files={**files, verify.MANIFEST: manifest}, said=whole)


def read(named: Iterable[NamedDigest], blob: Blob) -> dict[str, bytes]:
    return {one.name: blob(one.digest) for one in named}


def common(files: Mapping[str, bytes], tree: Tree, keys: Keys) -> dict[str, bytes]:
    """Trust, log and script to go with `files`.

    `tree` is the log as it is when the pack's list gets signed: the very next leaf is that one.
    """
    receipts = [files[name] for name in sorted(files) if name.endswith("rekor-entry.json")]
    # After a rotation some were given by the log before: its trees are not in this one, and the
    # first leaf of this one holds its last head.
    proofs = [proof for receipt in receipts if (proof := _proof(receipt, keys)) is not None]
    newest = max(proofs, key=lambda proof: int(proof["treeSize"]), default=None)
    shown = [int(proof["treeSize"]) for proof in proofs]
    script = Path(verify.__file__).with_name(SCRIPT).read_bytes()
    witness = {} if keys.witness is None else {"log/witness.vkey": _line(keys.witness.public)}
    return {
        **_trust(keys),
        **witness,
        "log/log.vkey": _line(keys.log),
        "log/checkpoint": b"" if newest is None else newest["checkpoint"]["envelope"].encode(),
        history.FILE: history.history(tree, shown, origin=keys.log_origin).to_bytes(),
        SCRIPT: script,
    }


def _line(vkey: object) -> bytes:
    return f"{vkey}\n".encode()


def _proof(receipt: bytes, keys: Keys) -> dict[str, Any] | None:
    """The receipt's inclusion proof; None when another log than the present one gave it."""
    document = json.loads(receipt)
    if base64.b64decode(document["logId"]["keyId"]) != keys.log.key_id:
        return None
    proof: dict[str, Any] = document["inclusionProof"]
    return proof


def _trust(keys: Keys) -> dict[str, bytes]:
    """The trusted root, and its certificates as openssl reads them."""
    root = parse_trusted_root(keys.trusted_root)
    return {
        verify.TRUST: keys.trusted_root,
        "trust/trust_config.json": client_trust_config(keys.trusted_root),
        "trust/ca.pem": _pem(root.authorities, -1),
        "trust/tsa_root.pem": _pem(root.time_authorities, -1),
        "trust/tsa.pem": _pem(root.time_authorities, 0),
    }


def _pem(chains: Sequence[Chain], place: int) -> bytes:
    found = (chain.certificates[place].public_bytes(Encoding.PEM) for chain in chains)
    return b"".join(dict.fromkeys(found))
