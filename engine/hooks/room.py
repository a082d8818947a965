"""The rooms of the webhooks, put together: the door, the postman, and who may call in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from engine.adapters.guarded_http import GuardedHttp
from engine.catalog import Catalog
from engine.freezing import Freezing
from engine.hooks.desk import WebhookDesk
from engine.hooks.inbound import Inbound
from engine.hooks.letters import HookSecrets, Letters, holders_in
from engine.hooks.noticing import Noticer
from engine.hooks.noticing_freezes import FreezeNoticer
from engine.hooks.noticing_waivers import WaiverNoticer
from engine.hooks.postman import Postman
from engine.ports import Clock, EventStore
from engine.service import Service
from engine.settings import Settings
from engine.troubles import Troubles
from engine.waiving import Waiving


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRoom:
    desk: WebhookDesk
    letters: Letters
    postman: Postman
    noticer: Noticer
    inbound: Inbound

    def start(self) -> None:
        """Take up the settings, then send what waits."""
        self.desk.take_up_settings()
        self.postman.start()

    def stop(self) -> None:
        self.postman.stop()
        self.noticer.stop()


def hook_room(
    settings: Settings,
    store: EventStore,
    clock: Clock,
    home_key: bytes,
    service: Service,
    catalog: Catalog,
    troubles: Troubles,
    waiving: Waiving,
) -> HookRoom:
    """Open the room; nothing is sent before `HookRoom.start`."""
    holders = partial(holders_in, settings)
    secrets = HookSecrets(home=settings.home, env=os.environ, home_key=home_key)
    http = GuardedHttp(settings.outbound.allowed)
    letters = Letters(store=store, secrets=secrets, base=settings.console_url, holders=holders)
    noticer = Noticer(
        store=store,
        clock=clock,
        holders=holders,
        freezes=FreezeNoticer(store, Freezing(store, settings, clock).bars),
        waivers=WaiverNoticer(store, clock, waiving.may_judge),
        troubles=troubles.now,
        carers=troubles.carers,
    )
    return HookRoom(
        desk=WebhookDesk(store=store, clock=clock, settings=settings, http=http, secrets=secrets),
        letters=letters,
        postman=Postman(store=store, clock=clock, letters=letters, notifier=http, noticer=noticer),
        noticer=noticer,
        inbound=Inbound(
            store=store,
            clock=clock,
            settings=settings,
            service=service,
            catalog=catalog,
            http=http,
        ),
    )
