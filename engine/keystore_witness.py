"""The witness' key, in a file of its own: it may have another passphrase, owner and place.

The keystore names the witness by its vkey. A file `witness.json.next` is a rotation under way: it
takes the place of the old one once the keystore names it, and goes when it was cut before that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.evidence.cosignature import WitnessKey
from engine.keystore_file import WITNESS, read_private, sync_folder, unwrap, wrap, write_whole

STATE_SCHEMA: Final = "releaseline.witness-state/1"


@dataclass(frozen=True, slots=True)
class WitnessSigner:
    name: str
    key: Ed25519PrivateKey

    @property
    def public(self) -> WitnessKey:
        return WitnessKey(self.name, self.key.public_key())


def witness_state(home: Path) -> Path:
    """What the witness has signed last; only `engine.witness` reads and writes it."""
    return home / "keys" / "witness-state.json"


def begin_state(home: Path) -> None:
    """A witness that has seen nothing yet; a memory that is there is kept."""
    if not witness_state(home).exists():
        write_whole(witness_state(home), canonical({"schema": STATE_SCHEMA, "logs": {}}), 0o600)


def write_witness(
    home: Path, material: Mapping[str, Any], passphrase: str, *, suffix: str = ""
) -> None:
    """The file tells its vkey in the open as well: whose it is must be seen without opening it."""
    wrapped = json.loads(wrap(WITNESS, material, passphrase))
    content = canonical({**wrapped, "vkey": material["vkey"]})
    write_whole(_path(home, suffix), content, 0o600)


def open_witness(home: Path, vkey: str, passphrase: str) -> WitnessSigner | None:
    """The witness that the keystore names; None when it names none.

    Raises:
        NotFound, Refused, Malformed: its file is gone, does not open, or holds another key.
    """
    if not vkey:
        return None
    path, fresh = _path(home), _path(home, ".next")
    if fresh.exists():
        if _vkey_in(fresh) == vkey:
            fresh.replace(path)
        else:  # it was cut before the keystore named it
            fresh.unlink()
        sync_folder(path.parent)
    content = read_private(path, hint="bring the witness' file back from a copy")
    return witness_of(unwrap(WITNESS, content, passphrase, path), vkey, str(path))


def witness_of(material: Mapping[str, Any], vkey: str, where: str) -> WitnessSigner:
    try:
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(material["key"]))
        witness = WitnessSigner(str(material["name"]), key)
    except (KeyError, ValueError, TypeError) as error:
        raise Malformed(f"expected a witness key: {error}", where=where) from None
    if str(witness.public) != vkey:
        raise Malformed(
            f"expected the witness {vkey}, which the keystore names, found {witness.public}",
            where=where,
        )
    return witness


def _path(home: Path, suffix: str = "") -> Path:
    return home / "keys" / f"witness.json{suffix}"


def _vkey_in(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["vkey"])
    except (ValueError, KeyError, TypeError):
        return ""
