"""The two commands' script: what it says where something is missing, and that shells read it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_TOOLS = ("sh", "dirname", "cmp", "mkdir", "flock", "id", "cp", "rm")


def _sh(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(words), cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the script and what it reads, set up by nobody; PATH holds a few tools only."""
    place = tmp_path / "a checkout"
    place.mkdir()
    for name in ("run", "requirements.lock", "requirements-dev.lock", "requirements-tools.lock"):
        shutil.copy(ROOT / name, place / name)
    clients = place / "tests" / "interop"
    clients.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests" / "interop" / name, clients)
    tools = place / "bin"
    tools.mkdir()
    for name in _TOOLS:
        path = shutil.which(name)
        assert path is not None
        (tools / name).symlink_to(path)
    return place


def _fake(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox"])
def test_shells_read_it(shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"run script: no {shell} here")
    words = [path, "sh"] if shell == "busybox" else [path]
    assert _sh(*words, "-n", "run", cwd=ROOT).stderr == ""


def test_bash_reads_ci() -> None:
    assert _sh("/bin/bash", "-n", ".ci/run", cwd=ROOT).stderr == ""
    for name in ("run", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK)


def test_an_old_python_is_named(checkout: Path) -> None:
    _fake(checkout / "bin" / "python3", "echo 3.9")
    done = _sh("./run", "--help", cwd=checkout, PATH=str(checkout / "bin"))
    assert done.returncode == 78
    assert done.stdout == ""
    assert "needs Python 3.11 or newer" in done.stderr
    assert f"{checkout}/bin/python3 (3.9)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_no_python_at_all(checkout: Path) -> None:
    done = _sh("./run", "--help", cwd=checkout, PATH=str(checkout / "bin"))
    assert done.returncode == 78
    assert "found none" in done.stderr


def test_a_python_without_venv(checkout: Path) -> None:
    """As Debian ships it; without apt-get there is one sentence."""
    _fake(
        checkout / "bin" / "python3.11",
        'case "$*" in *ensurepip*) exit 1 ;; *version_info*) echo 3.11 ;; esac',
    )
    done = _sh("./run", "--help", cwd=checkout, PATH=str(checkout / "bin"))
    assert done.returncode == 78
    assert "apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_ready_environment_is_used_as_it_is(checkout: Path) -> None:
    """No Python is looked for, nothing is installed, the caller's folder and words arrive."""
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    shutil.copy(checkout / "requirements-dev.lock", venv)
    clients = checkout / ".tools" / "clients"
    clients.mkdir(parents=True)
    shutil.copy(checkout / "tests" / "interop" / "package-lock.json", clients / "installed.lock")
    _fake(
        venv / "bin" / "python",
        'printf "%s|" "$PWD" "$@"; echo; echo "${PYTHONHOME-unset} ${VIRTUAL_ENV-unset}"',
    )
    env = {"PATH": str(checkout / "bin"), "PYTHONHOME": "/nowhere", "VIRTUAL_ENV": "/elsewhere"}
    other = checkout / "bin"
    done = _sh(str(checkout / "run"), "promote", "--reason", "two words", cwd=other, **env)
    assert done.returncode == 0, done.stderr
    said, variables = done.stdout.splitlines()
    assert said == f"{other}|-P|-m|engine|promote|--reason|two words|"
    assert variables == "unset unset"
    tests = _sh(str(checkout / "run"), "test", "--ci", "-k", "a b", cwd=other, **env)
    assert tests.stdout.splitlines()[0] == f"{checkout}|-m|pytest|--ci|-k|a b|"


def test_a_changed_lock_is_noticed(checkout: Path) -> None:
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "requirements.lock").write_text("older\n")
    _fake(venv / "bin" / "python", "echo reached")
    done = _sh("./run", "--help", cwd=checkout, PATH=str(checkout / "bin"))
    assert done.returncode == 78
    assert "reached" not in done.stdout


def test_the_tool_is_pinned_by_hash() -> None:
    text = (ROOT / "requirements-tools.lock").read_text()
    assert text.startswith("uv==")
    assert text.count("--hash=sha256:") >= 10
    script = (ROOT / "run").read_text()
    assert "--require-hashes -r" in script
    assert "pip sync --quiet --require-hashes" in script
    assert "http" not in script, "no index is written down"
