"""A whole small house over the real store, with only the outside simulated.

Real: journal, database, blobs, catalog, service, runner, watch, gate, policy desk, sealer.
Simulated: targets, metrics, secrets, feeds and time. A fuse can cut the power around any call to
the store, the blobs or the driver.
"""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data.store import Store
from engine import keystore
from engine.catalog import BundleFiles, Catalog
from engine.core.approvals import Actor
from engine.core.commands import Action, Command
from engine.core.data_health import Integration
from engine.core.digest import Digest
from engine.core.effects import next_effect
from engine.core.events import Recorded
from engine.core.health_criteria import Criteria
from engine.core.rescans import Standing
from engine.core.state import Run
from engine.core.statemachine import Role, RunStatus
from engine.evidence.imported import Anchor
from engine.freezing import Freezing
from engine.gate_now import GateNow
from engine.keystore_witness import begin_state
from engine.logbook import open_log
from engine.outside import Outside, Place
from engine.policy.model import Policy, load_policy
from engine.ports import FeedSource, SecretSource
from engine.runner import Runner
from engine.scheduling import Scheduling
from engine.scheduling_history import ScheduleHistory
from engine.scheduling_runs import ScheduleRuns
from engine.sealing import Sealer
from engine.service import Asker, Service
from engine.settings import (
    ApprovalConfig,
    DeclaredInput,
    DriverConfig,
    Environment,
    EvidenceConfig,
    FeedsConfig,
    Grant,
    MetricsConfig,
    Person,
    PolicyFiles,
    ServerConfig,
    Settings,
    Stage,
    Workflow,
)
from engine.starting import Starter
from engine.steps import observe
from engine.verdicts import PolicyDesk
from engine.waiving import Waiving
from engine.watch import Watcher
from tests.faults.outside_world import (
    OLD,
    TARGETS,
    Fuse,
    Fused,
    NoFeeds,
    PowerCut,
    SimClock,
    SimDriver,
    SimFleet,
    SimMetrics,
    SimSecrets,
)

__all__ = [
    "CRITERIA",
    "ENV",
    "OLD",
    "TARGETS",
    "Fuse",
    "PowerCut",
    "SimClock",
    "SimFleet",
    "SmallHouse",
    "policy",
    "session_keys",
    "settings",
]

EXAMPLES = Path(__file__).parents[2] / "examples"
ENV = "eu-prod"

DB_PASSWORD = DeclaredInput(name="DB_PASSWORD", scheme="env", path="DB_PASSWORD")
CRITERIA = Criteria(
    hold_ms=10_000, window_ms=10_000, requests_min=10, slow_requests_min=10, history_ms=30_000
)


@functools.cache
def session_keys() -> keystore.Keys:
    """Made once: stretching a passphrase is slow on purpose."""
    with tempfile.TemporaryDirectory() as home:
        return keystore.create(Path(home), "a passphrase", now_us=1_700_000_000_000_000)


def policy(*, passes: bool = True) -> Policy:
    """The shipped policy's head with one rule of our own."""
    text = (EXAMPLES / "release-gate.yaml").read_text()
    head = text[: text.index("rules:")]
    limit = 10 if passes else 0
    rule = (
        "rules:\n  - id: test.limit\n    level: FAIL\n    over: '[1]'\n"
        f"    all: ['it > {limit}']\n    subject: \"'limit'\"\n    detail: \"'over the limit'\"\n"
    )
    return load_policy((head + rule).encode(), (EXAMPLES / "release-gate.config.json").read_bytes())


