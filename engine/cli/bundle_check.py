"""`verify-bundle`: any Sigstore bundle, by the command-line protocol of sigstore-conformance."""

from __future__ import annotations

import re
from pathlib import Path

import click

from engine.cli.call import Call, Leaf, pass_call
from engine.cli.exits import DONE, INVALID_EVIDENCE, NOT_FOUND, USAGE, Ended
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.evidence.foreign_key import parse_key
from engine.evidence.report import Ledger, Report
from engine.evidence.sigstore_client import Artifact, Expected, artifact_of, verify_any_bundle
from engine.evidence.sigstore_roots import parse_foreign_root

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Leaf)
@click.argument("artifact", metavar="FILE_OR_DIGEST")
@click.option("--bundle", required=True, type=_FILE, help="The bundle, v0.1 to v0.3.")
@click.option("--certificate-identity", metavar="I", help="Who has to have signed.")
@click.option("--certificate-oidc-issuer", metavar="U", help="Who has to vouch for that.")
@click.option("--key", type=_FILE, help="Or the signer's public key in PEM.")
@click.option("--trusted-root", type=_FILE, help="TrustedRoot to judge by; else the home's own.")
@pass_call
def verify_bundle(
    call: Call,
    artifact: str,
    bundle: Path,
    certificate_identity: str | None,
    certificate_oidc_issuer: str | None,
    key: Path | None,
    trusted_root: Path | None,
) -> int:
    """Check any Sigstore bundle about a file, or about its sha256:... digest, offline.

    Message signatures and in-toto envelopes, certificates and bare keys, Rekor v1 and v2.
    """
    expected = _expected(certificate_identity, certificate_oidc_issuer, key)
    root = trusted_root or call.home / "trusted_root.json"
    if not root.is_file():
        raise Ended(USAGE, "Give --trusted-root: a bundle proves nothing without one.")
    content = root.read_bytes()
    ledger = Ledger()
    where = str(bundle)
    with ledger.judging(where, "bundle"):
        judged = verify_any_bundle(
            bundle.read_bytes(),
            _artifact(artifact),
            expected,
            parse_foreign_root(content, where=str(root)),
            where=where,
        )
        ledger.ok(where, "bundle", f"signed by {judged.signer}")
    report = Report(checks=tuple(ledger.checks), fingerprint=Digest.of(content).hex, anchored=True)
    call.give({"path": where, **report.document()})
    for check in report.checks:
        call.say(str(check))
    return DONE if report.ok else INVALID_EVIDENCE


def _expected(identity: str | None, issuer: str | None, key: Path | None) -> Expected:
    if key is not None:
        if identity is not None or issuer is not None:
            raise Ended(USAGE, "Give --key, or --certificate-identity and its issuer, not both.")
        try:
            return Expected(key=parse_key(key.read_bytes(), where=str(key)))
        except Malformed as error:
            raise Ended(INVALID_EVIDENCE, str(error)) from None
    if not identity or not issuer:
        raise Ended(USAGE, "Give --certificate-identity and --certificate-oidc-issuer, or --key.")
    return Expected(identity=identity, issuer=issuer)


def _artifact(text: str) -> Artifact:
    """A digest only when it looks like one and no such file is there."""
    path, match = Path(text), _DIGEST.fullmatch(text)
    if match is not None and not path.exists():
        return Artifact(digest=bytes.fromhex(match[1]))
    if not path.is_file():
        raise Ended(NOT_FOUND, f"{text}: there is no such file.")
    return artifact_of(path.read_bytes())
