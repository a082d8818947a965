"""A house whose policy gate really judged: its verdict has a capsule that can be asked again."""

from __future__ import annotations

import json
import time
from pathlib import Path

from engine import gate_eval, wiring
from engine.adapters.feeds_dir import write_index
from engine.catalog import BundleFiles
from engine.core.digest import Digest
from engine.core.spec import StepKind
from engine.homes import create_home
from engine.services import Services
from engine.settings import read_settings
from tests.pages import kit

PASSPHRASE = "a passphrase of the replay tests"
NOBODY = "people:\n  - user: nobody.knows\n    email: nobody.knows@example.com\n"
SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "version": 1,
    "components": [
        {
            "type": "library",
            "name": "jinja2",
            "version": "3.1.6",
            "purl": "pkg:pypi/jinja2@3.1.6",
            "bom-ref": "pkg:pypi/jinja2@3.1.6",
            "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        }
    ],
}


class Judged(kit.Play):
    """A promotion whose Gate Eval is the real one."""

    def gate(self) -> None:
        self.start("gate-eval")
        gate_eval.evaluate(self.house.outside, self.run, "gate-eval", 1)


def build(folder: Path) -> Services:
    """Built and not started: nothing steps here."""
    home = folder / "home"
    create_home(home, passphrase=PASSPHRASE)
    (home / "releaseline.d").mkdir()
    (home / "releaseline.d" / "people.yaml").write_text(NOBODY)
    now_s = int(time.time())
    write_index(home / "feeds", {"NVD": now_s - 3 * 3600, "OSV": now_s - 600, "KEV": now_s - 600})
    return wiring.build(read_settings(home), speed=15, passphrase=PASSPHRASE)


def bundle(house: Services, folder: Path, version: str, *, sbom: bool = True) -> Digest:
    """With an SBOM the policy lets it pass (with warnings), without one it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    artifact, described = folder / f"platform-{version}.json", folder / f"{version}.cdx.json"
    artifact.write_text(json.dumps({"version": version}))
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    described.write_text(json.dumps({**SBOM, "metadata": {"timestamp": made}}))
    files = BundleFiles(
        name="Platform Release",
        version=version,
        components=(artifact,),
        sboms=(described,) if sbom else (),
    )
    return house.catalog.create(files, actor="dev.eva").digest


def in_canary(house: Services, digest: Digest) -> str:
    """A run that was judged, approved and is watched in its first stage."""
    play = Judged(house, digest)
    play.inputs()
    play.gate()
    play.ask()
    play.approve("bob.smith", "carol.wu")
    step = next(s.id for s in play.run.steps if s.spec.kind is StepKind.DEPLOY)
    play.apply(step)
    play.watch(step, 4)
    return play.run_id