def settings(
    home: Path,
    *,
    approvals: int = 0,
    on_breach: str = "rollback",
    trust: tuple[Anchor, ...] = (),
    inputs: tuple[DeclaredInput, ...] = (DB_PASSWORD,),
    queue: str = "fifo",
) -> Settings:
    def stage(name: str, share_bp: int) -> Stage:
        return Stage(name=name, share_bp=share_bp, min_targets=1, criteria=CRITERIA)

    files = PolicyFiles(
        name="release-gate",
        policy=EXAMPLES / "release-gate.yaml",
        config=EXAMPLES / "release-gate.config.json",
    )
    workflow = Workflow(
        name="w",
        digest=Digest.of(b"w"),
        poll_ms=5_000,
        metrics=MetricsConfig(type="router", url="", slow_over_ms=250),
        stages=(stage("canary-50", 5_000), stage("full-100", 10_000), stage("post-verify", 0)),
    )

    def environment(name: str) -> Environment:
        return Environment(
            name=name,
            region="EU-West",
            promotes_from="eu-stage",
            targets=TARGETS,
            driver=DriverConfig(kind="local-fleet"),
            workflow=workflow,
            policy=files,
            inputs=inputs,
            approval=ApprovalConfig(min_approvals=approvals),
            on_breach=on_breach,  # type: ignore[arg-type]
            queue=queue,  # type: ignore[arg-type]
        )

    roles = {
        "ana": (Role.RELEASE_MANAGER, Role.SRE),
        "mia": (Role.RELEASE_MANAGER,),
        "sam": (Role.SRE,),
        "bob": (Role.APPROVER,),
        "carol": (Role.APPROVER,),
        "eve": (Role.VIEWER,),
        "root": (Role.ADMIN,),
        "ci": (Role.CI,),
        "audrey": (Role.AUDITOR,),
        "pol": (Role.POLICY_AUTHOR,),
    }
    return Settings(
        home=home,
        digest=Digest.of(b"settings"),
        environments={ENV: environment(ENV), "us-prod": environment("us-prod")},
        policies={"release-gate": files},
        feeds=FeedsConfig(folder=home / "feeds"),
        server=ServerConfig(host="127.0.0.1", port=1, allowed_hosts=(), behind_proxy=False),
        evidence=EvidenceConfig(issuer="https://test.local", log_origin="test.local/log"),
        people={u: Person(user=u, email=f"{u}@test.local") for u in roles},
        grants={
            u: tuple(Grant(role=r, environments=None) for r in given) for u, given in roles.items()
        },
        trust=trust,
    )


