"""Where an auditor's trust begins: the trusted root, the log's newest head, renewed keys."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.digest import Digest
from engine.core.errors import NotFound
from engine.core.house import KeysRotated
from engine.evidence.trust import client_trust_config
from engine.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Keys that were made anew; the trusted root had `fingerprint` from then on."""

    number: int
    ts_us: int
    what: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Attributes:
    fingerprint: SHA-256 (hex) of `content`, the trusted root as it is now.
    origin, size, checkpoint: the log's newest signed head; size 0 before the first.
    cosigned: a witness signed that head too.
    """

    content: bytes
    fingerprint: str
    origin: str
    size: int
    checkpoint: str
    cosigned: bool
    renewals: tuple[Renewal, ...]

    @property
    def files(self) -> tuple[tuple[str, bytes], ...]:
        """What is handed over beside a pack: the root, and the same for the one client that wants
        it as a configuration."""
        return (
            ("trusted_root.json", self.content),
            ("trust_config.json", client_trust_config(self.content)),
        )


def trust(house: Services) -> Trust:
    content = (house.home / "trusted_root.json").read_bytes()
    try:
        head = house.logbook.head()
    except NotFound:
        head = {"origin": house.logbook.keys.log_origin, "size": 0, "checkpoint": ""}
    rotated = house.store.of_kinds((KeysRotated.TYPE,))
    return Trust(
        content=content,
        fingerprint=Digest.of(content).hex,
        origin=str(head["origin"]),
        size=int(head["size"]),
        checkpoint=str(head["checkpoint"]),
        cosigned=bool(head.get("cosigned_at_s")),
        renewals=tuple(
            Renewal(
                number=r.event.number,
                ts_us=r.ts_us,
                what=r.event.what,
                fingerprint=r.event.fingerprint.hex,
            )
            for r in rotated
            if isinstance(r.event, KeysRotated)
        ),
    )
