"""What goes into a pack: evidence, story, logs, trust, and how to check it without us."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.digest import Digest
from engine.core.events import Recorded
from engine.core.fact_events import EvidenceCaptured, EvidenceSealed
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence import verify
from engine.evidence.pack import write_tar_gz, write_zip
from engine.evidence.statement import MANIFEST_NAME
from engine.keystore import Keys
from engine.story import tell

PARTIAL: Final = "partial"
BUNDLE: Final = "bundle"
AUDIT_PACK: Final = "audit-pack"
SEALED_KINDS: Final = (AUDIT_PACK, BUNDLE)
FILE_NAMES: Final = {AUDIT_PACK: "audit-pack.tar.gz", BUNDLE: "evidence-bundle.zip"}
# Text of one attempt's log, by run, step and attempt.
StepLogs = Callable[[str, str, int], str]


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


def contents(
    kind: str,
    run: Run,
    log: Sequence[Recorded],
    *,
    keys: Keys,
    blob: Callable[[Digest], bytes],
    step_logs: StepLogs | None,
    created_at: str,
    identity: str,
    issuer: str,
) -> Contents:
    """Gather a pack of `kind` from what is stored. Only a partial one does without the seal."""
    files = {MANIFEST_NAME: blob(run.bundle)}
    items = [r.event for r in log if isinstance(r.event, EvidenceCaptured)]
    chain = [r.event for r in log if isinstance(r.event, EvidenceSealed)]
    for event in (*items, *(() if kind == PARTIAL else chain)):
        files |= {one.name: blob(one.digest) for one in event.files}
    files |= _trust(keys)
    heads = sorted(name for name in files if name.endswith("rekor-entry.json"))
    files["log/log.vkey"] = f"{keys.log}\n".encode()
    files["log/checkpoint"] = _newest_head(files[name] for name in heads)
    if kind == BUNDLE:
        envelopes = [item.envelope for item in items]
        files["evidence.intoto.jsonl"] = b"".join(blob(one) + b"\n" for one in envelopes)
    else:
        files |= _telling(kind, run, log, step_logs)
    said: dict[str, Any] = {
        "kind": kind,
        "partial": kind == PARTIAL,
        "createdAt": created_at,
        "environment": f"{run.request.region}/{run.environment}",
        "outcome": run.outcome.value if run.outcome is not None else run.status.value,
        "evidence": len(items),
        "head": {"sha256": items[-1].payload.hex} if items else None,
    }
    files["README.txt"] = _readme(kind, run, keys, identity, issuer)
    files[verify.MANIFEST] = canonical(
        {
            "schema": "releaseline.pack/1",
            "watermark": verify.WATERMARK if kind == PARTIAL else "",
            "runId": run.run_id,
            **said,
        }
    )
    return Contents(kind=kind, files=files, said=said)


def file_name(kind: str, run: Run) -> str:
    return FILE_NAMES.get(kind, f"{run.run_id}-{verify.WATERMARK}-evidence.tar.gz")


def _newest_head(receipts: Any) -> bytes:
    proofs = [json.loads(receipt)["inclusionProof"] for receipt in receipts]
    newest = max(proofs, key=lambda proof: int(proof["treeSize"]))
    return str(newest["checkpoint"]["envelope"]).encode()


def _trust(keys: Keys) -> dict[str, bytes]:
    config = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(keys.trusted_root),
        "signingConfig": {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        },
    }
    time = keys.desk.time
    return {
        verify.TRUST: keys.trusted_root,
        "trust/trust_config.json": canonical(config),
        "trust/tsa_root.pem": time.root.public_bytes(Encoding.PEM),
        "trust/tsa.pem": time.certificate.public_bytes(Encoding.PEM),
    }


def _telling(
    kind: str, run: Run, log: Sequence[Recorded], step_logs: StepLogs | None
) -> dict[str, bytes]:
    lines = tell(log)
    mark = (
        f"{verify.WATERMARK}: the run has not been sealed; this is what there was so far.\n\n"
        if kind == PARTIAL
        else ""
    )
    title = f"{run.run_id}: {run.label} to {run.request.region} / {run.environment}\n\n"
    files = {
        verify.STORY: (mark + title + "".join(f"{line}\n" for line in lines)).encode(),
        "story.json": canonical(
            {
                "run": run.run_id,
                "partial": kind == PARTIAL,
                "lines": [line.document() for line in lines],
            }
        ),
    }
    if step_logs is not None:
        for number, step in enumerate(run.steps, start=1):
            for attempt in step.attempts:
                name = f"logs/{number:02d}-{step.id}/attempt-{attempt.number}.log"
                files[name] = step_logs(run.run_id, step.id, attempt.number).encode()
    return files


def _readme(kind: str, run: Run, keys: Keys, identity: str, issuer: str) -> bytes:
    partial = (
        "THIS PACK IS PARTIAL. It was made before the run was sealed: there is no proof chain,\n"
        "and what the run did afterwards is not in it.\n\n"
        if kind == PARTIAL
        else ""
    )
    place = f"{run.request.region} / {run.environment}"
    return f"""{partial}Evidence of {run.run_id}: {run.label} to {place}

Everything can be checked offline. Trust begins with ONE file that must not come from this pack:
trusted_root.json, or its SHA-256, as it was handed to you when this home was set up. The copy in
trust/ has

    sha256 {keys.fingerprint.hex}

Compare it with the one you were given. If they differ, stop.

With Releaseline (every file, every link, the log, the approvals):

    releaseline verify PACK --trusted-root-sha256 {keys.fingerprint.hex}

With standard tools, inside the unpacked folder:

    sha256sum -c SHA256SUMS

    sigstore --trust-config trust/trust_config.json verify identity --offline \\
      --bundle SHA256SUMS.sigstore.json \\
      --cert-identity {identity} \\
      --cert-oidc-issuer {issuer} SHA256SUMS

The second says who signed the list of files, the first that the files are those of the list.
Each NAME.dsse under steps/ has its certificate, time stamp and log receipt in NAME.sigstore.json;
each file of a sealed pack is a subject of proof-chain.sigstore.json as well:

    sigstore --trust-config trust/trust_config.json verify identity --offline \\
      --bundle proof-chain.sigstore.json --cert-identity {identity} \\
      --cert-oidc-issuer {issuer} steps/.../FILE

What a signature cannot tell: whether the machine that made it was sound at that moment.
""".encode()
