"""A home with feeds, a policy, bundles and runs that stand before their gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from data.store import Store
from engine import gate_eval
from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.catalog import BundleFiles, Catalog
from engine.core.bundle import Bundle
from engine.core.digest import Digest
from engine.core.event_parts import TargetFact
from engine.core.fact_events import TargetsObserved
from engine.core.run import Run
from engine.core.run_events import RunRequested, RunStarted
from engine.core.spec import ApprovalRule, StepKind, StepSpec
from engine.core.step_events import StepStarted, StepSucceeded
from engine.outside import Outside, Place
from engine.policy.model import load_policy
from engine.ports import DeployDriver, MetricSource
from engine.ports_observed import RuntimeFacts
from engine.settings import Settings
from engine.verdicts import PolicyDesk

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOW_S = 1_771_403_460
FRESH = {"KEV": NOW_S - 3_600, "NVD": NOW_S - 10_800, "OSV": NOW_S - 60}
TARGETS = ("t-1", "t-2")
BLANK = Digest.of(b"")


class StoppedClock:
    def now_us(self) -> int:
        return NOW_S * 1_000_000

    def monotonic_s(self) -> float:
        return 0.0


@dataclass
class Targets:
    """Stands for running targets: what they report of themselves."""

    facts: Mapping[str, RuntimeFacts] = field(default_factory=dict)

    def observe(self, *, deadline_s: float) -> Mapping[str, RuntimeFacts]:
        return self.facts


def sbom(*packages: str, generated_at_s: int | None = NOW_S - 60, licence: str = "MIT") -> bytes:
    stamp = {} if generated_at_s is None else {"timestamp": _iso(generated_at_s)}
    components = [
        {
            "type": "library",
            "name": one.partition("@")[0],
            "version": one.partition("@")[2],
            "purl": f"pkg:pypi/{one}",
            "licenses": [{"license": {"id": licence}}],
        }
        for one in packages
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": stamp,
        "components": components,
    }
    return json.dumps(document).encode()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


PACKAGES = ("click@8.1.8", "idna@3.7", "jinja2@3.1.6", "markupsafe@3.0.2")


class House:
    """A home with feeds, a policy, bundles and one run that stands before its gate."""

    def __init__(self, home: Path, store: Store) -> None:
        self.store = store
        self.clock = StoppedClock()
        self.feeds = home / "feeds"
        self._copy(EXAMPLES / "advisories", self.feeds)
        write_index(self.feeds, FRESH)
        self.catalog = Catalog(store)
        self.home = home
        self.targets = Targets()
        self.policy = load_policy(
            (EXAMPLES / "release-gate.yaml").read_bytes(),
            (EXAMPLES / "release-gate.config.json").read_bytes(),
        )
        self.desk = PolicyDesk(
            policies={"eu-prod": self.policy},
            feeds=FeedsDir(self.feeds),
            blobs=store.blobs,
            clock=self.clock,
        )

    @staticmethod
    def _copy(source: Path, to: Path) -> None:
        for path in source.rglob("*"):
            if path.is_file():
                place = to / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())

    def outside(self) -> Outside:
        place = Place(
            driver=cast(DeployDriver, None), metrics=cast(MetricSource, None), runtime=self.targets
        )
        return Outside(
            store=self.store,
            clock=self.clock,
            settings=cast(Settings, None),
            catalog=self.catalog,
            desk=self.desk,
            places={"eu-prod": place},
            secrets={},
        )

    def bundle(self, version: str, *sboms: bytes, vex: bytes | None = None) -> Bundle:
        folder = self.home / f"made-{version}"
        folder.mkdir()
        (folder / "api.zip").write_bytes(f"api {version}".encode())
        (folder / "api.json").write_text(f'{{"of": "{version}"}}')
        for n, content in enumerate(sboms):
            (folder / f"{n}.cdx").write_bytes(content)
        if vex is not None:
            (folder / "vex").write_bytes(vex)
        files = BundleFiles(
            name="checkout",
            version=version,
            components=(folder / "api.zip", folder / "api.json"),
            sboms=tuple(folder / f"{n}.cdx" for n in range(len(sboms))),
            vex=() if vex is None else (folder / "vex",),
        )
        return self.catalog.create(files, actor="ci")

    def runs_before(self, bundle: Digest | None) -> tuple[TargetFact, ...]:
        return tuple(TargetFact(target=t, digest=bundle, healthy=True) for t in TARGETS)

    def run(self, bundle: Bundle, *, number: int = 1, before: Digest | None = None) -> Run:
        run_id = f"run-{number}"
        events: list[Any] = [
            _request(number, bundle, self.policy.digest),
            RunStarted(via="lock_acquired", epoch=number),
            StepStarted(step="inputs", attempt=1, op_id="i"),
            TargetsObserved(purpose="baseline", targets=self.runs_before(before)),
            StepSucceeded(step="inputs", attempt=1, result="RESOLVED", summary=""),
            StepStarted(step="gate-eval", attempt=1, op_id="g"),
        ]
        self.store.append(run_id, events, after=0, actor="engine")
        return self.store.run(run_id)

    def judge(self, run: Run, attempt: int = 1) -> Run:
        gate_eval.evaluate(self.outside(), run, "gate-eval", attempt)
        return self.store.run(run.run_id)


def _request(number: int, bundle: Bundle, policy: Digest) -> RunRequested:
    return RunRequested(
        number=number,
        kind="PROMOTE",
        bundle=bundle.digest,
        bundle_name=bundle.name,
        bundle_version=bundle.version,
        bundle_authors=("ci",),
        region="EU-West",
        environment="eu-prod",
        promotes_from="",
        workflow="w",
        workflow_digest=BLANK,
        policy="release-gate",
        policy_digest=policy,
        config_digest=BLANK,
        steps=(
            StepSpec(id="inputs", kind=StepKind.INPUTS, name="Inputs"),
            StepSpec(id="gate-eval", kind=StepKind.GATE_EVAL, name="Gate"),
            StepSpec(id="seal", kind=StepKind.SEAL, name="Seal"),
        ),
        targets=TARGETS,
        approval=ApprovalRule(rule_id="r", min_approvals=0),
        on_breach="rollback",
        speed=1,
        initial="QUEUED",
    )


def document_of(house: House, run: Run) -> dict[str, Any]:
    """The frozen document, put together again from the capsule's blobs."""
    assert run.verdict is not None
    capsule = json.loads(house.store.blobs.get(run.verdict.capsule))
    refs = {n: d for n, d in capsule["refs"].items() if n != "policy"}
    return {n: json.loads(house.store.blobs.get(Digest.parse(d))) for n, d in refs.items()}


def results_of(run: Run) -> tuple[str, ...]:
    assert run.verdict is not None
    return run.verdict.notes


def reports(digest: Digest, *observed: str, ships: tuple[str, ...] = PACKAGES) -> RuntimeFacts:
    return RuntimeFacts(
        digest=digest,
        components=tuple(f"pkg:pypi/{one}" for one in ships),
        observed=tuple(f"pkg:pypi/{one}" for one in observed),
    )
