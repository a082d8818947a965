"""A witness' key that somebody got from the witness: with it, it has to have seen each head."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.core.errors import Malformed
from engine.evidence.cosignature import WitnessKey, cosign, parse_witness_file
from engine.evidence.report import Report, Vouched
from engine.evidence.trust import TrustedRoot, parse_trusted_root, witness_path, witnesses_of
from engine.evidence.verify import SUMS_BUNDLE, verify_beside, verify_envelope, verify_pack
from tests.evidence.conftest import Played
from tests.evidence.kit import repacked, unpacked
from tests.evidence.thief import Witness, resummed

pytestmark = pytest.mark.house

OTHER = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
STRANGER = WitnessKey("witness.releaseline.local", OTHER.public_key())


def own(played: Played) -> WitnessKey:
    witness = played.world.keys.witness
    assert witness is not None
    return witness.public


def checks(report: Report) -> set[str]:
    return {check.check for check in report.failed}


def test_the_right_key_is_asked_of_every_head(healthy: Played) -> None:
    report = verify_pack(healthy.audit, trusted_root=healthy.trusted, witnesses=[own(healthy)])
    assert report.ok and report.witness is not None
    assert report.witness.vouched is Vouched.GIVEN
    assert report.document()["witness"]["keys"] == [str(own(healthy))]
    heads = len([n for n in unpacked(healthy.audit) if n.endswith(".sigstore.json")])
    (said,) = (c.found for c in report.checks if c.check == "log.witness" and "given" in c.found)
    assert said.startswith(f"{heads} heads cosigned by ")
    both = verify_pack(
        healthy.bundle, trusted_root=healthy.trusted, witnesses=[STRANGER, own(healthy)]
    )
    assert both.ok  # one of them is enough: there was a renewal in between


def test_another_key_of_the_same_name_is_missed_everywhere(rejected: Played) -> None:
    report = verify_pack(rejected.audit, trusted_root=rejected.trusted, witnesses=[STRANGER])
    assert checks(report) == {"log.witness"}
    places = {check.file for check in report.failed}
    assert SUMS_BUNDLE in places and "proof-chain.dsse" in places and len(places) == 5
    assert all(str(STRANGER) in check.expected for check in report.failed)


def test_a_single_bundle_and_the_one_beside_a_pack(rejected: Played) -> None:
    content = unpacked(rejected.audit)[SUMS_BUNDLE]
    root = rejected.trusted
    good = verify_envelope(content, trusted_root=root, witnesses=[own(rejected)])
    assert good.ok and good.witness is not None and good.witness.vouched is Vouched.GIVEN
    assert checks(verify_envelope(content, trusted_root=root, witnesses=[STRANGER])) == {
        "log.witness"
    }
    beside = rejected.world.sealer.export("run-1", "audit-pack.sigstore.json", actor="ana")[1]
    for given, right in ((own(rejected), True), (STRANGER, False)):
        found = verify_beside(
            rejected.audit, beside, trusted_root=root, witnesses=[given], where="beside"
        )
        assert all(check.ok for check in found) is right


def test_without_one_the_report_says_whose_word_it_is(rejected: Played) -> None:
    anchored = verify_pack(rejected.audit, trusted_root=rejected.trusted)
    assert anchored.ok and "the one that the trusted root names" in anchored.witness_sentence
    alone = verify_pack(rejected.audit)
    assert alone.ok and "only the pack's own" in alone.witness_sentence


@pytest.mark.parametrize(
    "witness",
    [
        None,
        lambda text, at_s: cosign(text, STRANGER.name, OTHER, at_s=at_s),
        lambda text, at_s: cosign(text, "elsewhere.example", OTHER, at_s=at_s),
        lambda text, at_s: cosign("other\n1\nAA==\n", STRANGER.name, OTHER, at_s=at_s),
    ],
    ids=["nobody", "a key of one's own", "another name", "another head"],
)
def test_whoever_has_every_key_but_the_witness_signs_nothing(
    rejected: Played, witness: Witness
) -> None:
    """List signed anew and logged with the home's own keys; the trusted root names the witness."""
    files = unpacked(rejected.audit)
    forged = resummed(files | {"story.txt": b"all is well\n"}, rejected, witness=witness)
    report = verify_pack(repacked(forged), trusted_root=rejected.trusted)
    assert "log.witness" in checks(report)


def test_a_file_of_keys() -> None:
    text = f"{STRANGER}\n\n  {STRANGER}\n".encode()
    assert parse_witness_file(text, where="w") == (STRANGER, STRANGER)
    for content in (b"", b"\n", b"\xff", b"log.example+00000000+AAAA\n", text + b"x"):
        with pytest.raises(Malformed):
            parse_witness_file(content, where="w")


def test_ends_of_witnesses_in_the_path_of_a_root(rejected: Played) -> None:
    root: TrustedRoot = parse_trusted_root(rejected.trusted)
    (known,) = root.logs[0].witnesses
    path = witness_path([known])
    ended = f"{path}/until/2026-11-30T01%3A02%3A03Z"
    (one, two) = witnesses_of(ended + path, where="p")
    assert one.end_s == 1_796_000_523 and two == known
    assert witness_path([one, two]) == ended + path
    for wrong in (
        f"{ended}/until/2026-11-30T01%3A02%3A03Z",
        f"{path}/until/soon",
        f"{path}/until",
        f"{path}/from/2026-11-30T01%3A02%3A03Z",
        f"{path}/until/2026-11-30T01:02:03Z",
        f"{path}/until/2026-11-30T01%3A02%3A03",
        f"{path}/",
    ):
        with pytest.raises(Malformed):
            witnesses_of(wrong, where="p")
    assert witnesses_of("/api/v1", where="p") == ()
