"""verify.sh over real packs, good and changed: a shell, sed, openssl and the core utilities."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from engine import keystore
from engine.core.digest import Digest
from engine.evidence import verify
from tests.evidence.conftest import Played
from tests.evidence.kit import RUN, unpacked, world

SCRIPT = Path(verify.__file__).with_name("verify.sh")
TOOLS = ("sh", "sed", "openssl", "sha256sum", "base64")

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(
        any(shutil.which(tool) is None for tool in TOOLS),
        reason=f"needs {', '.join(TOOLS)}, which the base system has",
    ),
]


def lay_out(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def run(folder: Path, *before: str, shell: str = "sh") -> tuple[int, str]:
    """Exit code and what was said, with the script that ships and nothing of the environment."""
    done = subprocess.run(
        [shell, str(SCRIPT), *before, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def summed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with a list that fits them; its signature is the old one."""
    rest = {n: c for n, c in files.items() if n not in {"SHA256SUMS", "SHA256SUMS.sigstore.json"}}
    lines = (f"{Digest.of(rest[name]).hex}  {name}\n" for name in sorted(rest))
    return {**files, "SHA256SUMS": "".join(lines).encode()}


@pytest.mark.parametrize("shell", ["sh", pytest.param("bash", marks=pytest.mark.long)])
def test_a_whole_pack_is_verified(rolled_back: Played, tmp_path: Path, shell: str) -> None:
    root = tmp_path / "trusted_root.json"
    root.write_bytes(rolled_back.trusted)
    folder = lay_out(unpacked(rolled_back.audit), tmp_path / "pack")
    code, said = run(folder, "-r", str(root), shell=shell)
    assert code == 0 and "FAILED" not in said, said
    items = sum(name.endswith(".dsse") and name.startswith("steps/") for name in _names(folder))
    assert f"{items} items" in said and "Trust began inside" not in said
    assert "transparency log" in said  # what it cannot tell, it says
    assert not [path for path in folder.rglob("*") if path.name.startswith("tmp")]


def test_the_other_kinds_of_pack(rejected: Played, tmp_path: Path) -> None:
    bundle = lay_out(unpacked(rejected.bundle), tmp_path / "bundle")
    code, said = run(bundle)
    assert code == 0, said
    assert Digest.of(rejected.trusted).hex in said  # to be compared, since nothing was given
    one = rejected.world
    one.sealer.annotate(RUN, "one", {"mail.txt": b"good"}, actor="bob")
    added = unpacked(one.sealer.export(RUN, "addenda", actor="ana")[1])
    code, said = run(lay_out(added, tmp_path / "addenda"))
    assert code == 0 and "bob.smith" in said, said


def test_a_partial_pack_says_so(tmp_path: Path) -> None:
    one = world(tmp_path / "home")
    one.play(until=lambda run: run.evidence_count == 2)
    files = unpacked(one.sealer.export(RUN, "partial", actor="ana")[1])
    one.store.close()
    code, said = run(lay_out(files, tmp_path / "pack"))
    assert code == 0 and "PARTIAL" in said, said
    whole = lay_out({**files, "proof-chain.json": b"{}"}, tmp_path / "more")
    assert run(whole)[0] == 1


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def part(bundle: bytes, pattern: str) -> bytes:
    """The bundle with one letter of a base64 part changed.

    Near its end: the middle of a token is the certificate that rides along, which nobody signed
    over and nobody needs.
    """
    found = re.search(pattern, bundle.decode())
    assert found is not None
    middle = found.end(1) - 24
    letter = b"A" if bundle[middle : middle + 1] != b"A" else b"B"
    return bundle[:middle] + letter + bundle[middle + 1 :]


GATE = "steps/02-gate-eval/policy-decision"
PARTS = {
    "payload": r'"payload":"([^"]*)"',
    "signature": r'"sig":"([^"]*)"',
    "certificate": r'"certificate":\{"rawBytes":"([^"]*)"',
    "token": r'"signedTimestamp":"([^"]*)"',
}


@pytest.mark.parametrize("which", sorted(PARTS))
@pytest.mark.parametrize(
    "name",
    ["SHA256SUMS.sigstore.json", pytest.param(f"{GATE}.sigstore.json", marks=pytest.mark.long)],
)
def test_a_changed_part_of_a_bundle(
    rejected: Played, tmp_path: Path, which: str, name: str
) -> None:
    files = unpacked(rejected.audit)
    changed = summed({**files, name: part(files[name], PARTS[which])})
    changed["SHA256SUMS.sigstore.json"] = (
        changed[name] if name.startswith("SHA") else files["SHA256SUMS.sigstore.json"]
    )
    code, said = run(lay_out(changed, tmp_path / "pack"))
    assert code == 1 and f"FAILED  {name}" in said, said


