"""A run played over the real store and the real sealer; only targets and people are made up."""

from __future__ import annotations

import atexit
import functools
import json
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
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.decide import decide
from engine.core.digest import Digest
from engine.core.effect_kinds import (
    AcquireLock,
    ApplyStage,
    CaptureEvidence,
    CaptureRollback,
    EvaluateGate,
    MaterializeInputs,
    Record,
    Revert,
    Seal,
    VerifyTargets,
    Wait,
    Watch,
)
from engine.core.effects import gate_decided, next_effect
from engine.core.errors import NotFound
from engine.core.event_parts import NamedDigest, StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    GateDecided,
    InputFact,
    InputsMaterialized,
    PolicyEvaluated,
    RollbackVerified,
    RolloutPlanned,
    StageApplied,
    TargetReverted,
    TargetSet,
    TargetsObserved,
    VerifySnapshot,
)
from engine.core.plan import cohort
from engine.core.rows import GateTick
from engine.core.run import Run
from engine.core.run_events import RunRequested, RunStarted
from engine.core.spec import ApprovalRule, StepKind, StepSpec
from engine.core.statemachine import Role
from engine.core.step_events import StepFailed, StepSucceeded
from engine.evidence.pack import read_pack, write_tar_gz, write_zip
from engine.keystore import Keys
from engine.logbook import open_log
from engine.outside import Outside
from engine.sealing import Sealer
from tests.evidence.kit_runtime import FINDINGS, capsule_of, snapshot_of

