"""The demo played for real: server, fleet, router, load and people; with --long every scenario."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.product import ROOT, SPEED, environment, free_port, marked, releaseline

pytestmark = pytest.mark.journey


ENDS = {
    "healthy": "SUCCEEDED",
    "canary-regression": "ROLLED_BACK",
    "gate-fail": "REJECTED",
    "no-traffic": "FAILED",
}
WORDS = (
    "PASS (2 WARN, 0 FAIL)",
    "bob.smith approved",
    "carol.wu approved",
    "Health gate of canary-10",
    "Outcome SUCCEEDED",
    "The run is sealed.",
)


class Shown(NamedTuple):
    """`ends`: how each scenario that was played has to end."""

    home: Path
    ends: dict[str, str]
    code: int
    text: str
    left: list[int]


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest) -> Iterator[Shown]:
    """The healthy one, or all four scenarios, one after another, on one home."""
    home = Path(tempfile.mkdtemp(prefix="rl-demo-"))
    scenario = "all" if request.config.getoption("--long") else "healthy"
    ends = {name: end for name, end in ENDS.items() if scenario in {name, "all"}}
    words = ["demo", "--once", "--scenario", scenario, "--speed", str(SPEED)]
    done = subprocess.run(
        [sys.executable, "-m", "engine", *words, "--home", str(home), "--port", str(free_port())],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    yield Shown(home, ends, done.returncode, done.stdout, marked(home))
    shutil.rmtree(home, ignore_errors=True)


def test_every_scenario_goes_as_it_should(shown: Shown) -> None:
    assert shown.code == 0, shown.text[-4000:]
    for name, ending in shown.ends.items():
        assert re.search(rf"^== {name}: run-\d is {ending} after", shown.text, re.MULTILINE), name


def test_no_process_is_left(shown: Shown) -> None:
    assert shown.left == []


def test_the_story_tells_every_checkpoint(shown: Shown) -> None:
    back, refused = ("rolled back", "Rollback verified"), ("langflow",)
    more = {"canary-regression": back, "gate-fail": refused}
    for words in (*WORDS, *(word for name in shown.ends for word in more.get(name, ()))):
        assert words in shown.text, words


def _packs(shown: Shown) -> list[Path]:
    return sorted((shown.home / "exports").glob("run-*/*"))


def test_every_pack_verifies_without_the_home(shown: Shown, tmp_path: Path) -> None:
    packs = _packs(shown)
    assert len(packs) == len(shown.ends)
    for pack in packs:
        alone = tmp_path / pack.parent.name / pack.name
        alone.parent.mkdir()
        shutil.copy(pack, alone)
        root = shutil.copy(shown.home / "trusted_root.json", tmp_path / "handed-over.json")
        done = releaseline("verify", str(alone), "--trusted-root", str(root))
        assert done.returncode == 0, done.stdout + done.stderr


def test_one_changed_byte_is_refused(shown: Shown, tmp_path: Path) -> None:
    pack = next(path for path in _packs(shown) if path.name == "audit-pack.tar.gz")
    inside = tmp_path / "inside"
    with tarfile.open(pack) as archive:
        archive.extractall(inside)
    victim = next(path for path in sorted(inside.rglob("story.txt")))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    done = releaseline("verify", str(inside))
    assert done.returncode == 21
    assert "story.txt" in done.stdout + done.stderr
    whole = bytearray(pack.read_bytes())
    whole[len(whole) // 2] ^= 1
    changed = tmp_path / pack.name
    changed.write_bytes(bytes(whole))
    assert releaseline("verify", str(changed)).returncode == 21


def test_the_home_is_consistent_afterwards(shown: Shown) -> None:
    done = releaseline(
        "fsck",
        "--home",
        str(shown.home),
        RELEASELINE_KEY_PASSPHRASE_FILE=str(shown.home / "keys" / "passphrase"),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_secret_value_is_stored(shown: Shown) -> None:
    planted = (b"demo-database-password", b"demo-api-token")
    for path in shown.home.rglob("*"):
        inside_inputs = "inputs" in path.relative_to(shown.home).parts
        if path.is_file() and not path.is_symlink() and not inside_inputs:
            content = path.read_bytes()
            assert not any(secret in content for secret in planted), path