def _dropped(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith(GATE)}


def _swapped(files: dict[str, bytes]) -> dict[str, bytes]:
    """Envelope and bundle of one item in the place of another's."""
    other = "steps/01-inputs/resolved-inputs"
    ends = (".dsse", ".sigstore.json")
    return files | {f"{GATE}{end}": files[f"{other}{end}"] for end in ends}


TAMPERED: Mapping[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a flipped byte in the story": lambda f: f | {"story.txt": flip(f["story.txt"], 40)},
    "another story, listed anew": lambda f: summed(f | {"story.txt": b"All was well.\n"}),
    "a file that is not listed": lambda f: f | {"steps/02-gate-eval/more.json": b"{}"},
    "a file more, listed anew": lambda f: summed(f | {"steps/02-gate-eval/more.json": b"{}"}),
    "an item dropped": _dropped,
    "an item dropped, listed anew": lambda f: summed(_dropped(f)),
    "two items swapped, listed anew": lambda f: summed(_swapped(f)),
    "no proof chain": lambda f: summed({n: c for n, c in f.items() if "proof-chain" not in n}),
    "no signature": lambda f: {n: c for n, c in f.items() if n != "SHA256SUMS.sigstore.json"},
    "a path that leaves the folder": lambda f: (
        f | {"SHA256SUMS": f["SHA256SUMS"] + b"0" * 64 + b"  ../x\n"}
    ),
    "an envelope that is not the bundle's": lambda f: summed(
        f | {f"{GATE}.dsse": f["steps/01-inputs/resolved-inputs.dsse"]}
    ),
    "another manifest": lambda f: summed(f | {"release-bundle.manifest.json": b"{}"}),
}


@pytest.mark.parametrize("how", sorted(TAMPERED))
def test_a_changed_pack_is_refused(rejected: Played, tmp_path: Path, how: str) -> None:
    files = TAMPERED[how](unpacked(rejected.audit))
    code, said = run(lay_out(files, tmp_path / "pack"))
    assert code == 1 and "FAILED" in said and "Verified:" not in said, said


def test_a_link_is_refused(rejected: Played, tmp_path: Path) -> None:
    folder = lay_out(unpacked(rejected.audit), tmp_path / "pack")
    (folder / "story.txt").rename(tmp_path / "story.txt")
    (folder / "story.txt").symlink_to(tmp_path / "story.txt")
    code, said = run(folder)
    assert code == 1 and "story.txt: expected a regular file, found a link" in said


def test_another_trust_root_vouches_for_nothing(rejected: Played, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.json"
    foreign.write_bytes(keystore.create(tmp_path / "other", "x").trusted_root)
    folder = lay_out(unpacked(rejected.audit), tmp_path / "pack")
    code, said = run(folder, "-r", str(foreign))
    assert code == 1 and "SHA256SUMS.sigstore.json" in said


def test_wrong_use_is_told_from_a_bad_pack(tmp_path: Path) -> None:
    assert run(tmp_path / "nowhere")[0] == 2
    assert run(tmp_path, "-r", str(tmp_path / "nothing.json"))[0] == 2
    assert run(tmp_path)[0] == 1


def test_the_script_is_the_same_in_every_pack(rejected: Played, rolled_back: Played) -> None:
    packs = (rejected.audit, rejected.bundle, rolled_back.audit)
    assert {unpacked(pack)["verify.sh"] for pack in packs} == {SCRIPT.read_bytes()}


def test_the_commands_of_the_readme_do_what_they_say(rejected: Played, tmp_path: Path) -> None:
    """The part of the README that needs openssl alone, run as it stands there."""
    folder = lay_out(unpacked(rejected.audit), tmp_path / "pack")
    lines = (folder / "README.txt").read_text().splitlines()
    start = lines.index("    B=SHA256SUMS.sigstore.json")
    commands = []
    for line in lines[start:]:
        if not line.startswith("    "):
            break
        commands.append(line.strip())
    document = json.loads((folder / "SHA256SUMS.sigstore.json").read_bytes())
    assert document["verificationMaterial"]["certificate"]["rawBytes"]
    at = rejected.run.ended_us or 0
    text = "set -e\n" + "\n".join(commands).replace("SECONDS", str(at // 1_000_000))
    done = subprocess.run(
        ["sh", "-c", text], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for told in ("Verified OK", "Verification: OK", "leaf.pem: OK"):
        assert told in done.stdout + done.stderr