RUN = "run-1"
OLD = Digest.of(b"old")
TARGETS = tuple(f"eu-prod-{n:02d}" for n in range(1, 11))
D = Digest.of(b"any")
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

    @property
    def run(self) -> Run:
        return cast(Run, self.store.run(RUN))

    def request(self) -> None:
        manifest = self.store.blobs.put(b'{"bundle":"manifest"}')
        wish = RunRequested(
            number=1,
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
        self.store.append(RUN, (wish,), after=0, actor="ci")

    def play(self, *, until: Callable[[Run], bool] = lambda run: run.terminal) -> Run:
        """Go on until the run has ended, or `until` says so."""
        if not self.store.version(RUN):
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
        actor = Actor(user=user, roles=frozenset({Role.APPROVER}))
        command = Command(
            action=Action.APPROVE, reason="seen", binding=self.run.binding, nonce=f"nonce-{user}"
        )
        self.append(decide(self.run, command, actor), actor=user)

    def append(self, events: Any, *, actor: str = "engine") -> None:
        self.store.append(RUN, tuple(events), after=self.run.version, actor=actor)

    def pack(self, kind: str = "audit-pack") -> bytes:
        return self.sealer.export(RUN, kind, actor="ana")[1]


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


def answer(world: World, run: Run, effect: object) -> tuple[Event, ...]:
    blobs = world.store.blobs
    match effect:
        case Record(events=events):
            return events
        case AcquireLock():
            return (RunStarted(via="lock_acquired", epoch=1),)
        case MaterializeInputs(step=step, attempt=attempt):
            resolved = blobs.put(b'{"schema":"releaseline.resolved-inputs/1"}')
            facts = tuple(TargetFact(target=target, digest=OLD, healthy=True) for target in TARGETS)
            stages = (("canary-10", 1_000), ("full-100", 10_000))
            return (
                TargetsObserved(purpose="baseline", targets=facts),
                RolloutPlanned(
                    cohorts=tuple(
                        StageCohort(step=name, targets=cohort(TARGETS, share_bp=share))
                        for name, share in stages
                    ),
                    plan=D,
                    rollback=D,
                    irreversible=(),
                ),
                InputsMaterialized(
                    step=step,
                    attempt=attempt,
                    inputs=(InputFact(name="db", path="env:DB", version="", value_hmac="0" * 64),),
                    components=3,
                    resolved=resolved,
                ),
                StepSucceeded(step=step, attempt=attempt, result="RESOLVED", summary="1 input"),
            )
        case EvaluateGate(step=step, attempt=attempt):
            return _judged(world, step, attempt)
        case ApplyStage(step=step, attempt=attempt):
            targets = run.cohort(step)
            return (
                *(
                    TargetSet(
                        step=step,
                        attempt=attempt,
                        target=target,
                        outcome="changed",
                        from_digest=OLD,
                        to_digest=run.bundle,
                        digest=run.bundle,
                        healthy=True,
                        note="",
                        duration_ms=12,
                    )
                    for target in targets
                ),
                StageApplied(step=step, attempt=attempt, plan=D, changed=len(targets), noop=0),
            )
        case VerifyTargets(step=step, attempt=attempt):
            snapshot = blobs.put(snapshot_of(run.bundle, TARGETS, world.clock.now_us()))
            return (
                VerifySnapshot(
                    step=step,
                    attempt=attempt,
                    on_bundle=10,
                    healthy=10,
                    total=10,
                    observed_components=2,
                    components=3,
                    snapshot=snapshot,
                ),
                StageApplied(step=step, attempt=attempt, plan=D, changed=0, noop=10),
            )
        case Watch(step=step, attempt=attempt):
            return _watched(world, run, step, attempt)
        case Revert():
            return _reverted(run)
    raise AssertionError(effect)


def _judged(world: World, step: str, attempt: int) -> tuple[Event, ...]:
    blobs = world.store.blobs
    verdict = blobs.put(b'{"decision":"any"}')
    capsule = blobs.put(capsule_of(blobs, world.findings))
    passed = world.decision == "PASS"
    evaluated = PolicyEvaluated(
        step=step,
        attempt=attempt,
        verdict_id="verdict-1",
        decision=world.decision,
        warn=2,
        fail=int(not passed),
        error=False,
        verdict=verdict,
        policy=D,
        policy_input=D,
        capsule=capsule,
        notes=("WARN feeds",),
    )
    outputs = (
        NamedDigest(name="verdict.json", digest=verdict),
        NamedDigest(name="capsule.json", digest=capsule),
    )
    if passed:
        return (
            evaluated,
            StepSucceeded(step=step, attempt=attempt, result="PASS", summary="ok", outputs=outputs),
        )
    return (
        evaluated,
        StepFailed(step=step, attempt=attempt, result="FAIL", reason="KEV", outputs=outputs),
    )


def _watched(world: World, run: Run, step: str, attempt: int) -> tuple[Event, ...]:
    action, rule = ("rollback", 4) if world.breach == step else ("promote", 10)
    ticks = tuple(
        GateTick(
            run_id=RUN,
            step=step,
            attempt=attempt,
            n=n,
            t_ms=n * 5_000,
            ts_us=world.clock.now_us(),
            tick=json.dumps({"t_ms": n * 5_000, "status": "ok"}),
            action="hold" if n < 3 else action,
            rule=9 if n < 3 else rule,
            reason="warming up" if n < 3 else "decided",
        )
        for n in range(1, 4)
    )
    if not any(tick.attempt == attempt for tick in world.store.gate_ticks(RUN, step, attempt)):
        world.store.record(ticks)  # a power cut may have come right behind it
    decided = GateDecided(
        step=step,
        attempt=attempt,
        action=action,
        rule=rule,
        reason="the gate decided",
        t_ms=15_000,
        ticks=3,
        evidence=world.store.blobs.put(b'{"counts":"any"}'),
    )
    return tuple(gate_decided(run, decided))


def _reverted(run: Run) -> tuple[Event, ...]:
    changed = run.changed_targets
    return (
        *(
            TargetReverted(
                target=target,
                outcome="changed",
                to_digest=OLD,
                digest=OLD,
                healthy=True,
                note="",
                duration_ms=9,
            )
            for target in changed
        ),
        RollbackVerified(targets=changed, plan=D),
    )


def repacked(files: Mapping[str, bytes], *, zipped: bool = False) -> bytes:
    return write_zip(files) if zipped else write_tar_gz(files)


def unpacked(content: bytes) -> dict[str, bytes]:
    return dict(read_pack(content).files)


def temporary_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="releaseline-evidence-"))
