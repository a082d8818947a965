"""What auditors are shown of a real run: read from the stored bundles, never finer than those."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.audit_exports import exported, known
from engine.audit_packets import Packet, packets
from engine.audit_proofs import proof_chain, verify_sealed
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.services import Services
from tests.evidence.conftest import Played


@pytest.fixture(scope="module")
def house(rolled_back: Played, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """As much of a running house as reading needs."""
    home = tmp_path_factory.mktemp("home")
    (home / "trusted_root.json").write_bytes(rolled_back.trusted)
    return cast(Services, SimpleNamespace(home=home, store=rolled_back.world.store))


def test_every_item_says_who_signed_it_and_the_links_hold(
    house: Services, rolled_back: Played
) -> None:
    chain = proof_chain(house, rolled_back.run)
    assert len(chain.proofs) == rolled_back.run.evidence_count
    assert chain.broken == ()
    assert chain.seal is not None and chain.seal.state == "SEALED"
    for proof in chain.proofs:
        signed = proof.packet.signed
        assert signed is not None
        assert ("@" in signed.signer) == (proof.packet.step == "approval")
        assert all(place < proof.packet.item for place in proof.rests_on)
    by_stem = {proof.packet.stem: proof for proof in chain.proofs}
    decision = by_stem["policy-decision"].packet.item
    assert by_stem["approval"].rests_on == (decision,)
    assert decision in by_stem["deploy-attestation"].rests_on


def test_the_sealed_pack_verifies_from_here_too(house: Services, rolled_back: Played) -> None:
    report = verify_sealed(house, rolled_back.run)
    assert report.ok and report.anchored


def test_whose_a_digest_is(house: Services, rolled_back: Played) -> None:
    whole = known(house, str(Digest.of(rolled_back.audit)))
    assert whole.ours and {one.run_id for one in whole.packs} == {rolled_back.run.run_id}
    assert {one.size for one in whole.packs} == {len(rolled_back.audit)}
    inside = known(house, str(rolled_back.run.chain))
    assert inside.packs == () and any(use.name == "proof-chain.json" for use in inside.uses)
    assert known(house, str(Digest.of(rolled_back.trusted))).trusted_root
    assert not known(house, Digest.of(rolled_back.audit + b"\0").hex).ours
    kinds = {one.kind for one in exported(house) if one.sealed}
    assert {"audit-pack", "bundle"} <= kinds


def test_damaged_bytes_are_shown_as_what_they_are(
    house: Services, rolled_back: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the same item was read before: nothing is shown out of a memory of good bytes."""
    run, store = rolled_back.run, rolled_back.world.store
    good = packets(house, run_id=run.run_id)
    broken = next(d for name, d in good[1].files if name.endswith(".sigstore.json"))

    class Damaged:
        def get(self, digest: Digest) -> bytes:
            if str(digest) == broken:
                raise Malformed(f"expected {digest}, found another", where="blob")
            return cast(bytes, store.blobs.get(digest))

    class Beside:
        blobs = Damaged()

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    hurt = cast(Services, SimpleNamespace(home=house.home, store=Beside()))
    found: tuple[Packet, ...] = packets(hurt, run_id=run.run_id)
    assert [p.item for p in found if p.state == "INVALID"] == [good[1].item]
    assert "found another" in found[1].note
    assert proof_chain(hurt, run).broken
