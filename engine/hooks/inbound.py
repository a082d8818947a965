"""Calls from outside: proven, understood, and then done by the door that everybody uses.

A call acts as a person of the settings, as a service, and may do what they may. What was received
once is answered as then. Every refusal is on record, but a flood of bad calls is counted and not
written down one by one.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from engine.adapters.guarded_http import GuardedHttp
from engine.adapters.references import secret_from
from engine.asker import Asker
from engine.catalog import MAY_CREATE, Catalog
from engine.core.bundle import Bundle
from engine.core.errors import (
    Malformed,
    NotFound,
    Refused,
    ReleaselineError,
    Unauthenticated,
)
from engine.core.hook_events import HOOKS, HookReceived
from engine.core.hook_presets import (
    REFUSALS,
    Call,
    Wish,
    delivery_of,
    problem,
    replay_key,
    wishes,
)
from engine.core.scopes import CREATE_BUNDLE, Limits, Scope
from engine.hooks.fetching import Fetcher
from engine.ports import Clock, EventStore
from engine.recording import append_to
from engine.service import Service
from engine.settings import InboundConfig, Settings
from engine.trail.denials import denied

ACTION: Final = "call_hook"
QUIET_S: Final = 60.0
# Whatever the person may do else, a call does not do it.
_LIMITS: Final = Limits(scopes=frozenset({Scope.BUNDLES, Scope.PROMOTE}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a call. `before`: it was received already, and nothing was done again."""

    hook: str
    what: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    before: bool = False


class Inbound:
    """Thread-safe."""

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        settings: Settings,
        service: Service,
        catalog: Catalog,
        http: GuardedHttp,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._service, self._catalog, self._http = service, catalog, http
        self._hooks = {one.name: one for one in settings.hooks}
        self._lock = threading.Lock()
        self._refused: dict[tuple[str, str], tuple[float, int]] = {}

    def receive(self, name: str, call: Call) -> Received:
        """Take a call in.

        Raises:
            NotFound: no such hook, or the bundle that it names is not here.
            Unauthenticated: the call is not proven.
            Malformed: it is proven and not as its sender documents it.
            Refused: the person whose rights it has may not do that, or it names another place.
            AdapterFailed: what it names could not be fetched; send it again later.
        """
        config = self._hooks.get(name)
        if config is None:
            self._refuse("", "unknown", f"There is no hook {name[:80]!r}.", NotFound)
        self._prove(config, call)
        command_id = f"hook/{name}/{replay_key(config.preset, call)}"
        earlier = self._store.by_command(command_id)
        if earlier:
            return _received(name, [one.event for one in earlier], before=True)
        try:
            events = [
                self._done(config, wish, call, f"{command_id}/{n}")
                for n, wish in enumerate(wishes(config.preset, call))
            ]
        except (Malformed, NotFound) as wrong:
            self._note(name, "not_understood", str(wrong))
            raise
        append_to(self._store, HOOKS, *events, actor=config.user, command_id=command_id)
        return _received(name, list(events), before=False)

    def _prove(self, config: InboundConfig, call: Call) -> None:
        secrets = [self._secret(config.secret)]
        if config.former_secret:
            secrets.append(self._secret(config.former_secret))
        code = problem(config.preset, call, secrets, now_s=self._clock.now_us() // 1_000_000)
        if code:
            self._refuse(config.name, code, REFUSALS[code], Unauthenticated)

    def _done(
        self,
        config: InboundConfig,
        wish: Wish,
        call: Call,
        command_id: str,
    ) -> HookReceived:
        asker = Asker(user=config.user, service=True, method="hook", limits=_LIMITS)
        bundle = self._bundle(config, wish, asker)
        run = ""
        if config.environment:
            run = self._service.promote(
                bundle.digest,
                config.environment,
                asker,
                reason=f"asked for by hook {config.name}: {wish.what}",
                command_id=command_id,
            ).run_id
        return HookReceived(
            hook=config.name,
            delivery=delivery_of(call),
            what=wish.what,
            bundle=str(bundle.digest),
            run=run,
        )

    def _bundle(
        self,
        config: InboundConfig,
        wish: Wish,
        asker: Asker,
    ) -> Bundle:
        if wish.digest is not None:
            return self._catalog.get(wish.digest)
        if not config.sources or not (wish.files or wish.manifest):
            return self._catalog.named(wish.name, wish.version)
        self._service.require(asker, CREATE_BUNDLE, MAY_CREATE, what="create bundles")
        token = self._secret(config.token) if config.token else ""
        fetcher = Fetcher(self._http, self._settings.outbound.allowed, config.sources, token)
        with tempfile.TemporaryDirectory(prefix="rl-hook-") as folder:
            try:
                files = fetcher.files(wish, Path(folder))
            except Refused as refused:
                self._note(config.name, refused.code, str(refused))
                raise
            return self._catalog.create(files, actor=asker.user)

    def _secret(self, reference: str) -> str:
        return secret_from(reference, self._settings.home, os.environ, what="secret")()

    def _refuse(
        self, hook: str, code: str, sentence: str, error: type[ReleaselineError]
    ) -> NoReturn:
        self._note(hook, code, sentence)
        raise error(sentence)

    def _note(self, hook: str, code: str, sentence: str) -> None:
        """Put a refusal on record; of the same kind at most one a minute, with how many there
        were in between, so that a flood does not fill the journal."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            since_s, more = self._refused.get((hook, code), (-QUIET_S, 0))
            if now_s - since_s < QUIET_S:
                self._refused[hook, code] = (since_s, more + 1)
                return
            self._refused[hook, code] = (now_s, 0)
        counted = f" {more} like it came before." if more else ""
        denied(
            self._store,
            user=f"hook/{hook}" if hook else "nobody",
            action=ACTION,
            code=code,
            reason=f"{sentence}{counted}",
            subject=hook,
        )


def _received(hook: str, events: list[object], *, before: bool) -> Received:
    found = [one for one in events if isinstance(one, HookReceived)]
    return Received(
        hook=hook,
        what=tuple(one.what for one in found),
        bundles=tuple(one.bundle for one in found if one.bundle),
        runs=tuple(one.run for one in found if one.run),
        before=before,
    )
