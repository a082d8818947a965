"""A house with runs in every state that a page has to show, made of real events in a real store.

Nothing steps here: the engine is built and not started, and the events are those that its runner
would have recorded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from engine import approvers
from engine.catalog import BundleFiles
from engine.core import ticks
from engine.core.approvals import binding
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.event_parts import InputFact, NamedDigest, StageCohort, TargetFact
from engine.core.events import Event
from engine.core.fact_events import (
    ApprovalRequested,
    EvidenceCaptured,
    EvidenceSealed,
    GateDecided,
    InputsMaterialized,
    PolicyEvaluated,
    RolloutPlanned,
    StageApplied,
    TargetSet,
    TargetsObserved,
)
from engine.core.health_criteria import criteria_from_document
from engine.core.jcs import canonical
from engine.core.plan import cohort
from engine.core.rows import GateTick, Sample, StepLog
from engine.core.run import Run
from engine.core.run_events import RunResumed, RunSealed, RunStarted, RunSucceeded
from engine.core.spec import StepKind, rollout_plan_digest
from engine.core.step_events import StepStarted, StepSucceeded, StepWaiting
from engine.service import Asker
from engine.services import Services

PROD = "eu-prod"
OLD = Digest.of(b"the bundle before")
REQUESTER = Asker(user="ci-demo", service=True)
OPERATOR = "ana.li"
NOTES = ("WARN feed NVD is 3 h old", "WARN runtime reachability covers 35 %")


class Play:
    """One promotion, moved on by the events that an engine would record."""

    def __init__(self, house: Services, bundle: Digest) -> None:
        self.house = house
        self.run_id = house.service.promote(bundle, PROD, REQUESTER).run_id

    @property
    def run(self) -> Run:
        return self.house.store.run(self.run_id)

    def record(self, *events: Event, rows: Sequence[GateTick] = (), actor: str = "engine") -> None:
        self.house.store.append(self.run_id, events, after=self.run.version, actor=actor, rows=rows)

    def start(self, step: str) -> int:
        number = len(self.run.step(step).attempts) + 1
        self.record(StepStarted(step=step, attempt=number, op_id=f"{self.run_id}/{step}/{number}"))
        self.log(step, "info", f"{step} begins")
        return number

    def capture(self, step: str, name: str) -> None:
        number = len(self.run.step(step).attempts)
        envelope = self.house.store.blobs.put(f"{self.run_id} {step} {name}".encode())
        self.record(
            EvidenceCaptured(
                step=step,
                attempt=number,
                seq=self.run.evidence_count + 1,
                name=f"steps/{step}/{name}",
                envelope=envelope,
                payload=envelope,
                log_index=self.run.evidence_count,
                files=(NamedDigest(name=name, digest=envelope),),
            )
        )

    def log(self, step: str, level: str, text: str, target: str = "") -> None:
        line = StepLog(
            run_id=self.run_id,
            step=step,
            attempt=max(1, len(self.run.step(step).attempts)),
            ts_us=self.house.clock.now_us(),
            level=level,
            target=target,
            text=text,
        )
        self.house.store.logs((line,))

    def inputs(self) -> None:
        run = self.run
        self.record(RunStarted(via="lock_acquired", epoch=1))
        self.start("inputs")
        facts = tuple(TargetFact(target=t, digest=OLD, healthy=True) for t in run.request.targets)
        cohorts = tuple(
            StageCohort(
                step=s.id,
                targets=cohort(
                    run.request.targets, share_bp=s.spec.share_bp, minimum=s.spec.min_targets
                ),
            )
            for s in run.steps
            if s.spec.kind is StepKind.DEPLOY
        )
        plan = rollout_plan_digest(tuple((c.step, c.targets) for c in cohorts), run.bundle)
        resolved = self.house.store.blobs.put(b"resolved inputs of " + self.run_id.encode())
        fact = InputFact(name="db", path="env:DB_PASSWORD", version="1", value_hmac="0" * 64)
        self.record(
            TargetsObserved(purpose="baseline", targets=facts),
            RolloutPlanned(cohorts=cohorts, plan=plan, rollback=plan, irreversible=()),
            InputsMaterialized(
                step="inputs", attempt=1, inputs=(fact,), components=3, resolved=resolved
            ),
            StepSucceeded(
                step="inputs",
                attempt=1,
                result="RESOLVED",
                summary="environment 1 resolved, 3 artifacts re-hashed, 0 missing",
                outputs=(NamedDigest(name="resolved-inputs.json", digest=resolved),),
            ),
        )
        self.capture("inputs", "resolved-inputs.dsse")

    def gate(self) -> None:
        self.start("gate-eval")
        blob = self.house.store.blobs.put(b"verdict of " + self.run_id.encode())
        self.record(
            PolicyEvaluated(
                step="gate-eval",
                attempt=1,
                verdict_id=f"verdict-{self.run.number}",
                decision="PASS",
                warn=2,
                fail=0,
                error=False,
                verdict=blob,
                policy=self.run.request.policy_digest,
                policy_input=blob,
                capsule=blob,
                notes=NOTES,
            ),
            StepSucceeded(
                step="gate-eval", attempt=1, result="PASS (2 WARN)", summary="; ".join(NOTES)
            ),
        )
        self.capture("gate-eval", "policy-decision.dsse")

    def ask(self) -> None:
        self.start("approval")
        approvers.see(self.house.outside, self.run, "approval", 1)
        waiting = StepWaiting(step="approval", attempt=1, reason="waits for 0 of 2 approvals")
        expires_us = self.house.clock.now_us() + 3_600_000_000
        asked = ApprovalRequested(
            via="approval_required",
            step="approval",
            attempt=1,
            binding=binding(self.run),
            expires_us=expires_us,
        )
        self.record(waiting, asked)

    def approve(self, *people: str) -> None:
        for person in people:
            command = Command(
                action=Action.APPROVE, reason="seen and accepted", binding=self.run.binding
            )
            self.house.service.ask(self.run_id, command, Asker(user=person))
        names = ", ".join(people)
        done = StepSucceeded(
            step="approval", attempt=1, result="APPROVED", summary=f"approved by {names}"
        )
        self.record(done, RunResumed(via="quorum_met", reason=f"approved by {names}"))

    def apply(self, step: str) -> None:
        run, number = self.run, self.start(step)
        sets = tuple(
            TargetSet(
                step=step,
                attempt=number,
                target=target,
                outcome="changed",
                from_digest=OLD,
                to_digest=run.bundle,
                digest=run.bundle,
                healthy=True,
                note="",
                duration_ms=420,
            )
            for target in run.cohort(step)
        )
        assert run.plan is not None
        applied = StageApplied(step=step, attempt=number, plan=run.plan, changed=len(sets), noop=0)
        self.record(*sets, applied)

    def watch(self, step: str, polls: int, *, errors: int = 1, requests: int = 400) -> None:
        """Health ticks of `polls` polls, judged by the real gate, with the samples beside them."""
        run = self.run
        state, targets = run.step(step), run.cohort(step)
        criteria = criteria_from_document(json.loads(state.spec.gate))
        poll_ms = state.spec.poll_ms
        mark = ticks.start_mark(
            criteria, poll_ms=poll_ms, history=(), history_note="none", carry=None
        )
        rows = [self._row(step, 1, 0, mark, "start", 0, "")]
        gate = ticks.gate_of(mark)
        said = None
        for n in range(1, polls + 1):
            tick = {
                "t": n * poll_ms / 1000,
                "status": "ok",
                "note": "",
                "canary": {"requests": requests, "errors": errors, "slow": 2},
                "baseline": {"requests": requests * 9, "errors": errors * 9, "slow": 20},
                "baseline_targets": [],
                "targets": dict.fromkeys(targets, True),
            }
            gate.observe(tick)
            row = self._row(
                step, n + 1, n * poll_ms, ticks.encode(tick), gate.action, gate.rule, gate.reason
            )
            rows.append(row)
            self._samples(row, targets, requests, errors)
            said = gate
        self.house.store.record(rows)
        if said is not None:
            series = {"rows": len(rows), "digest": str(ticks.series_digest(rows))}
            document = {"decision": said.evidence, "series": series}
            evidence = self.house.store.blobs.put(canonical(document))
            self.record(
                GateDecided(
                    step=step,
                    attempt=1,
                    action=said.action,
                    rule=said.rule,
                    reason=said.reason,
                    t_ms=polls * poll_ms,
                    ticks=polls,
                    evidence=evidence,
                )
            )

    def _row(
        self, step: str, n: int, t_ms: int, tick: str, action: str, rule: int, reason: str
    ) -> GateTick:
        return GateTick(
            run_id=self.run_id,
            step=step,
            attempt=1,
            n=n,
            t_ms=t_ms,
            ts_us=self.house.clock.now_us() + t_ms * 1000,
            tick=tick,
            action=action,
            rule=rule,
            reason=reason,
        )

    def _samples(self, row: GateTick, canary: Sequence[str], requests: int, errors: int) -> None:
        self.house.store.samples(
            [
                Sample(
                    ts_us=row.ts_us,
                    run_id=self.run_id,
                    step=row.step,
                    attempt=1,
                    target=target,
                    arm="canary" if target in canary else "baseline",
                    requests=requests,
                    errors=errors,
                    slow=1,
                    p95_ms=40 if target in canary else 30,
                    healthy=True,
                    digest=None,
                )
                for target in self.run.request.targets
            ]
        )

    def pass_stage(self, step: str) -> None:
        done = StepSucceeded(step=step, attempt=1, result="PROMOTED", summary="criteria met")
        self.record(done)
        self.capture(step, "deploy-attestation.dsse")

    def seal(self) -> None:
        self.record(RunSucceeded(via="all_steps_done"))
        self.start("seal")
        chain = self.house.store.blobs.put(b"chain of " + self.run_id.encode())
        self.record(
            EvidenceSealed(count=self.run.evidence_count, chain=chain, log_index=9, files=()),
            StepSucceeded(step="seal", attempt=1, result="SEALED", summary="proof chain sealed"),
        )
        self.record(RunSealed(via="sealed", seal_status="SEALED"))


def bundle(house: Services, folder: Path, version: str) -> Digest:
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / f"platform-{version}.json"
    artifact.write_text(f'{{"version": "{version}"}}')
    files = BundleFiles(name="Platform Release", version=version, components=(artifact,))
    return house.catalog.create(files, actor="dev.eva").digest


def succeeded(house: Services, digest: Digest) -> str:
    play = Play(house, digest)
    play.inputs()
    play.gate()
    play.ask()
    play.approve("bob.smith", "carol.wu")
    play.capture("approval", "approval.dsse")
    for step in [s.id for s in play.run.steps if s.spec.kind is StepKind.DEPLOY]:
        play.apply(step)
        play.watch(step, 6)
        play.pass_stage(step)
    verify = next(s.id for s in play.run.steps if s.spec.kind is StepKind.VERIFY)
    play.start(verify)
    play.pass_stage(verify)
    play.seal()
    return play.run_id


def in_canary(house: Services, digest: Digest, *, polls: int = 4) -> str:
    play = Play(house, digest)
    play.inputs()
    play.gate()
    play.ask()
    play.approve("bob.smith", "carol.wu")
    play.capture("approval", "approval.dsse")
    step = next(s.id for s in play.run.steps if s.spec.kind is StepKind.DEPLOY)
    play.apply(step)
    if polls:
        play.watch(step, polls)
    return play.run_id


def awaiting(house: Services, digest: Digest) -> str:
    play = Play(house, digest)
    play.inputs()
    play.gate()
    play.ask()
    return play.run_id


def pause(house: Services, run_id: str) -> None:
    command = Command(action=Action.PAUSE, reason="incident 1234: looking at latency")
    house.service.ask(run_id, command, Asker(user=OPERATOR))
