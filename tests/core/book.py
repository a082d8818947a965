"""A wish, people, and a log under construction: what the tests of the core begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.core import step_times, step_wishes
from engine.core.approvals import Actor
from engine.core.commands import Action, Command, Now, Window
from engine.core.digest import Digest
from engine.core.events import Event, Recorded
from engine.core.run import evolve
from engine.core.run_events import (
    RunRequested,
)
from engine.core.spec import ApprovalGroup, ApprovalRule, StepKind, StepSpec
from engine.core.standing import Standing
from engine.core.state import Run
from engine.core.statemachine import Role

OLD, NEW, OTHER = Digest.of(b"old"), Digest.of(b"new"), Digest.of(b"other")
D = Digest.of(b"any")
TARGETS = tuple(f"t-{n:02d}" for n in range(1, 5))
GATE = '{"any":"gate"}'

PEOPLE = {
    "ana": Actor(user="ana", roles=frozenset({Role.RELEASE_MANAGER, Role.SRE})),
    "mia": Actor(user="mia", roles=frozenset({Role.RELEASE_MANAGER})),
    "sam": Actor(user="sam", roles=frozenset({Role.SRE})),
    "bob": Actor(user="bob", roles=frozenset({Role.APPROVER})),
    "carol": Actor(user="carol", roles=frozenset({Role.APPROVER, Role.AUDITOR})),
    "author": Actor(user="author", roles=frozenset({Role.APPROVER})),
    "root": Actor(user="root", roles=frozenset({Role.ADMIN})),
    "eve": Actor(user="eve", roles=frozenset({Role.VIEWER})),
    "nobody": Actor(user="nobody", roles=frozenset()),
    "bot": Actor(user="bot", roles=frozenset({Role.APPROVER, Role.CI}), service=True),
}

# As the settings of their house would say: a token of a machine holds no role there.
APPROVERS = ("author", "bob", "carol")


def steps(
    *, idempotent: bool = True, on_failure: str = "pause", gate: str = GATE
) -> tuple[StepSpec, ...]:
    def deploy(name: str, share_bp: int) -> StepSpec:
        return StepSpec(
            id=name,
            kind=StepKind.DEPLOY,
            name=f"Deploy {name}",
            share_bp=share_bp,
            min_targets=1,
            poll_ms=5_000,
            gate=gate,
            on_failure=on_failure,
            idempotent=idempotent,
        )

    return (
        StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs", on_failure=on_failure),
        StepSpec(id="gate-eval", kind=StepKind.GATE_EVAL, name="Gate Eval"),
        StepSpec(id="approval", kind=StepKind.APPROVAL, name="Approval"),
        deploy("canary", 2_500),
        deploy("full", 10_000),
        StepSpec(
            id="verify", kind=StepKind.VERIFY, name="Verify", poll_ms=5_000, gate=gate,
            on_failure="rollback",
        ),
        StepSpec(id="seal", kind=StepKind.SEAL, name="Seal"),
    )  # fmt: skip


def request(
    *,
    number: int = 1,
    specs: tuple[StepSpec, ...] | None = None,
    min_approvals: int = 1,
    groups: tuple[ApprovalGroup, ...] = (),
    on_breach: str = "rollback",
    initial: str = "QUEUED",
) -> RunRequested:
    return RunRequested(
        number=number,
        kind="PROMOTE",
        bundle=NEW,
        bundle_name="app",
        bundle_version="2.0",
        bundle_authors=("author",),
        region="EU",
        environment="prod",
        promotes_from="stage",
        workflow="w",
        workflow_digest=D,
        policy="p",
        policy_digest=D,
        config_digest=D,
        steps=specs or steps(),
        targets=TARGETS,
        approval=ApprovalRule(
            rule_id="prod/approval",
            min_approvals=min_approvals,
            groups=groups,
            expires_after_s=3_600,
        ),
        on_breach=on_breach,
        speed=1,
        initial=initial,
    )


@dataclass
class Book:
    """A log under construction and the run folded from it.

    `whole`: lengths of the log at which no append is half done; only these are ever stored.
    """

    request: RunRequested
    requested_by: str = "ci"
    log: list[Recorded] = field(default_factory=list)
    run: Run | None = None
    now_us: int = 1_000_000_000
    whole: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.append((self.request,), actor=self.requested_by)

    @property
    def current(self) -> Run:
        assert self.run is not None
        return self.run

    def append(self, events: Sequence[Event], *, actor: str = "engine") -> None:
        for event in events:
            recorded = Recorded(
                gseq=len(self.log) + 1,
                stream="run-1",
                seq=len(self.log) + 1,
                ts_us=self.now_us,
                actor=actor,
                command_id="",
                event=event,
                prev=D,
                hash=D,
            )
            self.run = evolve(self.run, recorded)
            self.log.append(recorded)
            self.now_us += 1_000
        self.whole.append(len(self.log))


def command(run: Run, action: Action, *, reason: str = "because") -> Command:
    ticket = "INC-1" if action is Action.BREAK_GLASS else ""
    window: Window | None = None
    steps_meant = [step for step in run.steps if step_times.wish(step) is not None]
    if action in {Action.SCHEDULE_STEP, Action.RESCHEDULE}:
        # Behind every other time, for the last step that may have one.
        steps_meant = list(step_wishes.schedulable(run))
        start_us = run.updated_us + 10**12
        end_us = start_us + 3_600_000_000
        window = Window(start_us=start_us, end_us=end_us, time_zone="UTC", local="later")
    timed = action in {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}
    return Command(
        action=action,
        reason=reason,
        ticket=ticket,
        binding=run.binding,
        nonce="n",
        confirm=run.run_id,
        window=window,
        step=steps_meant[-1].id if timed and steps_meant else "",
    )


def knows(run: Run, now_us: int) -> Now:
    """The moment of a decision, as a shell would know it: the gate's word is all that is seen."""
    step = run.current_step
    met = step is not None and step.gate is not None and step.gate.action == "continue"
    return Now(
        now_us=now_us,
        unmet=() if met else ("118 of 300 requests in 5m",),
        unhealthy=(),
        start=(),
        standing=Standing() if run.terminal else None,
    )
