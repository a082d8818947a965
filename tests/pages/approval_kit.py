"""Runs that wait for approval behind a verdict that the real gate gave, over made-up targets."""

from __future__ import annotations

import json
from pathlib import Path

from engine import gate_eval
from engine.adapters.feeds_dir import write_index
from engine.catalog import BundleFiles
from engine.core.digest import Digest
from engine.core.spec import StepKind
from engine.services import Services
from tests.pages import kit
from tests.shell.gate_house import sbom


class Judged(kit.Play):
    """A promotion that the policy gate of the house itself has judged."""

    def gate(self) -> None:
        number = self.start("gate-eval")
        gate_eval.evaluate(self.house.outside, self.run, "gate-eval", number)
        self.capture("gate-eval", "policy-decision.dsse")


def bundle(house: Services, folder: Path, version: str, *packages: str) -> Digest:
    """A bundle whose SBOM names these packages, `name@version`."""
    folder.mkdir(parents=True, exist_ok=True)
    artifact, parts = folder / "platform.json", folder / "platform.cdx.json"
    artifact.write_text(json.dumps({"version": version}))
    now_s = house.clock.now_us() // 1_000_000
    parts.write_bytes(sbom(*packages, generated_at_s=now_s - 60))
    files = BundleFiles(
        name="Platform Release", version=version, components=(artifact,), sboms=(parts,)
    )
    return house.catalog.create(files, actor="dev.eva").digest


def waiting(house: Services, digest: Digest) -> Judged:
    """Up to the question: inputs, verdict, and people are asked."""
    play = Judged(house, digest)
    play.inputs()
    play.gate()
    play.ask()
    return play


def live(house: Services, digest: Digest) -> str:
    """Approved, brought out and sealed: what is live from here on."""
    play = waiting(house, digest)
    play.approve("bob.smith", "carol.wu")
    for step in [s.id for s in play.run.steps if s.spec.kind is StepKind.DEPLOY]:
        play.apply(step)
        play.pass_stage(step)
    verify = next(s.id for s in play.run.steps if s.spec.kind is StepKind.VERIFY)
    play.start(verify)
    play.pass_stage(verify)
    play.seal()
    return play.run_id


def feeds(house: Services, **ages_s: int) -> None:
    """Date the feeds of the home anew."""
    now_s = house.clock.now_us() // 1_000_000
    write_index(house.home / "feeds", {name: now_s - age for name, age in ages_s.items()})
