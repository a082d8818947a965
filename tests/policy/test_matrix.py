"""One verdict, whoever evaluates: fresh processes, hash seeds, both engines, three forms.

Each engine and seed is a process of its own that evaluates every input and prints the digests.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.core.bundle import Attachment, Bundle, Component
from engine.core.digest import Digest
from engine.core.jcs import canonical
from engine.gate_eval_sources import FeedNamed, GateSources, document_of
from engine.inputs.feeds import read_feeds
from engine.policy.document import gate_input
from tests.shell.gate_house import FRESH, House

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
SEEDS = ("0", "1", "4711", "random")
FORMS = ("combined", "per-rule", "host-loop")

CELL = """
import json, sys
from pathlib import Path
from engine.policy.compile import compile_policy
from engine.policy.crosscheck import crosscheck_verdict
from engine.policy.document import gate_input
from engine.policy.evaluate import Form, evaluate_policy
from engine.policy.model import load_policy

folder, engine = Path(sys.argv[1]), sys.argv[2]
policy = load_policy((folder / "policy.yaml").read_bytes(), (folder / "config.json").read_bytes())
compiled = compile_policy(policy)
documents = [json.loads(line) for line in (folder / "inputs.jsonl").read_text("utf-8").splitlines()]

def digest(document, form):
    if engine == "cpp":
        return str(evaluate_policy(compiled, gate_input(document), form=form).verdict.digest)
    return str(crosscheck_verdict(policy.blob, document, form=form).digest)

forms = [Form(name) for name in sys.argv[3:]]
print(json.dumps({form.value: [digest(one, form) for one in documents] for form in forms}))
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
    """Documents that Gate Eval makes of the shipped advisories and of real SBOMs."""
    feeds = folder / "feeds"
    House._copy(ROOT / "examples" / "advisories", feeds)
    write_index(feeds, FRESH)
    snapshots = FeedsDir(feeds).snapshots()
    facts = read_feeds(snapshots)
    found = []
    for path in sorted((ROOT.parent / "shared" / "data" / "sbom").glob("*.json"))[:6]:
        digest = Digest.of(path.read_bytes())
        bundle = Bundle(
            name="app",
            version="1",
            components=(
                Component(name="app", digest=digest, size=1, media_type="application/json"),
            ),
            attachments=(
                Attachment(
                    kind="sbom",
                    component="",
                    digest=digest,
                    size=1,
                    media_type="application/json",
                ),
            ),
        )
        blobs = {digest: path.read_bytes(), bundle.digest: bundle.manifest()}
        sources = GateSources(
            now_s=max(FRESH.values()) + 60,
            kind="PROMOTE",
            environment="eu-prod",
            region="EU-West",
            bundle=bundle.digest,
            pinned=(),
            feeds=tuple(
                FeedNamed(name=one.name, digest=one.digest, as_of_s=one.as_of_s)
                for one in snapshots
            ),
            baseline=(),
            baseline_unknown=0,
            runtime=None,
        )
        document = document_of(sources, blobs.__getitem__, facts).document
        if len(document["components"]) < 400:
            found.append(document)
    return found


def digests(folder: Path, engine: str, seed: str, forms: Sequence[str] = FORMS) -> dict[str, Any]:
    """Of every input, in order, by form; out of one fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", CELL, str(folder), engine, *forms],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_every_cell_gives_the_same_verdicts(folder: Path) -> None:
    first = digests(folder, "cpp", "0", ["combined"])["combined"]
    assert len(first) == len((folder / "inputs.jsonl").read_text().splitlines())
    assert len(set(first)) > 15, "the inputs hardly differ"
    cells: list[tuple[str, str, Sequence[str]]] = [("cpp", seed, FORMS) for seed in SEEDS]
    cells += [("rust", "random", FORMS), ("rust", "1", ("per-rule",))]
    for cell in cells:
        for form, found in digests(folder, *cell).items():
            assert found == first, (cell, form)
