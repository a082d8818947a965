"""Every command has help, and every mistake one sentence and its exit code."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from engine.cli import doctor
from engine.cli.main import releaseline as root_command
from engine.homes import create_home
from tests.cli.conftest import Done

pytestmark = pytest.mark.house

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., Done]


def _commands(group: click.Group, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = (*words, name)
        found.append(path)
        if isinstance(command, click.Group):
            found += _commands(command, path)
    return found


ALL = _commands(root_command)


def test_the_promised_commands_are_there() -> None:
    single = {
        (word,) for word in ["init", "serve", "demo", "doctor", "promote", "verify", "fsck", "gate"]
    }
    nouns = {
        "admin": "link",
        "token": "create list revoke",
        "bundle": "create list show",
        "run": "list show wait story events approve reject withdraw pause resume continue retry "
        "rerun mark-failed rollback cancel close",
        "evidence": "addendum list export",
        "policy": "lint",
    }
    verbs = {(noun, verb) for noun, told in nouns.items() for verb in told.split()}
    assert single | verbs <= set(ALL)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help(releaseline: Command, words: tuple[str, ...]) -> None:
    done = releaseline(*words, "--help")
    assert done.code == 0
    assert "Usage: releaseline " + " ".join(words) in done.out
    command: Any = root_command
    for word in words:
        command = command.get_command(click.Context(command), word)
    if not isinstance(command, click.Group):
        for option in ("--home", "--server", "--token", "--json"):
            assert option in done.out


def test_help_is_instant() -> None:
    """Nothing heavy is imported to list the commands."""
    heavy = ("httpx", "pydantic", "duckdb", "fastapi", "streamlit", "yaml", "cryptography")
    code = (
        "import sys; from engine.cli.main import run; run(['--help']); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage: releaseline" in seen.stdout
    assert seen.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("run", "show"), 2, "Missing argument 'RUN'"),
        (("promote", "--bundle", "x"), 2, "Missing option '--to'"),
        (("promote", "--bundle", "x", "--to", "y", "--timeout", "1h"), 2, "needs --wait"),
        (("promote", "--bundle", "x", "--to", "y", "--wait", "--timeout", "soon"), 2, "a duration"),
        (("run", "rollback", "run-1", "--scope", "stage"), 2, "is not one of 'full', 'target'"),
        (("run", "rollback", "run-1", "--scope", "target"), 2, "name at least one --target"),
        (("run", "rollback", "r", "--scope", "full", "--target", "t"), 2, "takes no --target"),
        (("run", "rollback", "run-1"), 2, "a rollback says why"),
        (("run", "list", "--limit", "1000"), 2, "1000"),
        (("verify", "nothing.tar.gz"), 4, "no such file"),
        (("verify", "x", "--trusted-root-sha256", "abc"), 2, "64 hex digits"),
        (("run", "list"), 78, "releaseline init"),
        (("serve",), 78, "found nothing"),
        (("run", "list", "--server", "ftp://x"), 78, "expected http"),
        (("run", "list", "--server", "http://example.com", "--token", "t"), 78, "in the clear"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes(releaseline: Command, words: tuple[str, ...], code: int, told: str) -> None:
    done = releaseline(*words)
    assert done.code == code, done.err
    assert told in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


def test_a_mistake_as_json(releaseline: Command) -> None:
    done = releaseline("run", "list", "--json")
    document = json.loads(done.out)
    assert document["exit"] == done.code == 78
    assert "found nothing" in document["error"]
    assert "found nothing" in done.err


def test_no_server_there(releaseline: Command) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = releaseline("run", "list", "--server", f"http://127.0.0.1:{port}")
    assert done.code == 75
    assert str(port) in done.err


def test_a_defect_says_where_its_details_are(
    releaseline: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(_: Path) -> list[doctor.Check]:
        raise RuntimeError("a broken thing")

    monkeypatch.setattr(doctor, "_checks", broken)
    done = releaseline("doctor")
    assert done.code == 1
    kept = list(tmp_path.glob("releaseline-error-*.txt"))
    assert len(kept) == 1
    assert kept[0].name in done.err
    assert "a broken thing" in done.err
    assert "Traceback" in kept[0].read_text()


def test_ctrl_c(releaseline: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> list[doctor.Check]:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "_checks", interrupted)
    assert releaseline("doctor").code == 130


class TestHome:
    """One home for all: making one costs a second of key stretching."""

    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        place = tmp_path_factory.mktemp("made") / "home"
        create_home(place, passphrase="correct horse")
        return place

    def test_it_is_whole(self, releaseline: Command, home: Path) -> None:
        done = releaseline("doctor", "--home", str(home))
        assert done.code == 0, done.out
        assert "DB_PASSWORD (env:DB_PASSWORD)" in done.out
        for name in ("releaseline.yaml", "trusted_root.json", "keys/keystore.json"):
            assert (home / name).is_file()
        assert (home / "keys").stat().st_mode & 0o077 == 0

    def test_it_is_made_once(self, releaseline: Command, home: Path) -> None:
        before = (home / "releaseline.yaml").read_bytes()
        done = releaseline("init", str(home))
        assert done.code == 5
        assert str(home) in done.err
        assert (home / "releaseline.yaml").read_bytes() == before

    def test_a_stopped_home_answers_by_itself(self, releaseline: Command, home: Path) -> None:
        shell = ("--home", str(home))
        done = releaseline("token", "create", "--user", "ana.li", *shell)
        assert done.code == 0, done.err
        token = done.out.strip()
        stranger = releaseline("token", "create", "--user", "eve", *shell)
        assert (stranger.code, stranger.out) == (4, "")
        artifact = home / "app.json"
        artifact.write_text('{"a": 1}')
        create = ("bundle", "create", str(artifact), "--name", "n", "--version", "1", *shell)
        refused = releaseline(*create)
        assert refused.code == 3
        assert "token create" in refused.err
        made = releaseline(*create, "--token", token, "--json")
        assert made.code == 0, made.err
        digest = json.loads(made.out)["digest"]
        nowhere = releaseline("promote", "--bundle", digest, "--to", "us-prod", "--token", token,
                              *shell)  # fmt: skip
        assert nowhere.code == 4
        assert "eu-stage, eu-prod" in nowhere.err
        unknown = releaseline("promote", "--bundle", f"sha256:{'0' * 64}", "--to", "eu-prod",
                              "--token", token, *shell)  # fmt: skip
        assert unknown.code == 4
        waiting = releaseline("promote", "--bundle", digest, "--to", "eu-prod", "--wait",
                              "--token", token, *shell)  # fmt: skip
        assert waiting.code == 75
        assert "No server runs on this home" in waiting.err
        listed = releaseline("run", "list", *shell)
        assert "QUEUED" in listed.out
        assert releaseline("fsck", *shell).code == 0

    def test_a_wrong_passphrase(
        self, releaseline: Command, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RELEASELINE_KEY_PASSPHRASE", "wrong")
        done = releaseline("run", "list", "--home", str(home))
        assert done.code == 78
        assert "passphrase" in done.err


def test_policy_lint_and_gate(releaseline: Command) -> None:
    files = [str(ROOT / "examples" / f"release-gate.{end}") for end in ("yaml", "config.json")]
    sound = releaseline("policy", "lint", files[0], "--config", files[1])
    assert sound.code == 0, sound.err
    example = str(ROOT / "examples" / "release-gate.input.json")
    judged = releaseline("gate", example, "--policy", files[0], "--config", files[1], "--json")
    assert judged.code == {"PASS": 0, "FAIL": 10}[json.loads(judged.out)["decision"]]
    broken = releaseline("policy", "lint", files[1], "--config", files[0])
    assert broken.code == 2
    assert releaseline("gate", files[0], "--policy", files[0], "--config", files[1]).code == 2
