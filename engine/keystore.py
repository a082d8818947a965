"""The home's keys: made once, kept encrypted, opened at start, and made anew at a rotation.

One file holds every private key but the witness', which has a file of its own and may have another
passphrase. Beside them, in the open, lie `trusted_root.json`, which is what a verifier needs and
nothing more, and `trust_config.json`, the same as some clients want it. The first one's SHA-256 is
printed at `init` and handed over out of band.

The keystore is what a rotation changes at one stroke; everything else follows from it. Who finds a
trusted root or a witness of before beside it carries the rotation on.
"""

from __future__ import annotations

import base64
import getpass
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused, UnsafeConfig
from engine.evidence.certificates import Authority
from engine.evidence.checkpoint import NoteKey
from engine.evidence.sigstore_bundle import Desk
from engine.evidence.timestamp import TimeAuthority
from engine.evidence.trust import client_trust_config, parse_trusted_root
from engine.keystore_file import (
    KEYSTORE,
    PASSPHRASE_VARIABLE,
    WITNESS_VARIABLE,
    check_passphrase,
    read_private,
    unwrap,
    wrap,
    write_whole,
)
from engine.keystore_make import DEFAULT_LOG_ORIGIN, ROTATABLE, make, make_witness, rotated
from engine.keystore_witness import (
    WitnessSigner,
    begin_state,
    open_witness,
    witness_of,
    witness_state,
    write_witness,
)

