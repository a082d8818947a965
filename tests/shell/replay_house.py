"""A home with verdicts and somebody who may have them replayed, and ways to damage it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.store import Store
from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.core.replays import ReplayAsk, ReplayMode
from engine.core.rows import VerdictRow
from engine.core.run import Run
from engine.core.statemachine import Role
from engine.replaying import Replaying
from engine.replaying_pool import ReplayPool
from engine.service import Asker
from tests.shell.gate_house import House

DORA = Asker(user="dora")
VERA = Asker(user="vera")
_ROLES = {"dora": frozenset({Role.AUDITOR}), "vera": frozenset({Role.VIEWER})}


def actor(asker: Asker, environment: str) -> Actor:
    return Actor(user=asker.user, roles=_ROLES.get(asker.user, frozenset()), service=False)


class ReplayHouse(House):
    def __init__(self, home: Path, store: Store, pool: ReplayPool) -> None:
        super().__init__(home, store)
        self.pool = pool
        self.replaying = self.door()

    def door(self) -> Replaying:
        """A new door to the same home, as a server that starts anew has one."""
        return Replaying(
            store=self.store,
            clock=self.clock,
            desk=self.desk,
            pool=self.pool,
            actor=actor,
            environments=("eu-prod",),
        )

    def replay(self, scope: str, **more: Any) -> list[dict[str, Any]]:
        """Ask, wait, and read every outcome."""
        ask = ReplayAsk(scope=scope, reason="a test", **more)
        request = self.replaying.request(ask, DORA)
        done = self.replaying.wait(request.n, 120.0)
        assert done.ended, done
        return [self.replaying.detail(request.n, idx) for idx in range(1, request.total + 1)]

    def one(self, scope: str, **more: Any) -> dict[str, Any]:
        (found,) = self.replay(scope, **more)
        return found

    def what_if(self, change: Callable[[dict[str, Any]], None]) -> Digest:
        """The shipped policy with its config changed, as a candidate."""
        config = json.loads(json.dumps(self.policy.config))
        change(config)
        text = json.dumps(dict(self.policy.document)).encode()
        return self.replaying.candidate(text, json.dumps(config).encode())

    # --- damage ---------------------------------------------------------------------------------

    def place(self, digest: Digest | str) -> Path:
        found = digest if isinstance(digest, Digest) else Digest.parse(digest)
        return self.store.blobs.path(found)

    def capsule(self, run: Run) -> dict[str, Any]:
        assert run.verdict is not None
        document: dict[str, Any] = json.loads(self.store.blobs.get(run.verdict.capsule))
        return document

    def forge(self, run: Run, change: Callable[[dict[str, Any]], None], *, number: int) -> str:
        """Record a verdict of another name whose capsule is that of `run`, changed: what somebody
        leaves who can write to the home and to the journal."""
        document = self.capsule(run)
        change(document)
        blob = self.store.blobs.put(canonical(document))
        verdict = document["verdict"]
        name = f"verdict-{number}"
        self.store.record(
            [
                VerdictRow(
                    verdict_id=name,
                    run_id=run.run_id,
                    step="gate-eval",
                    attempt=number,
                    ts_us=self.clock.now_us(),
                    decision=verdict["decision"],
                    warn=verdict["warn"],
                    fail=verdict["fail"],
                    error=verdict["error"],
                    verdict=document["verdict_digest"],
                    policy=verdict["policy"],
                    policy_input=verdict["input"],
                    capsule=str(blob),
                )
            ]
        )
        return name


def sealed_again(document: dict[str, Any]) -> None:
    """The forger also makes the verdict's digest fit."""
    document["verdict_digest"] = str(Digest.of(canonical(document["verdict"])))


VERIFY, WHAT_IF, TODAY = ReplayMode.VERIFY, ReplayMode.WHAT_IF, ReplayMode.TODAY
