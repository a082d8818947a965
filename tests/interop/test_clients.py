"""What we seal is accepted by the world's own clients, unmodified and offline, and no change is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from tests.evidence.kit import EMAILS, ENGINE
from tests.evidence.kit_outcomes import WAYS
from tests.interop import clients
from tests.interop.changes import another_artifact, changed
from tests.interop.house import Case, House, foreign_root

pytestmark = [pytest.mark.interop, pytest.mark.house]
Client = Callable[[Sequence[Case]], list[str]]


@pytest.fixture(params=["sigstore_python", "sigstore_cli", "npm", "gh"])
def client(request: pytest.FixtureRequest) -> Client:
    if request.param == "npm":
        request.getfixturevalue("npm_client")
    found: Client = getattr(clients, request.param)
    return found


@pytest.fixture(scope="session")
def broken(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("broken")
    case = house.case("succeeded", "SHA256SUMS.sigstore.json")
    other = house.case("rolled back", "proof-chain.sigstore.json")
    return changed(case, other, foreign_root(folder / "foreign"), folder)


def refusals(client: Client, cases: Sequence[Case]) -> dict[str, str]:
    answers = zip(cases, client(cases), strict=True)
    return {str(case): answer for case, answer in answers if answer}


def test_nothing_that_is_signed_is_left_out(house: House) -> None:
    assert house.packs.keys() == WAYS.keys()
    signed = [
        path for pack in house.packs.values() for path in pack.parent.rglob("*.sigstore.json")
    ]
    assert len(signed) > 50
    assert {case.bundle for case in house.cases} == set(signed)
    assert {case.identity for case in house.cases} == {ENGINE, *EMAILS.values()}


def test_every_bundle_of_every_outcome_is_accepted(client: Client, house: House) -> None:
    assert refusals(client, house.cases) == {}


def test_old_and_new_keys_are_both_accepted_after_a_rotation(client: Client, house: House) -> None:
    old, fresh = house.rotated
    assert old.bundle.read_bytes() != fresh.bundle.read_bytes()
    assert refusals(client, house.rotated) == {}


def test_no_change_is_accepted(client: Client, broken: dict[str, Case]) -> None:
    # A process each and a second to begin with: the library says the rest.
    few = ("another payload", "another signer", "another home")
    names = few if client is clients.sigstore_cli else tuple(broken)
    answers = dict(zip(names, client([broken[name] for name in names]), strict=True))
    assert [name for name, answer in answers.items() if not answer] == []
    assert not any("No such file" in answer for answer in answers.values()), answers


@pytest.mark.parametrize("client", ["sigstore_cli", "gh"], indirect=True)
def test_another_artifact_is_refused(client: Client, house: House, tmp_path: Path) -> None:
    case = house.case("succeeded", "SHA256SUMS.sigstore.json")
    (answer,) = client([another_artifact(case, tmp_path)])
    assert answer


def test_gh_is_told_the_owner_that_the_certificates_name(house: House) -> None:
    for pack in house.packs.values():
        assert f"--owner {clients.OWNER} " in (pack / "README.txt").read_text()


def envelopes(house: House) -> list[Path]:
    found = [path for pack in house.packs.values() for path in sorted(pack.rglob("*.dsse"))]
    assert len(found) > 40
    return found


def material(envelope: Path) -> tuple[Any, dict[str, Any]]:
    """The key of the leaf, and the bundle beside the envelope."""
    bundle = json.loads(envelope.with_name(f"{envelope.stem}.sigstore.json").read_bytes())
    raw = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    return x509.load_der_x509_certificate(raw).public_key(), bundle


def test_securesystemslib_accepts_every_envelope(house: House) -> None:
    stranger = SSlibKey.from_crypto(material(envelopes(house)[0])[0])  # each signs once
    for path in envelopes(house)[1:]:
        envelope = Envelope.from_dict(json.loads(path.read_bytes()))
        key = SSlibKey.from_crypto(material(path)[0], keyid=next(iter(envelope.signatures)))
        assert list(envelope.verify([key], 1)) == [key.keyid]
        stranger.keyid = key.keyid
        with pytest.raises(VerificationError):
            envelope.verify([stranger], 1)


@pytest.mark.usefixtures("openssl")
def test_openssl_accepts_every_envelope(house: House, tmp_path: Path) -> None:
    for path in envelopes(house):
        document = json.loads(path.read_bytes())
        kind, payload = document["payloadType"].encode(), base64.b64decode(document["payload"])
        signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        pem = material(path)[0].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "key").write_bytes(pem)
        (tmp_path / "sig").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
        for content, code in ((signed, 0), (signed.replace(b"run-1", b"run-2"), 1)):
            done = clients.call(
                "openssl", "dgst", "-sha256", "-verify", tmp_path / "key",
                "-signature", tmp_path / "sig", given=content,
            )  # fmt: skip
            assert done.returncode == code, (path, done.stdout)


@pytest.mark.usefixtures("openssl")
def test_openssl_accepts_every_time_stamp(house: House, tmp_path: Path) -> None:
    for case in house.cases:
        bundle = json.loads(case.bundle.read_bytes())
        data = bundle["verificationMaterial"]["timestampVerificationData"]
        (stamp,) = data["rfc3161Timestamps"]
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        (tmp_path / "token").write_bytes(base64.b64decode(stamp["signedTimestamp"]))
        for content, code in ((signature, 0), (signature + b"\0", 1)):
            (tmp_path / "sig").write_bytes(content)
            done = clients.call(
                "openssl", "ts", "-verify", "-in", tmp_path / "token", "-data", tmp_path / "sig",
                "-CAfile", case.root.with_name("tsa_root.pem"),
                "-untrusted", case.root.with_name("tsa.pem"),
            )  # fmt: skip
            assert done.returncode == code, (case, done.stderr)
