"""Making a home: commented settings, policies, advisories, an example input, and new keys."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from engine import keystore
from engine.core.digest import Digest
from engine.core.errors import Conflict, UnsafeConfig
from engine.settings import read_settings
from engine.settings_read import FILE, FOLDER

_EXAMPLES: Final = Path(__file__).resolve().parents[1] / "examples"
_POLICIES: Final = (
    "release-gate.yaml",
    "release-gate.config.json",
    "release-gate.tests.yaml",
    "release-gate.input.json",
)
_INPUT: Final = '{"greeting": "an example of an input that is a file"}\n'


def create_home(home: Path, *, passphrase: str) -> Digest:
    """Write a home with new keys and return the SHA-256 of its trusted_root.json.

    The settings come last: a folder that has them is a whole home, and one that was left half
    made can be made again with the same passphrase.

    Raises:
        Conflict: there are settings already; they are never overwritten.
        UnsafeConfig: the folder can't be written, or what was written does not read back.
    """
    if (home / FILE).exists() or (home / FOLDER).exists():
        raise Conflict(
            f"{home} has settings already; a home is made once.",
            hint=f"Edit {home / FILE}, or name another folder.",
        )
    try:
        return _write(home, passphrase)
    except OSError as error:
        raise UnsafeConfig(
            f"{error.filename or home}: expected a folder that can be written, "
            f"found: {error.strerror}"
        ) from None


def has_keys(home: Path) -> bool:
    return (home / "keys" / "keystore.json").is_file()


def _write(home: Path, passphrase: str) -> Digest:
    for name in ("policies", "feeds", "inputs"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in _POLICIES:
        shutil.copyfile(_EXAMPLES / name, home / "policies" / name)
    shutil.copytree(_EXAMPLES / "advisories", home / "feeds", dirs_exist_ok=True)
    shutil.copyfile(_EXAMPLES / "releaseline.schema.json", home / "releaseline.schema.json")
    (home / "inputs" / "service.json").write_text(_INPUT, "utf-8")
    if not has_keys(home):
        own = keystore.witness_passphrase_of(os.environ)
        keystore.create(home, passphrase, witness_passphrase=own)
    keys = keystore.open_keys(home, passphrase)
    fresh = home / f"{FILE}.new"
    shutil.copyfile(_EXAMPLES / FILE, fresh)
    fresh.replace(home / FILE)
    read_settings(home)
    return keys.fingerprint