__all__ = [
    "DEFAULT_LOG_ORIGIN",
    "PASSPHRASE_VARIABLE",
    "ROTATABLE",
    "WITNESS_VARIABLE",
    "Keys",
    "Shard",
    "WitnessSigner",
    "create",
    "open",
    "open_keys",
    "rotate",
    "witness_state",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A log that grows no more. `first`: its first leaf among the leaves of all shards.

    `checkpoint`: the last one that it signed; logged first in the shard after it.
    """

    origin: str
    first: int
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The opened keys.

    Attributes:
        desk: certificate, CT and time-stamping keys; each signature brings its own besides.
        log_key: signs the log's heads under `log_origin`.
        input_key: HMAC key under which values of inputs are compared, never stored.
        trusted_root: bytes of trusted_root.json.
        log_first: the log's first leaf among the leaves of all shards.
        shards: former logs, the oldest first.
        witness: None in a home that was made without one.
        rotations: how many there were; `rotated`: what the last one made anew.
    """

    desk: Desk
    log_key: Ed25519PrivateKey
    log_origin: str
    input_key: bytes
    trusted_root: bytes
    log_first: int = 0
    shards: tuple[Shard, ...] = ()
    witness: WitnessSigner | None = None
    rotations: int = 0
    rotated: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of trusted_root.json: what is compared out of band."""
        return Digest.of(self.trusted_root)

    @property
    def log(self) -> NoteKey:
        return NoteKey(self.log_origin, self.log_key.public_key())

    @property
    def origins(self) -> tuple[str, ...]:
        """Of every shard, the present one last."""
        return (*(one.origin for one in self.shards), self.log_origin)


def create(
    home: Path,
    passphrase: str,
    *,
    log_origin: str = DEFAULT_LOG_ORIGIN,
    now_us: int | None = None,
    witness_passphrase: str = "",
) -> Keys:
    """Make new keys, write them encrypted, and write trusted_root.json in the open.

    Args:
        witness_passphrase: of the witness' own file; the keystore's when it is empty.

    Raises:
        Refused: there are keys already (they are never overwritten), or the passphrase is empty.
    """
    folder, path = home / "keys", _path(home)
    if path.exists():
        raise Refused(f"{path} exists; keys are never overwritten.")
    check_passphrase(passphrase)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    witness, vkey = make_witness()
    material = make(log_origin, vkey, _now(now_us))
    keys = _keys(material, witness_of(witness, vkey, str(path)), str(path))
    # The open half first: keys without it could not be used, it without keys harms nobody.
    _publish(home, keys.trusted_root)
    begin_state(home)
    write_witness(home, witness, witness_passphrase or passphrase)
    write_whole(path, wrap(KEYSTORE, material, passphrase), 0o600)
    return keys


def open(home: Path, passphrase: str, *, witness_passphrase: str = "") -> Keys:
    """Open the keys of a home. trusted_root.json is written anew should it be gone.

    Raises:
        NotFound: there is no keystore, or its witness' file is gone.
        Refused: wrong passphrase, or others than its owner may read a file.
        Malformed: a file is no keystore, or trusted_root.json is not of these keys.
    """
    material = _material(home, passphrase)
    witness = open_witness(home, material.get("witness", ""), witness_passphrase or passphrase)
    keys = _keys(material, witness, str(_path(home)))
    public = home / "trusted_root.json"
    found = public.read_bytes() if public.exists() else b""
    former = material.get("formerRoots", [])
    if found and found != keys.trusted_root and Digest.of(found).hex not in former:
        raise Malformed(
            f"expected sha256 {keys.fingerprint.hex}, found {Digest.of(found).hex}; "
            "it is not the trust root of this home's keys",
            where=str(public),
        )
    if found != keys.trusted_root or not (home / "trust_config.json").exists():
        _publish(home, keys.trusted_root)
    return keys


def open_keys(
    home: Path, passphrase: str | None = None, witness_passphrase: str | None = None
) -> Keys:
    """Open the keys at start; the passphrase comes from the environment, a file, or a person.

    Raises:
        UnsafeConfig: they cannot be opened; says why in one sentence.
    """
    return _safely(
        lambda: open(
            home,
            passphrase_of(os.environ) if passphrase is None else passphrase,
            witness_passphrase=witness_passphrase_of(os.environ, witness_passphrase),
        )
    )


def rotate(
    home: Path,
    passphrase: str,
    what: Iterable[str],
    *,
    leaves: int,
    checkpoint: str,
    origin: str = "",
    now_us: int | None = None,
    witness_passphrase: str = "",
    step: Callable[[str], None] = lambda _: None,
) -> Keys:
    """Make `what` (of `ROTATABLE`) anew, and end the windows of what it replaces: all or nothing.

    Args:
        leaves, checkpoint: of the log as it is; its last checkpoint, signed by the present key.
        origin: of the new log shard; by default the one after the present.
        step: called with the name of each write before it is done.

    Raises:
        Refused, NotFound, Malformed: as `open`; also an origin that was used before.
    """
    parts = frozenset(what)
    former = _material(home, passphrase)
    before = [former["logOrigin"], *(one["origin"] for one in former.get("formerLogs", ()))]
    if origin in before:
        raise Refused(f"The log {origin} was there before; a new shard needs a name of its own.")
    vkey, own = "", witness_passphrase or passphrase
    if "witness" in parts:
        witness, vkey = make_witness()
        step("witness.next")
        begin_state(home)
        write_witness(home, witness, own, suffix=".next")
    material = rotated(
        former,
        parts,
        now_us=_now(now_us),
        origin=origin,
        leaves=leaves,
        checkpoint=checkpoint,
        witness=vkey,
    )
    step("keystore")
    write_whole(_path(home), wrap(KEYSTORE, material, passphrase), 0o600)
    step("witness")
    keys = _keys(material, open_witness(home, material.get("witness", ""), own), str(_path(home)))
    step("trusted_root")
    _publish(home, keys.trusted_root)
    return keys


def passphrase_of(env: Mapping[str, str]) -> str:
    """From the environment, the file that it names, or a person; empty when there is nobody."""
    given = _given(env, PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    if sys.stdin.isatty():
        return getpass.getpass("Passphrase of the keystore: ")
    return ""


def witness_passphrase_of(env: Mapping[str, str], given: str | None = None) -> str:
    """Of the witness' own file; empty: the same as the keystore's."""
    return given if given is not None else _given(env, WITNESS_VARIABLE) or ""


def _given(env: Mapping[str, str], variable: str) -> str | None:
    given = env.get(variable)
    named = env.get(f"{variable}_FILE")
    if given is not None or named is None:
        return given
    try:
        return Path(named).read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"the passphrase cannot be read: {error}", where=named) from None


def _safely(opening: Callable[[], Keys]) -> Keys:
    try:
        return opening()
    except (Malformed, NotFound, Refused) as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise UnsafeConfig(f"{error}{hint}") from None


def _path(home: Path) -> Path:
    return home / "keys" / "keystore.json"


def _now(now_us: int | None) -> int:
    return time.time_ns() // 1000 if now_us is None else now_us


def _material(home: Path, passphrase: str) -> dict[str, Any]:
    content = read_private(_path(home), hint="releaseline init")
    check_passphrase(passphrase)
    return unwrap(KEYSTORE, content, passphrase, _path(home))


def _publish(home: Path, trusted_root: bytes) -> None:
    write_whole(home / "trust_config.json", client_trust_config(trusted_root), 0o644)
    write_whole(home / "trusted_root.json", trusted_root, 0o644)


def _keys(material: Mapping[str, Any], witness: WitnessSigner | None, where: str) -> Keys:
    def raw(name: str) -> bytes:
        return base64.b64decode(material[name])

    try:
        trusted_root = raw("trustedRoot")
        parse_trusted_root(trusted_root, where=where)
        return Keys(
            desk=Desk(
                authority=Authority(
                    certificate=x509.load_der_x509_certificate(raw("caCertificate")),
                    key=_ec(raw("caKey")),
                ),
                ct_key=_ec(raw("ctKey")),
                time=TimeAuthority(
                    key=_ec(raw("tsaKey")),
                    certificate=x509.load_der_x509_certificate(raw("tsaCertificate")),
                    root=x509.load_der_x509_certificate(raw("tsaRootCertificate")),
                ),
            ),
            log_key=Ed25519PrivateKey.from_private_bytes(raw("logKey")),
            log_origin=str(material["logOrigin"]),
            input_key=raw("inputKey"),
            trusted_root=trusted_root,
            log_first=int(material.get("logFirst", 0)),
            shards=tuple(Shard(**one) for one in material.get("formerLogs", ())),
            witness=witness,
            rotations=len(material.get("formerRoots", ())),
            rotated=tuple(material.get("rotated", ())),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed(f"expected our key material: {error}", where=where) from None


def _ec(der: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_der_private_key(der, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("expected an EC key")
    return key
