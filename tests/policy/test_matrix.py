"""One verdict, whoever evaluates: fresh processes, hash seeds, both engines, three forms.

Each cell of the matrix is a process of its own that evaluates every input and prints the digests.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.inputs.facts import BaselineFacts, SbomSource, coverage, gate_document
from engine.inputs.feeds import read_feeds
from engine.inputs.reachability import Runtime
from engine.inputs.sbom import read_sbom
from engine.policy.document import gate_input
from tests.shell.gate_house import FRESH, House

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
SEEDS = ("0", "1", "4711", "random")

CELL = """
import json, sys
from pathlib import Path
from engine.policy.compile import compile_policy
from engine.policy.crosscheck import crosscheck_verdict
from engine.policy.document import gate_input
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.model import load_policy

folder, engine, form = Path(sys.argv[1]), sys.argv[2], Form(sys.argv[3])
policy = load_policy((folder / "policy.yaml").read_bytes(), (folder / "config.json").read_bytes())
compiled = compile_policy(policy)
for line in (folder / "inputs.jsonl").read_text("utf-8").splitlines():
    document = json.loads(line)
    if engine == "cpp":
        found = evaluate_policy(compiled, gate_input(document), form=form).verdict
    else:
        found = crosscheck_verdict(policy.blob, document, form=form)
    print(found.digest)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped policy with generated inputs, and real ones where the data is beside us."""
    folder = tmp_path_factory.mktemp("matrix")
    examples = ROOT / "examples"
    (folder / "policy.yaml").write_bytes((examples / "release-gate.yaml").read_bytes())
    (folder / "config.json").write_bytes((examples / "release-gate.config.json").read_bytes())
    case = json.loads((examples / "release-gate.input.json").read_text())
    inputs = [case, *(generated(case, seed) for seed in range(24)), *real(folder)]
    lines = [canonical(dict(gate_input(one).document)).decode() for one in inputs]
    (folder / "inputs.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def generated(case: dict[str, Any], seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    document = copy.deepcopy(case)
    document["clock"]["evaluated_at_s"] += rng.randrange(-90_000, 4_000_000)
    template = document["findings"][0]
    document["findings"] = [
        {
            **template,
            "key": f"CVE-{n} {template['purl']}",
            "id": f"CVE-{n}",
            "severity": rng.choice(["UNKNOWN", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"]),
            "kev": rng.random() < 0.2,
            "epss_ppm": rng.choice([-1, 0, 199_999, 200_001]),
            "reach": rng.choice(["UNKNOWN", "CONFIRMED_REACHABLE", "CONTESTED", "UNREACHABLE"]),
            "new_since_baseline": rng.random() < 0.5,
        }
        for n in range(rng.randrange(12))
    ]
    for one in document["components"]:
        one["licenses"] = rng.choice([[], ["MIT"], ["AGPL-3.0-only"], ["Ünïcode-𝒜"]])
    document["feeds"] = rng.sample(document["feeds"], rng.randrange(len(document["feeds"]) + 1))
    for scan in document["scans"]:
        scan["status"] = rng.choice(["COMPLETE", "FAILED", "DEGRADED", "UNKNOWN"])
    return document


def real(folder: Path) -> list[dict[str, Any]]:
    """Documents that the engine makes of the shipped advisories and of real SBOMs."""
    feeds = folder / "feeds"
    House._copy(ROOT / "examples" / "advisories", feeds)
    write_index(feeds, FRESH)
    facts = read_feeds(FeedsDir(feeds).snapshots())
    from engine.core.bundle import Attachment, Bundle, Component  # noqa: PLC0415
    from engine.core.digest import Digest  # noqa: PLC0415

    found = []
    for path in sorted((ROOT.parent / "shared" / "data" / "sbom").glob("*.json"))[:6]:
        content = path.read_bytes()
        try:
            sbom = read_sbom(content, where=path.name)
        except Malformed:  # which ones can be read is another test's question
            continue
        digest = Digest.of(content)
        component = Component(name="app", digest=digest, size=1, media_type="application/json")
        attachment = Attachment(
            kind="sbom", component="", digest=digest, size=1, media_type="application/json"
        )
        bundle = Bundle(name="app", version="1", components=(component,), attachments=(attachment,),
                        created_by="ci")  # fmt: skip
        found.append(
            gate_document(
                now_s=max(FRESH.values()) + 60,
                kind="PROMOTE",
                bundle=bundle,
                environment="eu-prod",
                region="EU-West",
                baseline=BaselineFacts(known=False, bundle="", label=""),
                covered=coverage(bundle, {digest: SbomSource(digest=digest, sbom=sbom)}),
                feeds=facts,
                statements=(),
                runtime=Runtime(),
                scans=(),
            )
        )
    return [one for one in found if len(one["components"]) < 400]


def digests(folder: Path, engine: str, form: str, seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CELL, str(folder), engine, form],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_cell_gives_the_same_verdicts(folder: Path) -> None:
    first = digests(folder, "cpp", "combined", "0")
    assert len(first) == len((folder / "inputs.jsonl").read_text().splitlines())
    assert len(set(first)) > 15, "the inputs hardly differ"
    cells = [
        *(("cpp", form, seed) for form in ("combined", "per-rule", "host-loop") for seed in SEEDS),
        *(("rust", form, "random") for form in ("combined", "per-rule", "host-loop")),
        ("rust", "per-rule", "1"),
    ]
    for cell in cells[1:]:
        assert digests(folder, *cell) == first, cell
