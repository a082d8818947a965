"""A run played over the real store and the real sealer; only targets and people are made up."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from data.store import Store
from engine import keystore
from engine.core.approval_facts import ViewFacts
from engine.core.approval_view import View, view
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.decide import decide
from engine.core.effect_kinds import (
    CaptureEvidence,
    CaptureRollback,
    Seal,
    Wait,
)
from engine.core.effects import next_effect
from engine.core.errors import NotFound
from engine.core.run import Run
from engine.core.run_events import RunRequested
from engine.core.spec import ApprovalRule, StepKind, StepSpec
from engine.core.statemachine import Role
from engine.evidence.pack import read_pack, write_tar_gz, write_zip
from engine.keystore import Keys
from engine.logbook import open_log
from engine.outside import Outside
from engine.sealing import Sealer
from tests.evidence.kit_answers import TARGETS, D, answer
from tests.evidence.kit_runtime import FINDINGS

RUN = "run-1"
EMAILS = {"bob": "bob.smith@example.com", "carol": "carol.wu@example.com"}
BASE = "https://releaseline.local/attestation"
ISSUER = "https://releaseline.local/auth"
ENGINE = "https://releaseline.local/run-engine"


class StepClock:
    """Moves a millisecond with each look."""

    def __init__(self, at_us: int = 0) -> None:
        self.at_us = at_us or time.time_ns() // 1000

    def now_us(self) -> int:
        self.at_us += 1_000
        return self.at_us

    def monotonic_s(self) -> float:
        return time.monotonic()


def settings() -> Any:
    def person(user: str) -> Any:
        if user not in EMAILS:
            raise NotFound(f"there is no {user}")
        return SimpleNamespace(user=user, email=EMAILS[user])

    evidence = SimpleNamespace(base_uri=BASE, issuer=ISSUER, log_origin="log.releaseline.local")
    return SimpleNamespace(
        evidence=evidence, person=person, roles_of=lambda _user, _env: frozenset({Role.APPROVER})
    )


def specs() -> tuple[StepSpec, ...]:
    def deploy(name: str, share_bp: int) -> StepSpec:
        return StepSpec(
            id=name,
            kind=StepKind.DEPLOY,
            name=f"Deploy {name}",
            share_bp=share_bp,
            min_targets=1,
            poll_ms=5_000,
            gate='{"schema":"releaseline.criteria/1"}',
        )

    return (
        StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs Materialized"),
        StepSpec(id="gate-eval", kind=StepKind.GATE_EVAL, name="Gate Eval"),
        StepSpec(id="approval", kind=StepKind.APPROVAL, name="Approval"),
        deploy("canary-10", 1_000),
        deploy("full-100", 10_000),
        StepSpec(
            id="post-verify",
            kind=StepKind.VERIFY,
            name="Post-Deploy Verify",
            poll_ms=5_000,
            gate='{"schema":"releaseline.criteria/1"}',
            on_failure="rollback",
        ),
        StepSpec(id="seal", kind=StepKind.SEAL, name="Seal Evidence"),
    )


@dataclass
class World:
    """Attributes:
    breach: id of the stage whose gate says rollback; empty = everything is healthy.
    decision: of the policy.
    before: called with each effect before it is carried out.
    findings: of the policy gate.
    run_id: of the run that is played; a home may hold several.
    shows: approvers see the whole view; else nothing but the binding, as in homes of old.
    """

    home: Path
    store: Any
    keys: Keys
    sealer: Sealer
    clock: StepClock
    breach: str = ""
    decision: str = "PASS"
    before: Callable[[World, object], None] = lambda _world, _effect: None
    findings: tuple[Mapping[str, Any], ...] = FINDINGS
    run_id: str = RUN
    shows: bool = True

    @property
    def run(self) -> Run:
        return cast(Run, self.store.run(self.run_id))

    def request(self) -> None:
        manifest = self.store.blobs.put(b'{"bundle":"manifest"}')
        wish = RunRequested(
            number=int(self.run_id.rpartition("-")[2]),
            kind="PROMOTE",
            bundle=manifest,
            bundle_name="Platform Release",
            bundle_version="1.3.0-rc1",
            bundle_authors=("author",),
            region="EU-West",
            environment="eu-prod",
            promotes_from="eu-stage",
            workflow="canary",
            workflow_digest=D,
            policy="prod-gate",
            policy_digest=D,
            config_digest=D,
            steps=specs(),
            targets=TARGETS,
            approval=ApprovalRule(rule_id="prod", min_approvals=2),
            on_breach="rollback",
            speed=1,
            initial="QUEUED",
        )
        self.store.append(self.run_id, (wish,), after=0, actor="ci")

    def play(self, *, until: Callable[[Run], bool] = lambda run: run.terminal) -> Run:
        """Go on until the run has ended, or `until` says so."""
        if not self.store.version(self.run_id):
            self.request()
        for _ in range(200):
            run = self.run
            if until(run):
                return run
            effect = next_effect(run, self.clock.now_us())
            self.before(self, effect)
            if self.run.version == run.version:
                self.perform(run, effect)
        raise AssertionError("the run does not end")

    def perform(self, run: Run, effect: object) -> None:
        match effect:
            case CaptureEvidence(step=step, attempt=attempt):
                self.sealer.capture(run, step, attempt)
            case CaptureRollback():
                self.sealer.capture_rollback(run, effect)
            case Seal(step=step, attempt=attempt):
                self.sealer.seal(run, step, attempt)
            case Wait(until_us=until_us) if until_us is None or run.approval_expires_us is None:
                self.clock.at_us = max(self.clock.at_us, until_us or 0)
            case Wait():
                self.approve("bob" if not run.approvals else "carol")
            case _:
                self.append(answer(self, run, effect))

    def approve(self, user: str) -> None:
        """As the service does it: what is shown is kept, then the decision that names it."""
        actor = Actor(user=user, roles=frozenset({Role.APPROVER}))
        shown = self.store.blobs.put(self.view().content) if self.shows else None
        command = Command(
            action=Action.APPROVE,
            reason="seen",
            binding=self.run.binding,
            view=shown,
            view_now=shown,
            nonce=self._nonce(user),
        )
        self.append(decide(self.run, command, actor), actor=user)

    def view(self) -> View:
        return view(
            ViewFacts(
                run=self.run,
                frozen=None,
                why_not="the capsule is made up",
                live=None,
                policy_version="1",
                policy_changes=(),
                health=(),
                may=("carol",),
                may_not=(),
            )
        )

    def _nonce(self, user: str) -> str:
        return f"nonce-{user}" if self.run_id == RUN else f"nonce-{user}-{self.run_id}"

    def append(self, events: Any, *, actor: str = "engine") -> None:
        self.store.append(self.run_id, tuple(events), after=self.run.version, actor=actor)

    def pack(self, kind: str = "audit-pack") -> bytes:
        return self.sealer.export(self.run_id, kind, actor="ana")[1]


def world(home: Path, **changes: Any) -> World:
    """A new home; `open_world` opens it again."""
    shutil.copytree(_keys_made_once(), home, dirs_exist_ok=True)
    return open_world(home, **changes)


@functools.cache
def _keys_made_once() -> Path:
    """A folder with a keystore and nothing else: stretching a passphrase is slow on purpose."""
    home = Path(tempfile.mkdtemp(prefix="releaseline-keys-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    keystore.create(home, "secret", log_origin="log.releaseline.local")
    return home


def open_world(
    home: Path, *, wrap: Callable[[Any], Any] = lambda store: store, **changes: Any
) -> World:
    clock = StepClock(changes.pop("at_us", 0))
    store = wrap(Store.open(home, clock=clock))
    keys = keys_of((home / "trusted_root.json").read_bytes(), home)
    return World(
        home=home,
        store=store,
        keys=keys,
        sealer=sealer(home, store, clock, keys),
        clock=clock,
        **changes,
    )


_OPENED: dict[bytes, Keys] = {}


def keys_of(trusted_root: bytes, home: Path) -> Keys:
    """Opened once per home and its copies: what makes guessing slow makes tests slow too."""
    if trusted_root not in _OPENED:
        _OPENED[trusted_root] = keystore.open(home, "secret")
    return _OPENED[trusted_root]


def sealer(home: Path, store: Any, clock: StepClock, keys: Keys) -> Sealer:
    out = Outside(
        store=store,
        clock=clock,
        settings=settings(),
        catalog=cast(Any, None),
        desk=cast(Any, None),
        places={},
        secrets={},
    )
    return Sealer(
        out,
        keys,
        step_logs=lambda run, step, attempt: f"{run} {step} {attempt}: a line\n",
        log=open_log(home, store, keys, issuer=ISSUER).log,
    )


def repacked(files: Mapping[str, bytes], *, zipped: bool = False) -> bytes:
    return write_zip(files) if zipped else write_tar_gz(files)


def unpacked(content: bytes) -> dict[str, bytes]:
    return dict(read_pack(content).files)


def temporary_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="releaseline-evidence-"))
