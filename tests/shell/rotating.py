"""Keys of a played home made anew, and leaves that are signed before and after."""

from __future__ import annotations

from engine.evidence.verify import verify_envelope
from engine.keystore import Keys
from engine.logbook import LogBook, open_log
from engine.rotation import rotate
from engine.transparency import Signed, Wish
from tests.evidence.kit import BASE, ENGINE, ISSUER, World

WISH = Wish(payload=b'{"said":"something"}', identity=ENGINE)


def book_of(one: World, keys: Keys) -> LogBook:
    return open_log(one.home, one.store, keys, issuer=ISSUER)


def turned(one: World, *what: str, keys: Keys | None = None, origin: str = "") -> Keys:
    return rotate(
        one.home,
        one.store,
        book_of(one, keys or one.keys),
        one.clock,
        what,
        passphrase="secret",
        issuer=ISSUER,
        base=BASE,
        origin=origin,
    )


def signed(one: World, keys: Keys, *, at_us: int = 0) -> Signed:
    """One more leaf, signed with these keys."""
    log = book_of(one, keys).log
    with log.writing() as tree:
        now_us = at_us or one.clock.now_us()
        (made_,), rows = log.sign(tree, (WISH,), now_us=now_us, anchor=None)
        one.store.record(rows)
        return made_


def verified(made_: Signed, root: bytes) -> bool:
    return verify_envelope(made_.pending.bundle(made_.receipt), trusted_root=root).ok
