"""A store with webhooks and a postman, real but for the clock, which can be put forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data import queries
from data.store import Store
from engine.adapters.guarded_http import GuardedHttp
from engine.asker import Asker
from engine.core.freezes import Bar
from engine.core.hook_book import Hook
from engine.core.outbound import Allowed
from engine.core.statemachine import Role
from engine.hooks.desk import HookWish, WebhookDesk
from engine.hooks.letters import HookSecrets, Letters
from engine.hooks.noticing import Noticer
from engine.hooks.noticing_freezes import FreezeNoticer
from engine.hooks.noticing_waivers import WaiverNoticer
from engine.hooks.postman import Postman
from engine.ports_notified import Notifier
from tests.faults.small_house import settings

BASE = "https://releases.test"
KEY = b"k" * 32
ROOT = Asker(user="root")
LOOPBACK = Allowed(hosts=frozenset({"127.0.0.1"}))
HOLDERS = {
    "ana": frozenset({Role.RELEASE_MANAGER}),
    "bob": frozenset({Role.APPROVER}),
    "carol": frozenset({Role.APPROVER}),
    "dave": frozenset({Role.APPROVER}),
    "sam": frozenset({Role.SRE}),
    "ci": frozenset({Role.CI}),
}


class Clock:
    """The time of day, and what was put forward."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + self.ahead_us

    def monotonic_s(self) -> float:
        return time.monotonic() + self.ahead_us / 1_000_000

    def forward(self, seconds: float) -> None:
        self.ahead_us += int(seconds * 1_000_000)


class HookHouse:
    """One life of the store and its postman on a home."""

    def __init__(
        self,
        home: Path,
        *,
        clock: Clock | None = None,
        store: Any = None,
        notifier: Notifier | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.real = Store.open(home, clock=self.clock)
        self.store: Any = store(self.real) if store else self.real
        self.http = GuardedHttp(LOOPBACK)

        def held(_: str) -> dict[str, frozenset[Role]]:
            return HOLDERS

        secrets = HookSecrets(home=home, env=env or {}, home_key=KEY)
        self.letters = Letters(store=self.store, secrets=secrets, base=BASE, holders=held)
        self.bars: dict[str, Bar | None] = {}
        self.noticer = Noticer(
            store=self.store,
            clock=self.clock,
            holders=held,
            freezes=FreezeNoticer(self.store, lambda: self.bars),
            waivers=WaiverNoticer(self.store, self.clock, lambda _: ("bob", "carol")),
        )
        self.postman = Postman(
            store=self.store,
            clock=self.clock,
            letters=self.letters,
            notifier=notifier or self.http,
            noticer=self.noticer,
            jitter_bp=lambda: 0,
        )
        self.desk = WebhookDesk(
            store=self.store,
            clock=self.clock,
            settings=settings(home),
            http=self.http,
            secrets=secrets,
        )

    def add(self, url: str, name: str = "ci", **wish: Any) -> tuple[Hook, str]:
        return self.desk.add(HookWish(name=name, url=url, **wish), ROOT)

    def rows(self, **asked: Any) -> list[dict[str, Any]]:
        """Deliveries, the oldest first."""
        found = queries.deliveries(self.real.cursor(), limit=10_000, **asked).to_dicts()
        return list(reversed(found))

    def until(self, holds: Callable[[], bool], *, forward_s: float = 0.0) -> None:
        """Wait until it holds, the clock being put forward meanwhile."""
        ends_s = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < ends_s, self.rows()
            if forward_s:
                self.clock.forward(forward_s)
                self.postman._wake.set()
            time.sleep(0.01)

    def settled(self) -> bool:
        return not self.real.waiting_hooks()

    def close(self) -> None:
        self.postman.stop()
        self.noticer.stop()
        self.real.close()
