"""Sigstore bundles of others: by a configured root, identity and issuer, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.evidence.imported import RootAnchor, judge, root_anchor
from tests.evidence.foreign_kit import PROVENANCE, anchor, envelope, statement

IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/"
    "workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"
GOOD = ("happy-path-intoto-in-dsse-v3", "intoto-with-custom-trust-root", "rekor2-dsse-happy-path")


@pytest.fixture
def cases(vectors: Path) -> Path:
    return vectors / "sigstore-conformance" / "bundle-verify"


def root_of(cases: Path, name: str) -> bytes:
    own = cases / name / "trusted_root.json"
    return (own if own.exists() else cases.parent / "prod_trusted_root.json").read_bytes()


def bundle_of(cases: Path, name: str) -> bytes:
    return (cases / name / "bundle.sigstore.json").read_bytes()


def trusted(content: bytes, **changes: Any) -> RootAnchor:
    asked = {"name": "root", "issuer": ISSUER, "identity": IDENTITY, "where": "root.json"}
    return root_anchor(content, **{**asked, **changes})


@pytest.mark.parametrize("name", GOOD)
def test_what_the_world_signed_is_taken_in(cases: Path, name: str) -> None:
    """Rekor v1 with its promise, an old bundle with a chain, and Rekor v2 with a time stamp."""
    found = judge(bundle_of(cases, name), (trusted(root_of(cases, name)),), where="b")
    assert (found.form, found.signer, found.issuer) == ("sigstore", IDENTITY, ISSUER)
    assert found.statement.predicate_type == PROVENANCE
    assert found.signed_s is not None and found.signed_s > 1_600_000_000


def test_every_attestation_that_must_be_refused_is(cases: Path) -> None:
    refused = 0
    for folder in sorted(cases.glob("*_fail")):
        content = bundle_of(cases, folder.name)
        if b"dsseEnvelope" not in content:
            continue
        with pytest.raises((Malformed, Unverified)):
            judge(content, (trusted(root_of(cases, folder.name)),), where=folder.name)
        refused += 1
    assert refused >= 11


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"identity": IDENTITY + "/x"}, "certificate.identity"),
        ({"identity": IDENTITY.upper()}, "certificate.identity"),
        ({"identity": "", "identity_matches": r"https://github\.com/"}, "certificate.identity"),
        ({"identity": "", "identity_matches": r".*@refs/tags/.*"}, "certificate.identity"),
        ({"issuer": ISSUER + "/"}, "certificate.issuer"),
    ],
)
def test_another_signer_of_the_same_root(cases: Path, changes: Any, check: str) -> None:
    root = root_of(cases, GOOD[0])
    with pytest.raises(Unverified) as caught:
        judge(bundle_of(cases, GOOD[0]), (trusted(root, **changes),), where="b")
    found = ISSUER if check == "certificate.issuer" else IDENTITY
    assert f"{check}: expected" in str(caught.value) and str(caught.value).endswith(found)


def test_an_expression_has_to_fit_the_whole_identity(cases: Path) -> None:
    root = root_of(cases, GOOD[0])
    for pattern in (r"https://github\.com/sigstore-conformance/.*@refs/heads/main", r".+"):
        fits = trusted(root, identity="", identity_matches=pattern)
        assert judge(bundle_of(cases, GOOD[0]), (fits,), where="b").signer == IDENTITY


def test_the_root_of_another_house_vouches_for_nothing(cases: Path) -> None:
    other = trusted(root_of(cases, GOOD[1]), name="other")
    with pytest.raises(Unverified) as caught:
        judge(bundle_of(cases, GOOD[0]), (other,), where="b")
    assert caught.value.check == "attestation.signature" and "other: " in caught.value.found
    own = trusted(root_of(cases, GOOD[0]), name="own")
    assert judge(bundle_of(cases, GOOD[0]), (other, own), where="b").anchor.name == "own"


@pytest.mark.parametrize("section", ["certificateAuthorities", "timestampAuthorities"])
def test_a_window_that_has_ended(cases: Path, section: str) -> None:
    document = json.loads(root_of(cases, GOOD[2]))
    for one in document[section]:
        one["validFor"] = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    with pytest.raises(Unverified):
        judge(bundle_of(cases, GOOD[2]), (trusted(json.dumps(document).encode()),), where="b")


def test_a_certificate_is_never_trusted_by_itself(cases: Path) -> None:
    """Neither without a root nor for its key alone."""
    content = bundle_of(cases, GOOD[0])
    with pytest.raises(Unverified, match="an entry under `trust`"):
        judge(content, (), where="b")
    with pytest.raises(Unverified, match="expected an envelope signed by a key, found a certif"):
        judge(content, (anchor("p256"),), where="b")


def test_an_envelope_taken_out_of_its_bundle_proves_nothing(cases: Path) -> None:
    bare = json.dumps(json.loads(bundle_of(cases, GOOD[0]))["dsseEnvelope"]).encode()
    with pytest.raises(Unverified, match="expected a Sigstore bundle with a certificate"):
        judge(bare, (trusted(root_of(cases, GOOD[0])),), where="b")


def test_another_envelope_put_into_a_bundle(cases: Path) -> None:
    document = json.loads(bundle_of(cases, GOOD[0]))
    document["dsseEnvelope"] = json.loads(envelope(statement(), "p256"))
    anchors = (anchor("p256"), trusted(root_of(cases, GOOD[0])))
    with pytest.raises(Unverified):
        judge(json.dumps(document).encode(), anchors, where="b")


def test_a_bundle_by_a_bare_key_is_its_envelope() -> None:
    inner = envelope(statement(), "p384")
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []},
        "dsseEnvelope": json.loads(inner),
    }
    content = json.dumps(document).encode()
    found = judge(content, (anchor("p384"),), where="b")
    assert (found.form, found.issuer) == ("sigstore", "")
    assert Digest.of(found.envelope) == Digest.of(
        judge(inner, (anchor("p384"),), where="b").envelope
    )
    with pytest.raises(Unverified):
        judge(content, (anchor("p256"),), where="b")
    document["mediaType"] = "application/json"
    with pytest.raises(Malformed, match=r"b\.mediaType: expected application/vnd\.dev\.sigstore"):
        judge(json.dumps(document).encode(), (anchor("p384"),), where="b")


def test_a_signature_over_a_file_is_no_attestation(cases: Path) -> None:
    name = "happy-path-v0.3"
    with pytest.raises(Malformed, match="found a bundle without a DSSE envelope"):
        judge(bundle_of(cases, name), (trusted(root_of(cases, name)),), where="b")


def test_a_root_without_anybody_in_it_is_refused(cases: Path) -> None:
    document = json.loads(root_of(cases, GOOD[0])) | {"certificateAuthorities": []}
    with pytest.raises(Malformed, match="at least one authority and one log"):
        trusted(json.dumps(document).encode())
