"""Links, sessions and tokens: used once, ended in time, revoked at once, kept as hashes only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.codec import from_document
from data.store import Store
from engine.core.errors import Conflict, NotFound, StorageFull, Unauthenticated
from engine.core.house import ADMIN, TokenRevoked
from engine.core.scopes import Limits
from engine.identity import Identity, hash_secret
from engine.identity import door as module
from engine.identity.used import LastUsed
from engine.recording import append_to
from tests.faults.small_house import SimClock

MINUTE_S = 60


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def store(tmp_path: Path, clock: SimClock) -> Iterator[Store]:
    store = Store.open(tmp_path / "home", clock=clock)
    yield store
    store.close()


def opened(store: Store, clock: SimClock, folder: Path, *, gone: str = "") -> Identity:
    """As the wiring does it; `gone` was taken out of the settings."""
    used = LastUsed(folder / "last-used.json", clock)
    return Identity(store, clock, knows=lambda user: user != gone, used=used, shell="local-admin")


@pytest.fixture
def identity(store: Store, clock: SimClock, tmp_path: Path) -> Identity:
    return opened(store, clock, tmp_path)


def session(identity: Identity, user: str = "ana") -> str:
    return identity.redeem_link(identity.create_link(user, actor="root"))


def test_a_link_signs_in_once(identity: Identity) -> None:
    link = identity.create_link("ana", actor="root")
    secret = identity.redeem_link(link)
    who = identity.session(secret)
    assert (who.user, who.method, who.service) == ("ana", "link", False)
    with pytest.raises(Unauthenticated, match="used already or has expired"):
        identity.redeem_link(link)
    assert identity.session(secret).user == "ana"


def test_of_two_clicks_at_once_one_wins(identity: Identity) -> None:
    link = identity.create_link("ana", actor="root")
    got: list[str] = []

    def click() -> None:
        try:
            got.append(identity.redeem_link(link))
        except Unauthenticated:
            got.append("")

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(bool(g) for g in got) == 1 and len(got) == 8


@pytest.mark.parametrize(("minutes", "ok"), [(14.9, True), (15.1, False)])
def test_a_link_waits_fifteen_minutes(
    identity: Identity, clock: SimClock, minutes: float, ok: bool
) -> None:
    link = identity.create_link("ana", actor="root")
    clock.sleep(minutes * MINUTE_S)
    if ok:
        assert identity.session(identity.redeem_link(link)).user == "ana"
    else:
        with pytest.raises(Unauthenticated):
            identity.redeem_link(link)


def test_a_session_ends_after_thirty_idle_minutes(identity: Identity, clock: SimClock) -> None:
    secret = session(identity)
    for _ in range(4):
        clock.sleep(29 * MINUTE_S)
        identity.session(secret)
    clock.sleep(31 * MINUTE_S)
    with pytest.raises(Unauthenticated, match="30 minutes without a click"):
        identity.session(secret)
    clock.us -= 60 * MINUTE_S * 1_000_000  # neither asking nor the clock brings it back
    with pytest.raises(Unauthenticated, match="has ended"):
        identity.session(secret)


def test_a_session_ends_after_twelve_hours_however_busy(
    identity: Identity, clock: SimClock
) -> None:
    secret = session(identity)
    for _ in range(12 * 3 - 1):
        clock.sleep(20 * MINUTE_S)
        identity.session(secret)
    clock.sleep(21 * MINUTE_S)
    with pytest.raises(Unauthenticated, match="has ended"):
        identity.session(secret)


def test_a_revoked_session_ends_at_once(identity: Identity) -> None:
    secret, other = session(identity), session(identity)
    identity.revoke_session(secret, reason="signed out")
    with pytest.raises(Unauthenticated):
        identity.session(secret)
    assert identity.session(other).user == "ana"
    identity.revoke_session("unknown", reason="x")  # nothing to do, and nothing to say


def test_tokens(identity: Identity, clock: SimClock) -> None:
    token = identity.create_token("ci", service=True, actor="root").token
    who = identity.token(token)
    assert (who.user, who.method, who.service) == ("ci", "token", True)
    (info,) = identity.tokens()
    assert token.startswith(f"rl_{info.token_id}_") and info.user == "ci"
    short = identity.create_token("ci", service=True, actor="root", ttl_us=1_000_000).token
    clock.sleep(2)
    with pytest.raises(Unauthenticated, match="unknown, revoked or expired"):
        identity.token(short)
    identity.revoke_token(info.token_id, actor="root", reason="leaked")
    with pytest.raises(Unauthenticated):
        identity.token(token)
    with pytest.raises(NotFound, match="There is no token"):
        identity.revoke_token(info.token_id, actor="root", reason="again")


@pytest.mark.parametrize("secret", ["", "x", "rl_00000000_x"])
def test_what_nobody_was_given_opens_nothing(identity: Identity, secret: str) -> None:
    for door in (identity.redeem_link, identity.session, identity.token):
        with pytest.raises(Unauthenticated):
            door(secret)


def test_a_link_opens_no_token_and_a_token_no_session(identity: Identity) -> None:
    link = identity.create_link("ana", actor="root")
    token = identity.create_token("ci", service=True, actor="root").token
    with pytest.raises(Unauthenticated):
        identity.token(link)
    for door in (identity.redeem_link, identity.session):
        with pytest.raises(Unauthenticated):
            door(token)


def test_only_hashes_are_kept(identity: Identity, store: Store, tmp_path: Path) -> None:
    link = identity.create_link("ana", actor="root")
    secrets = [link, identity.redeem_link(link)]
    secrets.append(identity.create_token("ci", service=True, actor="root").token)
    text = repr([r.event for r in store.load(ADMIN)])
    stored = b"".join(p.read_bytes() for p in (tmp_path / "home").rglob("*") if p.is_file())
    for secret in secrets:
        assert secret not in text and secret.encode() not in stored
        assert hash_secret(secret) in text


def test_everything_holds_after_a_restart(
    identity: Identity, store: Store, clock: SimClock, tmp_path: Path
) -> None:
    unused, used = (identity.create_link(u, actor="root") for u in ("ana", "bob"))
    kept = identity.redeem_link(used)
    gone = session(identity)
    identity.revoke_session(gone, reason="signed out")
    token = identity.create_token("ci", service=True, actor="root").token
    dead = identity.create_token("ci", service=True, actor="root").token
    identity.revoke_token(dead.split("_")[1], actor="root", reason="x")
    identity.stop()
    again = opened(store, clock, tmp_path)
    assert again.session(kept).user == "bob"
    assert again.token(token).user == "ci"
    for door, secret in ((again.session, gone), (again.token, dead), (again.redeem_link, used)):
        with pytest.raises(Unauthenticated):
            door(secret)
    assert again.session(again.redeem_link(unused)).user == "ana"


def test_idle_time_goes_on_over_a_restart(
    identity: Identity, store: Store, clock: SimClock, tmp_path: Path
) -> None:
    busy, idle, lost = (session(identity) for _ in range(3))
    clock.sleep(20 * MINUTE_S)
    identity.session(busy)
    identity.save_used()
    identity.session(lost)  # and then the power goes
    again = opened(store, clock, tmp_path)
    clock.sleep(20 * MINUTE_S)
    assert again.session(busy).user == "ana"
    for secret in (idle, lost):
        with pytest.raises(Unauthenticated, match="30 minutes"):
            again.session(secret)


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"s-1": "x"}', b"\xff"])
def test_a_damaged_file_of_uses_keeps_nothing_alive(
    identity: Identity, store: Store, clock: SimClock, tmp_path: Path, damage: bytes
) -> None:
    secret = session(identity)
    clock.sleep(20 * MINUTE_S)
    identity.session(secret)
    identity.stop()
    (tmp_path / "last-used.json").write_bytes(damage)
    again = opened(store, clock, tmp_path)
    clock.sleep(11 * MINUTE_S)
    with pytest.raises(Unauthenticated):
        again.session(secret)


def test_what_comes_by_itself_keeps_no_session_alive(identity: Identity, clock: SimClock) -> None:
    secret = session(identity)
    for _ in range(3):
        clock.sleep(9 * MINUTE_S)
        identity.session(secret, used=False)
    clock.sleep(9 * MINUTE_S)
    with pytest.raises(Unauthenticated):
        identity.session(secret)


def test_who_was_taken_out_of_the_settings_is_out(
    identity: Identity, store: Store, clock: SimClock, tmp_path: Path
) -> None:
    link, secret = identity.create_link("ana", actor="root"), session(identity)
    token = identity.create_token("ana", service=False, actor="root").token
    without = opened(store, clock, tmp_path, gone="ana")
    for door, shown in (
        (without.session, secret),
        (without.token, token),
        (without.redeem_link, link),
    ):
        with pytest.raises(Unauthenticated):
            door(shown)
    assert without.sessions() == () and without.tokens() == ()


def test_groups_give_roles_for_a_quarter_of_an_hour(identity: Identity, clock: SimClock) -> None:
    secret = identity.open_account("ana", issuer="https://idp", subject="1", groups=("sre",))
    clock.sleep(14 * MINUTE_S)
    assert identity.session(secret).groups == ("sre",)
    clock.sleep(2 * MINUTE_S)
    assert identity.session(secret).groups == ()


def test_a_token_from_before_there_were_limits_means_what_it_meant(
    identity: Identity, store: Store
) -> None:
    token = "rl_0a0a0a0a_x"
    old = '{"token_id":"0a0a0a0a","secret_hash":"%s","user":"ci","service":true,"expires_us":%d}'
    event = from_document("token.created/1", json.loads(old % (hash_secret(token), 2**52)))
    append_to(store, ADMIN, event, actor="root")
    assert identity.token(token).limits == Limits()


def test_a_link_is_not_lost_when_nothing_can_be_recorded(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = identity.create_link("ana", actor="root")

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise StorageFull("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(module, "append_to", full)
        with pytest.raises(StorageFull):
            identity.redeem_link(link)
    assert identity.session(identity.redeem_link(link)).user == "ana"


def test_appending_gives_way_and_gives_up(store: Store) -> None:
    event = TokenRevoked(token_id="t", reason="r")

    class Busy:
        tries = 0

        def version(self, stream: str) -> int:
            return store.version(stream)

        def append(self, *args: Any, **kwargs: Any) -> Any:
            self.tries += 1
            if self.tries <= limit:
                raise Conflict("busy")
            return store.append(*args, **kwargs)

    busy: Any = Busy()
    limit = 5
    append_to(busy, ADMIN, event, actor="root")
    assert (busy.tries, store.version(ADMIN)) == (6, 1)
    busy, limit = Busy(), 1_000
    with pytest.raises(Conflict, match="stream admin is too busy"):
        append_to(busy, ADMIN, event, actor="root")


def test_a_session_and_a_token_know_who_could_be_behind_them(
    store: Store, clock: SimClock, tmp_path: Path
) -> None:
    people = {"ana", "bob", "dora", "local-admin"}  # the shell's token is known to a server too
    used = LastUsed(tmp_path / "last-used.json", clock)
    identity = Identity(store, clock, knows=people.__contains__, used=used, shell="local-admin")

    def hands(made_by: str, user: str) -> set[str]:
        link = identity.create_link(user, actor=made_by)
        token = identity.create_token(user, service=False, actor=made_by).token
        return {identity.session(identity.redeem_link(link)).hand, identity.token(token).hand}

    assert hands("dora", "ana") == {"dora"}
    assert hands("ana", "ana") == {""}  # their own
    assert hands("local-admin", "ana") == {""}  # a shell on the home: the root of trust
    service = identity.create_token("ana", service=True, actor="dora").token
    assert (identity.token(service).hand, identity.token(service).owner) == ("", "dora")
    account = identity.open_account("bob", issuer="https://idp", subject="b")
    assert identity.session(account).hand == ""
    # A restart forgets nothing.
    secret = identity.redeem_link(identity.create_link("ana", actor="dora"))
    again = Identity(store, clock, knows=people.__contains__, used=used, shell="local-admin")
    assert again.session(secret).hand == "dora"
