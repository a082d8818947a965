"""What keys a home has, told from its open files: no passphrase is needed to look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.evidence import certificates
from engine.evidence.cosignature import WitnessKey, parse_witness_vkey
from engine.evidence.trust import Chain, TrustedRoot, Window, parse_trusted_root


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLine:
    """Attributes:
    kind: log, ca, ct, tsa, witness.
    fingerprint: SHA-256 of the public key (SPKI; of a witness, of its vkey's key).
    start_s, end_s: UTC seconds of its window; None: no end yet, or no start is kept (witness).
    """

    kind: str
    name: str
    fingerprint: Digest
    start_s: int | None
    end_s: int | None


def listing(home: Path) -> tuple[Digest, tuple[KeyLine, ...]]:
    """SHA-256 of the trusted root, and each key of the home.

    Raises:
        NotFound: the home has no trusted root.
        Malformed: it is none.
    """
    path = home / "trusted_root.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"There is no {path}.", hint="releaseline init") from None
    trusted = parse_trusted_root(content, where=str(path))
    return Digest.of(content), (*_trusted(trusted), *_witness(home))


def _trusted(trusted: TrustedRoot) -> list[KeyLine]:
    lines = []
    for log in trusted.logs:
        der = log.key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        lines.append(_line("log", log.key.name, der, log.window))
    renewed = {str(one.key): one for log in trusted.logs for one in log.witnesses if one.end_s}
    for ca in trusted.authorities:
        lines.append(_chain("ca", ca))
    for ct in trusted.ct_logs:
        name = certificates.log_id(ct.key).hex()[:16]
        lines.append(_line("ct", name, certificates.spki(ct.key), ct.window))
    for tsa in trusted.time_authorities:
        lines.append(_chain("tsa", tsa))
    return [*lines, *(_cosigner(one.key, one.end_s) for one in renewed.values())]


def _chain(kind: str, chain: Chain) -> KeyLine:
    leaf = chain.certificates[0]
    der = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    name = leaf.subject.rfc4514_string()
    return _line(kind, name, der, chain.window)


def _line(kind: str, name: str, der: bytes, window: Window) -> KeyLine:
    return KeyLine(
        kind=kind,
        name=name,
        fingerprint=Digest.of(der),
        start_s=window.start_s,
        end_s=window.end_s,
    )


def _witness(home: Path) -> list[KeyLine]:
    path = home / "keys" / "witness.json"
    try:
        vkey = str(json.loads(path.read_bytes())["vkey"])
    except OSError:
        return []  # none, or another user's: that is what a file of its own is for
    except (ValueError, KeyError, TypeError):
        raise Malformed("expected a witness' file with its vkey", where=str(path)) from None
    return [_cosigner(parse_witness_vkey(vkey, where=str(path)), None)]


def _cosigner(key: WitnessKey, end_s: int | None) -> KeyLine:
    der = key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = Digest.of(der)
    return KeyLine(kind="witness", name=key.name, fingerprint=digest, start_s=None, end_s=end_s)