class SmallHouse:
    """One life of the engine on a home; `reopen` is the next one."""

    def __init__(
        self,
        home: Path,
        keys: keystore.Keys,
        *,
        fuse: Fuse | None = None,
        fleet: SimFleet | None = None,
        clock: SimClock | None = None,
        gate: Policy | None = None,
        approvals: int = 0,
        on_breach: str = "rollback",
        trust: tuple[Anchor, ...] = (),
        inputs: tuple[DeclaredInput, ...] = (DB_PASSWORD,),
        secrets: Mapping[str, SecretSource] | None = None,
        queue: str = "fifo",
        feeds: FeedSource | None = None,
    ) -> None:
        self.home, self.keys = home, keys
        self.fuse, self.fleet = fuse or Fuse(), fleet or SimFleet()
        self.clock = clock or SimClock()
        self.settings = settings(
            home,
            approvals=approvals,
            on_breach=on_breach,
            trust=trust,
            inputs=inputs,
            queue=queue,
        )
        self.real = Store.open(home, clock=self.clock)
        self.store: Any = Fused(self.real, self.fuse, "store")
        self.catalog = Catalog(self.store)
        place = Place(
            driver=SimDriver(self.fleet, self.clock, self.fuse),
            metrics=SimMetrics(self.fleet, self.clock),
            runtime=None,
        )
        self.gate = gate or policy()
        self.outside = Outside(
            store=self.store,
            clock=self.clock,
            settings=self.settings,
            catalog=self.catalog,
            desk=PolicyDesk(
                policies=dict.fromkeys(self.settings.environments, self.gate),
                feeds=feeds or NoFeeds(),
                blobs=self.store.blobs,
                clock=self.clock,
            ),
            places=dict.fromkeys(self.settings.environments, place),
            secrets={"env": SimSecrets()} if secrets is None else secrets,
        )
        (home / "keys").mkdir(mode=0o700, exist_ok=True)
        begin_state(home)
        self.logbook = open_log(home, self.store, keys, issuer=self.settings.evidence.issuer)
        self.sealer = Sealer(self.outside, keys, log=self.logbook.log)
        numbering = threading.Lock()
        self.runs = ScheduleRuns(
            store=self.store,
            settings=self.settings,
            catalog=self.catalog,
            clock=self.clock,
            policy_digest=self.outside.desk.policy_digest,
            policy_authors=lambda _: (),
            speed=1,
            numbering=numbering,
        )
        self.scheduling = Scheduling(
            store=self.store,
            settings=self.settings,
            catalog=self.catalog,
            clock=self.clock,
            runs=self.runs,
            history=ScheduleHistory(
                self.store,
                feeds=lambda _: frozenset({"NVD"}),
                integrations=lambda _: frozenset({"vault"}),
            ),
            tokens=frozenset,
        )
        self.integrations: list[Integration] = []
        self.debt: list[tuple[str, str]] = []
        self.on_call: list[Integration] = []
        self.scans = Standing(bundles=0, missing=0, unseen=0, failed=0, environments=())
        self.starter = Starter(
            self.outside,
            integrations=lambda _: self.integrations,
            debt=lambda _: self.debt,
            scans=lambda _: self.scans,
            on_call=lambda: self.on_call,
            creator=self.scheduling.why_not_start,
        )
        self.runner = Runner(
            self.outside,
            sealer=self.sealer,
            watcher=Watcher(self.outside),
            starter=self.starter,
        )
        self.freezing = Freezing(self.store, self.settings, self.clock)
        self.waiving = Waiving(
            store=self.store,
            settings=self.settings,
            clock=self.clock,
            catalog=self.catalog,
            desk=self.outside.desk,
        )
        self.service = Service(
            store=self.store,
            settings=self.settings,
            catalog=self.catalog,
            policy_digest=self.outside.desk.policy_digest,
            speed=1,
            interrupt=self.outside.interrupts.raise_for,
            observe=functools.partial(observe, self.outside),
            now=GateNow(self.store, self.clock, start=self.starter.lacks),
            numbering=numbering,
        )

    def close(self) -> None:
        self.runs.stop()
        self.catalog.stop()
        self.real.close()

    def bundle(self, text: str = "new") -> Digest:
        folder = self.home / "artifacts"
        folder.mkdir(exist_ok=True)
        path = folder / "app.bin"
        path.write_text(text)
        files = BundleFiles(name="app", version=text, components=(path,))
        return self.catalog.create(files, actor="dev").digest

    def promote(self, *, command_id: str = "c-1", environment: str = ENV, by: str = "ci") -> Run:
        return self.service.promote(
            self.bundle(), environment, Asker(user=by), reason="test", command_id=command_id
        )

    def ask(self, run_id: str, action: Action, by: str, **fields: Any) -> None:
        fields = {"reason": "because", "confirm": run_id} | fields
        if action in {Action.APPROVE, Action.REJECT} and "binding" not in fields:
            fields["binding"] = self.real.run(run_id).binding
        self.service.ask(run_id, Command(action=action, **fields), Asker(user=by))

    def command(
        self, run_id: str, action: Action, by: str, command_id: str, **fields: Any
    ) -> tuple[Recorded, ...]:
        """Ask under an id, as a client does that may have to ask again."""
        wish = Command(action=action, **({"reason": "because", "confirm": run_id} | fields))
        return self.service.ask(run_id, wish, Asker(user=by), command_id=command_id)

    def drive(self, run_id: str, *, until: Callable[[Run], bool] | None = None) -> Run:
        """Advance until the run rests for people, has ended, or `until` holds."""
        for _ in range(300):
            wait_s = self.runner.advance(run_id)
            run = self.real.run(run_id)
            if run.terminal or (until is not None and until(run)):
                return run
            if wait_s is None or run.status in {RunStatus.PAUSED, RunStatus.AWAITING_APPROVAL}:
                return run
            self.clock.sleep(wait_s)
        raise AssertionError(f"{run_id} never rests: {self.real.run(run_id).status}")

    def one_by_one(self, run_id: str, until: Callable[[Run], bool]) -> Run:
        """Go on effect by effect, so that a test can stop in between."""
        for _ in range(100):
            run = self.real.run(run_id)
            if until(run):
                return run
            wait_s = self.runner._perform(run, next_effect(run, self.clock.now_us()))
            self.clock.sleep(wait_s or 0.0)
        raise AssertionError(f"{run_id} never got there: {self.real.run(run_id).status}")

    def actor(self, user: str) -> Actor:
        return self.service.actor(Asker(user=user), ENV)
