"""The home's keys: made once, kept encrypted, opened at start.

One file holds every private key, wrapped with AES-256-GCM under a key that Argon2id derives from
the passphrase. Beside it, in the open, lies `trusted_root.json`: what a verifier needs and nothing
more. Its SHA-256 is printed at `init` and handed over out of band.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused, UnsafeConfig
from engine.core.jcs import canonical
from engine.evidence import certificates
from engine.evidence.certificates import Authority
from engine.evidence.checkpoint import NoteKey
from engine.evidence.sigstore_bundle import Desk
from engine.evidence.timestamp import TimeAuthority
from engine.evidence.trust import Chain, CtLog, Log, TrustedRoot, Window, parse_trusted_root

DEFAULT_LOG_ORIGIN: Final = "log-2026a.releaseline.local"
PASSPHRASE_VARIABLE: Final = "RELEASELINE_KEY_PASSPHRASE"  # noqa: S105 - a name, no secret
_SCHEMA: Final = "releaseline.keystore/1"
_ORGANIZATION: Final = "Releaseline"
_ROOT_YEARS: Final = 10
_MEMORY_KIB: Final = 64 * 1024
_ITERATIONS: Final = 3
_LANES: Final = 4
# Written into the file and read back, yet never below what we would choose ourselves: a file that
# asks for less was not written by us.
_COST: Final = {"memoryKib": _MEMORY_KIB, "iterations": _ITERATIONS, "lanes": _LANES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The opened keys.

    Attributes:
        desk: certificate, CT and time-stamping keys; each signature brings its own besides.
        log_key: signs the log's heads under `log_origin`.
        input_key: HMAC key under which values of inputs are compared, never stored.
        trusted_root: bytes of trusted_root.json.
    """

    desk: Desk
    log_key: Ed25519PrivateKey
    log_origin: str
    input_key: bytes
    trusted_root: bytes

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of trusted_root.json: what is compared out of band."""
        return Digest.of(self.trusted_root)

    @property
    def log(self) -> NoteKey:
        return NoteKey(self.log_origin, self.log_key.public_key())


def create(
    home: Path,
    passphrase: str,
    *,
    log_origin: str = DEFAULT_LOG_ORIGIN,
    now_us: int | None = None,
) -> Keys:
    """Make new keys, write them encrypted, and write trusted_root.json in the open.

    Raises:
        Refused: there are keys already (they are never overwritten), or the passphrase is empty.
    """
    folder, path = home / "keys", _path(home)
    if path.exists():
        raise Refused(f"{path} exists; keys are never overwritten.")
    _check_passphrase(passphrase)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    now = time.time_ns() // 1000 if now_us is None else now_us
    material = _make(log_origin, now)
    keys = _keys(material, str(path))
    # The open half first: keys without it could not be used, it without keys harms nobody.
    _write(home / "trusted_root.json", keys.trusted_root, 0o644)
    _write(path, _wrap(material, passphrase), 0o600)
    return keys


def open(home: Path, passphrase: str) -> Keys:
    """Open the keys of a home. trusted_root.json is written anew should it be gone.

    Raises:
        NotFound: there is no keystore.
        Refused: wrong passphrase, or others than its owner may read the file.
        Malformed: the file is no keystore, or trusted_root.json is not of these keys.
    """
    path = _path(home)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"There is no keystore at {path}.", hint="releaseline init") from None
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Refused(
            f"{path} may be read by others (mode {mode:04o}); expected 0600.",
            hint=f"chmod 600 {path}",
        )
    _check_passphrase(passphrase)
    keys = _keys(_unwrap(content, passphrase, path), str(path))
    public = home / "trusted_root.json"
    if not public.exists():
        _write(public, keys.trusted_root, 0o644)
    elif public.read_bytes() != keys.trusted_root:
        raise Malformed(
            f"expected sha256 {keys.fingerprint.hex}, found {Digest.of(public.read_bytes()).hex}; "
            "it is not the trust root of this home's keys",
            where=str(public),
        )
    return keys


def open_keys(home: Path, passphrase: str | None = None) -> Keys:
    """Open the keys at start; the passphrase comes from the environment, a file, or a person.

    Raises:
        UnsafeConfig: they cannot be opened; says why in one sentence.
    """
    try:
        return open(home, _passphrase(os.environ) if passphrase is None else passphrase)
    except (Malformed, NotFound, Refused) as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise UnsafeConfig(f"{error}{hint}") from None


def _passphrase(env: Mapping[str, str]) -> str:
    given = env.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    named = env.get(f"{PASSPHRASE_VARIABLE}_FILE")
    if named is not None:
        try:
            return Path(named).read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Malformed(f"the passphrase cannot be read: {error}", where=named) from None
    if sys.stdin.isatty():
        return getpass.getpass("Passphrase of the keystore: ")
    return ""


def _path(home: Path) -> Path:
    return home / "keys" / "keystore.json"


def _check_passphrase(passphrase: str) -> None:
    if not passphrase:
        raise Refused(
            "The keystore needs a passphrase, and it is empty.",
            hint=f"set {PASSPHRASE_VARIABLE} or {PASSPHRASE_VARIABLE}_FILE",
        )


def _make(log_origin: str, now_us: int) -> dict[str, Any]:
    """All key material as one JSON document; it exists in memory and encrypted, nowhere else."""
    ca_key, ct_key, tsa_root_key, tsa_key = (
        ec.generate_private_key(ec.SECP256R1()) for _ in range(4)
    )
    ca = certificates.make_root(
        ca_key,
        organization=_ORGANIZATION,
        common_name="Releaseline evidence CA",
        serial=x509.random_serial_number(),
        now_us=now_us,
        years=_ROOT_YEARS,
    )
    tsa_root = certificates.make_root(
        tsa_root_key,
        organization=_ORGANIZATION,
        common_name="Releaseline time-stamp root",
        serial=x509.random_serial_number(),
        now_us=now_us,
        years=_ROOT_YEARS,
    )
    tsa = certificates.make_tsa(
        Authority(certificate=tsa_root, key=tsa_root_key),
        tsa_key.public_key(),
        organization=_ORGANIZATION,
        common_name="Releaseline time-stamp authority",
        serial=x509.random_serial_number(),
    )
    log_key = Ed25519PrivateKey.generate()
    window = Window(start_s=now_us // 1_000_000)
    trusted = TrustedRoot(
        logs=(Log(key=NoteKey(log_origin, log_key.public_key()), window=window),),
        authorities=(Chain(certificates=(ca,), window=window),),
        ct_logs=(CtLog(key=ct_key.public_key(), window=window),),
        time_authorities=(Chain(certificates=(tsa, tsa_root), window=window),),
    )
    return {
        "logOrigin": log_origin,
        "caKey": _der(ca_key),
        "caCertificate": _b64(ca.public_bytes(Encoding.DER)),
        "ctKey": _der(ct_key),
        "tsaRootKey": _der(tsa_root_key),
        "tsaRootCertificate": _b64(tsa_root.public_bytes(Encoding.DER)),
        "tsaKey": _der(tsa_key),
        "tsaCertificate": _b64(tsa.public_bytes(Encoding.DER)),
        "logKey": _b64(log_key.private_bytes_raw()),
        "inputKey": _b64(secrets.token_bytes(32)),
        "trustedRoot": _b64(trusted.to_bytes()),
    }


def _keys(material: Mapping[str, Any], where: str) -> Keys:
    try:
        raw = {
            key: base64.b64decode(value) for key, value in material.items() if key != "logOrigin"
        }
        parse_trusted_root(raw["trustedRoot"], where=where)
        return Keys(
            desk=Desk(
                authority=Authority(
                    certificate=x509.load_der_x509_certificate(raw["caCertificate"]),
                    key=_ec(raw["caKey"]),
                ),
                ct_key=_ec(raw["ctKey"]),
                time=TimeAuthority(
                    key=_ec(raw["tsaKey"]),
                    certificate=x509.load_der_x509_certificate(raw["tsaCertificate"]),
                    root=x509.load_der_x509_certificate(raw["tsaRootCertificate"]),
                ),
            ),
            log_key=Ed25519PrivateKey.from_private_bytes(raw["logKey"]),
            log_origin=str(material["logOrigin"]),
            input_key=raw["inputKey"],
            trusted_root=raw["trustedRoot"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed(f"expected our key material: {error}", where=where) from None


def _wrap(material: Mapping[str, Any], passphrase: str) -> bytes:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    head: dict[str, Any] = {
        "schema": _SCHEMA,
        "kdf": "argon2id",
        "cipher": "aes-256-gcm",
        "cost": _COST,
    }
    # The head is authenticated with the keys: nobody may make the file name cheaper costs.
    sealed = AESGCM(_stretch(passphrase, salt)).encrypt(
        nonce, canonical(dict(material)), canonical(head)
    )
    return canonical({**head, "salt": _b64(salt), "nonce": _b64(nonce), "sealed": _b64(sealed)})


def _unwrap(content: bytes, passphrase: str, path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
        head = {key: document[key] for key in ("schema", "kdf", "cipher", "cost")}
        salt, nonce, sealed = (
            base64.b64decode(document[key], validate=True) for key in ("salt", "nonce", "sealed")
        )
    except (ValueError, KeyError, TypeError):
        raise Malformed(f"expected {_SCHEMA}", where=str(path)) from None
    if head["schema"] != _SCHEMA or head["cost"] != _COST:
        raise Malformed(f"expected {_SCHEMA} with costs {_COST}", where=str(path))
    try:
        opened = AESGCM(_stretch(passphrase, salt)).decrypt(nonce, sealed, canonical(head))
    except (InvalidTag, ValueError):
        raise Refused(
            f"{path} does not open: the passphrase is wrong, or the file was changed."
        ) from None
    material = json.loads(opened)
    assert isinstance(material, dict)
    return material


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Argon2id(
        salt=salt, length=32, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    ).derive(passphrase.encode())


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write whole or not at all; the mode is there before the first byte is."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _ec(der: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_der_private_key(der, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("expected an EC key")
    return key


def _der(key: ec.EllipticCurvePrivateKey) -> str:
    return _b64(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
