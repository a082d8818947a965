"""The demo's home: made once, then only its feeds are dated anew."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Final

from engine.adapters.feeds_dir import write_index
from engine.homes import create_home

# As in the story that the demo tells: one feed missed its last poll, the others are fresh.
_FEED_AGE_S: Final = {"NVD": 3 * 3600, "OSV": 20 * 60, "KEV": 5 * 3600}


def prepare(home: Path) -> None:
    """Make the home where there is none, and whatever the demo's environment declares as input."""
    if not (home / "releaseline.yaml").exists():
        passphrase = secrets.token_urlsafe(24)
        create_home(home, passphrase=passphrase)
        path = home / "keys" / "passphrase"
        path.touch(mode=0o600)
        path.write_text(passphrase)
        print(f"Made {home}; the keystore's passphrase lies in {path}, readable by you alone.")
    now_s = int(time.time())
    write_index(home / "feeds", {name: now_s - age for name, age in _FEED_AGE_S.items()})
    os.environ.setdefault("RELEASELINE_KEY_PASSPHRASE_FILE", str(home / "keys" / "passphrase"))
    os.environ.setdefault("DB_PASSWORD", "demo-database-password")
