"""After a rotation: the new log's first leaf is the old one's last head, and the record says so.

Done at the next opening of the home, by whoever opens it; a power cut in between changes nothing,
since the keystore alone says that there was a rotation.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Event
from engine.core.house import ADMIN, KeysRotated
from engine.core.jcs import canonical
from engine.core.rows import Row
from engine.evidence.checkpoint import parse_checkpoint, split_note
from engine.evidence.items import ENGINE_SUFFIX
from engine.evidence.statement import TYPE, resource
from engine.keystore import Keys, Shard
from engine.ports import EventStore
from engine.transparency import Log, Signed, Wish

_NAME: Final = "former-checkpoint"


def settle(
    store: EventStore, log: Log, keys: Keys, *, base: str, identity: str, now_us: int
) -> bool:
    """Record a rotation that is not on record yet. Returns whether there was one.

    Raises:
        LogForked: the log may not grow.
    """
    if not keys.rotated or _on_record(store, keys):
        return False
    with log.writing() as tree:
        files: tuple[NamedDigest, ...] = ()
        rows: tuple[Row, ...] = ()
        admin = store.load(ADMIN)
        if "log" in keys.rotated:
            former = keys.shards[-1]
            payload = shard_statement(former, keys, base=base)
            (signed,), rows = log.sign(
                tree,
                (Wish(payload=payload, identity=identity),),
                now_us=now_us,
                anchor=admin[-1] if admin else None,
            )
            files = _files(store, former, signed)
        event: Event = KeysRotated(
            number=keys.rotations,
            what=keys.rotated,
            fingerprint=keys.fingerprint,
            origin=keys.log_origin,
            first=keys.log_first,
            files=files,
        )
        store.append(ADMIN, (event,), after=store.version(ADMIN), actor="engine", rows=rows)
    return True


def engine_identity(base: str) -> str:
    """As whom the engine signs in a home whose types are named below `base`."""
    return f"https://{urlsplit(base).netloc}{ENGINE_SUFFIX}"


def shard_statement(former: Shard, keys: Keys, *, base: str) -> bytes:
    """That this log goes on where the one before ended, and which head that one had."""
    head = parse_checkpoint(split_note(former.checkpoint, where=_NAME)[0])
    subject = NamedDigest(name=_NAME, digest=Digest.of(former.checkpoint.encode()))
    predicate: dict[str, Any] = {
        "former": {
            "origin": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "checkpoint": former.checkpoint,
        },
        "log": {"origin": keys.log_origin, "vkey": str(keys.log)},
    }
    return canonical(
        {
            "_type": TYPE,
            "subject": [resource(subject)],
            "predicateType": f"{base}/log-shard/v1",
            "predicate": predicate,
        }
    )


def _files(store: EventStore, former: Shard, signed: Signed) -> tuple[NamedDigest, ...]:
    contents = {
        _NAME: former.checkpoint.encode(),
        "log-shard.dsse": signed.pending.envelope.to_bytes(),
        "log-shard.rekor-entry.json": signed.receipt.to_bytes(),
        "log-shard.sigstore.json": signed.pending.bundle(signed.receipt),
    }
    return tuple(
        NamedDigest(name=name, digest=store.blobs.put(content))
        for name, content in contents.items()
    )


def _on_record(store: EventStore, keys: Keys) -> bool:
    return any(
        isinstance(one.event, KeysRotated) and one.event.number == keys.rotations
        for one in store.of_kinds((KeysRotated.TYPE,))
    )
