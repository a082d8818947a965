"""Key material in a file: wrapped under a passphrase, whole or not there at all.

AES-256-GCM under a key that Argon2id derives from the passphrase. The head of the file is
authenticated with the keys. The file is its owner's alone (0600).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from engine.core.errors import Malformed, NotFound, Refused
from engine.core.jcs import canonical

PASSPHRASE_VARIABLE: Final = "RELEASELINE_KEY_PASSPHRASE"  # noqa: S105 - a name, no secret
WITNESS_VARIABLE: Final = "RELEASELINE_WITNESS_PASSPHRASE"
KEYSTORE: Final = "releaseline.keystore/1"
WITNESS: Final = "releaseline.witness/1"
_MEMORY_KIB: Final = 64 * 1024
_ITERATIONS: Final = 3
_LANES: Final = 4
# Written into the file and read back, yet never below what we would choose ourselves: a file that
# asks for less was not written by us.
_COST: Final = {"memoryKib": _MEMORY_KIB, "iterations": _ITERATIONS, "lanes": _LANES}


def wrap(schema: str, material: Mapping[str, Any], passphrase: str) -> bytes:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    head: dict[str, Any] = {
        "schema": schema,
        "kdf": "argon2id",
        "cipher": "aes-256-gcm",
        "cost": _COST,
    }
    # The head is authenticated with the keys: nobody may make the file name cheaper costs.
    sealed = AESGCM(_stretch(passphrase, salt)).encrypt(
        nonce, canonical(dict(material)), canonical(head)
    )
    return canonical({**head, "salt": _b64(salt), "nonce": _b64(nonce), "sealed": _b64(sealed)})


def unwrap(schema: str, content: bytes, passphrase: str, path: Path) -> dict[str, Any]:
    """Raises `Malformed` for what is no such file, `Refused` when it does not open."""
    try:
        document = json.loads(content)
        head = {key: document[key] for key in ("schema", "kdf", "cipher", "cost")}
        salt, nonce, sealed = (
            base64.b64decode(document[key], validate=True) for key in ("salt", "nonce", "sealed")
        )
    except (ValueError, KeyError, TypeError):
        raise Malformed(f"expected {schema}", where=str(path)) from None
    if head["schema"] != schema or head["cost"] != _COST:
        raise Malformed(f"expected {schema} with costs {_COST}", where=str(path))
    try:
        opened = AESGCM(_stretch(passphrase, salt)).decrypt(nonce, sealed, canonical(head))
    except (InvalidTag, ValueError):
        raise Refused(
            f"{path} does not open: the passphrase is wrong, or the file was changed."
        ) from None
    material = json.loads(opened)
    assert isinstance(material, dict)
    return material


def read_private(path: Path, *, hint: str) -> bytes:
    """The file's bytes. Raises `NotFound`, or `Refused` when others than its owner may read it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"There is no keystore at {path}.", hint=hint) from None
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Refused(
            f"{path} may be read by others (mode {mode:04o}); expected 0600.",
            hint=f"chmod 600 {path}",
        )
    return content


def check_passphrase(passphrase: str, variable: str = PASSPHRASE_VARIABLE) -> None:
    if not passphrase:
        raise Refused(
            "The keystore needs a passphrase, and it is empty.",
            hint=f"set {variable} or {variable}_FILE",
        )


def write_whole(path: Path, content: bytes, mode: int) -> None:
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
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in this folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Argon2id(
        salt=salt, length=32, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB
    ).derive(passphrase.encode())


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
