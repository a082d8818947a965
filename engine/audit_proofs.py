"""The proof chain of a run: who signed what, and from what; what holds it together, held together.

Made from the stored events and envelopes, so it is there while the run still runs. The links are
compared here as `verify` compares them; signatures, receipts and time stamps are not: for these
the sealed pack is verified (`verify_sealed`), the same way as offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.audit_packets import Packet, packets
from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.core.run import Run
from engine.evidence.report import Report
from engine.evidence.verify import verify_pack
from engine.services import Services

_PACK = "audit-pack.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An item of the chain.

    Attributes:
        rests_on: places in the chain of the items that its statement names by their digest.
        broken: what does not fit the item before it; empty when it fits.
    """

    packet: Packet
    rests_on: tuple[int, ...]
    broken: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofChain:
    """Attributes:
    seal: the signed statement over all items; None until the run is sealed.
    missing: attempts of steps whose evidence could not be signed.
    addenda: what was added after the seal, oldest first.
    """

    run_id: str
    proofs: tuple[Proof, ...]
    seal: Packet | None
    missing: tuple[Packet, ...]
    addenda: tuple[Packet, ...]
    count: int | None

    @property
    def broken(self) -> tuple[str, ...]:
        found = [proof.broken for proof in self.proofs if proof.broken]
        if self.count is not None and self.count != len(self.proofs):
            found.append(
                f"The seal is over {self.count} items, and {len(self.proofs)} are on record."
            )
        return tuple(found)


def proof_chain(house: Services, run: Run) -> ProofChain:
    found = packets(house, run_id=run.run_id)[::-1]
    items = sorted((p for p in found if p.what == "captured"), key=lambda p: p.item)
    sealed = [p for p in found if p.what == "sealed"]
    return ProofChain(
        run_id=run.run_id,
        proofs=proofs(items),
        seal=sealed[-1] if sealed else None,
        missing=tuple(p for p in found if p.what == "missing"),
        addenda=tuple(p for p in found if p.what == "addendum"),
        count=run.evidence_count if run.chain is not None else None,
    )


def proofs(items: Sequence[Packet]) -> tuple[Proof, ...]:
    """Items in order of their place, each with what it rests on and whether it fits."""
    place_of: dict[str, int] = {}
    found: list[Proof] = []
    before: Packet | None = None
    for number, packet in enumerate(items, start=1):
        signed = packet.signed
        named = frozenset() if signed is None else signed.references
        rests = {place_of[digest] for digest in named if digest in place_of}
        found.append(
            Proof(
                packet=packet,
                rests_on=tuple(sorted(rests)),
                broken=_broken(packet, before, number),
            )
        )
        for digest in (packet.payload, packet.envelope, *(d for _, d in packet.files)):
            place_of.setdefault(digest.removeprefix("sha256:"), number)
        before = packet
    return tuple(found)


def _broken(packet: Packet, before: Packet | None, number: int) -> str:
    """The first thing by which an item does not fit to the one before."""
    what = f"Item {packet.item} ({packet.name})"
    if packet.item != number:
        return f"{what}: expected item {number} at this place."
    if packet.signed is None:
        return f"{what} can't be read{': ' + packet.note if packet.note else ''}."
    expected = None if before is None else before.payload.removeprefix("sha256:")
    if packet.signed.prev != expected:
        return (
            f"{what}: its statement names {_short(packet.signed.prev)} as the one before it, and "
            f"that is {_short(expected)}."
        )
    if before is not None and not _grows(before.log_index, packet.log_index):
        return f"{what}: its place in the log does not follow that of item {before.item}."
    return ""


def _grows(before: int | None, here: int | None) -> bool:
    return before is not None and here is not None and before < here


def _short(digest: str | None) -> str:
    return "nothing" if digest is None else f"sha256:{digest[:12]}"


def verify_sealed(house: Services, run: Run) -> Report:
    """Verify the audit pack of a sealed run as an auditor would.

    Raises:
        NotFound: the run has no sealed pack, or its bytes are gone.
    """
    outputs = run.steps[-1].attempts[-1].outputs if run.seal_status == "SEALED" else ()
    digest: Digest | None = next((one.digest for one in outputs if one.name == _PACK), None)
    if digest is None:
        raise NotFound(f"{run.run_id} has no sealed audit pack.")
    trusted_root = (house.home / "trusted_root.json").read_bytes()
    return verify_pack(house.store.blobs.get(digest), name=_PACK, trusted_root=trusted_root)
