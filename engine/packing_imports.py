"""The imported attestations of a run, as files of its packs.

Each with a record of who vouched for it when it came in. Whoever reads the pack can judge it again
by the same key or trusted root, which are not ours to hand out: the record has their digests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.core.attestations import Attestation, place
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.run import Run
from engine.evidence.imported import SIGSTORE

SCHEMA: Final = "releaseline.imported-attestation/1"


def imports_of(run: Run) -> tuple[Attestation, ...]:
    """Every imported attestation that ever belonged to the run, in the order of its numbers.

    Also one that only an earlier attempt of the inputs named: that attempt is in the pack too.
    """
    return run.attestations


def imported_files(run: Run, blob: Callable[[Digest], bytes]) -> dict[str, bytes]:
    """`imported/<n>-<predicate>.dsse`, with its record and, where one came, its Sigstore bundle.

    Args:
        blob: bytes by digest; raises `NotFound` or `Malformed`.
    """
    files: dict[str, bytes] = {}
    pinned = {one.envelope for one in run.pinned}
    for number, one in enumerate(imports_of(run), start=1):
        name = place(number, one.predicate_type)
        files[f"{name}.dsse"] = blob(one.envelope)
        if one.form == SIGSTORE:
            files[f"{name}.sigstore.json"] = blob(one.source)
        files[f"{name}.verification.json"] = _record(one, pinned=one.envelope in pinned)
    return files


def _record(one: Attestation, *, pinned: bool) -> bytes:
    return canonical(
        {
            "schema": SCHEMA,
            "envelope": {"sha256": one.envelope.hex},
            "source": {"sha256": one.source.hex},
            "file": one.file,
            "form": one.form,
            "payload": {"sha256": one.payload.hex},
            "statementType": one.statement_type,
            "predicateType": one.predicate_type,
            "subjects": [
                {"name": s.name, "digest": {"sha256": s.digest.hex}} for s in one.subjects
            ],
            "says": one.says,
            "trust": {"name": one.trust, "sha256": one.anchor.hex},
            "signer": one.signer,
            "issuer": one.issuer,
            "signedAtS": one.signed_s,
            "pinnedByInputs": pinned,
        }
    )
