"""The identities of a home: whom its settings know, and the token of whoever has a shell on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from engine.asker import LOCAL_ADMIN
from engine.identity import Identity
from engine.identity.used import FILE, LastUsed
from engine.identity.values import DAY_US
from engine.ports import Clock, EventStore
from engine.settings import Settings

_LOCAL_TOKEN_DAYS: Final = 366


def identity_of(settings: Settings, store: EventStore, clock: Clock) -> Identity:
    def knows(user: str) -> bool:
        return user in settings.people or user == LOCAL_ADMIN

    used = LastUsed(settings.home / FILE, clock)
    return Identity(store, clock, knows=knows, used=used, shell=LOCAL_ADMIN)


def renew_local_token(home: Path, identity: Identity) -> None:
    """The token of whoever has a shell on this home: it may look and make links, no more."""
    path = home / "keys" / "local-token"
    for former in identity.tokens():
        if former.user == LOCAL_ADMIN:
            identity.revoke_token(former.token_id, actor="engine", reason="the server started anew")
    made = identity.create_token(
        LOCAL_ADMIN, service=False, actor="engine", ttl_us=_LOCAL_TOKEN_DAYS * DAY_US
    )
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made.token)
    fresh.replace(path)
