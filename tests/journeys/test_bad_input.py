"""Bad input of every kind: one clear sentence, the right exit code, and nothing is lost."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.product import Product, free_port, releaseline, wait_for

pytestmark = pytest.mark.journey

PASS = {"RELEASELINE_KEY_PASSPHRASE": "correct horse"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    made = releaseline("init", str(place), **PASS)
    assert made.returncode == 0, made.stdout + made.stderr
    return place


def _one_sentence(text: str, *words: str) -> None:
    for word in words:
        assert word in text, text
    assert "Traceback" not in text


def test_broken_yaml_names_file_and_line(home: Path) -> None:
    settings = home / "releaseline.yaml"
    settings.write_text(settings.read_text().replace("min_approvals: 2", "min_approvals: two"))
    done = releaseline("serve", "--home", str(home), **PASS)
    assert done.returncode == 78
    _one_sentence(done.stderr, "releaseline.yaml:", "min_approvals", "expected", "'two'")


def test_a_taken_port_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = releaseline("serve", "--home", str(home), "--port", str(port), **PASS)
    assert done.returncode == 78
    _one_sentence(done.stderr, str(port), "taken")


@pytest.mark.long
def test_a_second_server_names_the_first(home: Path, start: Callable[..., Product]) -> None:
    first = start("serve", home=home, **PASS)
    wait_for("the first server", lambda: first.get("/environments"), timeout_s=40)
    done = releaseline("serve", "--home", str(home), "--port", str(free_port()), **PASS)
    assert done.returncode == 78
    _one_sentence(done.stderr, str(first.process.pid))


def test_a_wrong_passphrase_opens_nothing(home: Path) -> None:
    done = releaseline(
        "serve", "--home", str(home), RELEASELINE_KEY_PASSPHRASE="wrong", timeout_s=30
    )
    assert done.returncode == 78
    _one_sentence(done.stderr, "passphrase")


@pytest.mark.long
def test_unknown_bundle_and_environment(home: Path, start: Callable[..., Product]) -> None:
    server = start("serve", home=home, **PASS)
    wait_for("the server", lambda: server.get("/environments"), timeout_s=40)
    token = releaseline("token", "create", "--user", "ana.li", "--home", str(home), **PASS)
    assert token.returncode == 0, token.stderr
    known = {**PASS, "RELEASELINE_TOKEN": token.stdout.strip().splitlines()[-1]}
    digest = f"sha256:{'0' * 64}"
    unknown = releaseline(
        "promote", "--bundle", digest, "--to", "eu-prod", "--home", str(home), **known
    )
    assert unknown.returncode == 4
    _one_sentence(unknown.stderr, digest)
    artifact = home / "app.json"
    artifact.write_text('{"hello": "world"}')
    made = releaseline(
        "bundle", "create", str(artifact), "--name", "n", "--version", "1", "--home", str(home),
        **known,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    bundle = next(word for word in made.stdout.split() if word.startswith("sha256:"))
    nowhere = releaseline(
        "promote", "--bundle", bundle, "--to", "nowhere", "--home", str(home), **known
    )
    assert nowhere.returncode == 4
    _one_sentence(nowhere.stderr, "nowhere", "eu-prod")


def test_tampered_artifact_and_missing_secret_stop_at_inputs(
    home: Path, start: Callable[..., Product]
) -> None:
    """Exit code 17 with the reason; nothing was deployed."""
    server = start("serve", home=home, **PASS)
    wait_for("the server", lambda: server.get("/environments"), timeout_s=40)
    token = releaseline("token", "create", "--user", "ana.li", "--home", str(home), **PASS)
    known = {**PASS, "RELEASELINE_TOKEN": token.stdout.strip().splitlines()[-1]}
    artifact = home / "app.json"
    artifact.write_text('{"hello": "world"}')
    made = releaseline(
        "bundle", "create", str(artifact), "--name", "n", "--version", "1", "--home", str(home),
        **known,
    )  # fmt: skip
    bundle = next(word for word in made.stdout.split() if word.startswith("sha256:"))
    missing = releaseline(
        "promote", "--bundle", bundle, "--to", "eu-prod", "--wait", "--home", str(home), **known
    )
    assert missing.returncode == 17, missing.stdout + missing.stderr
    _one_sentence(missing.stdout + missing.stderr, "1 missing: DB_PASSWORD (env:DB_PASSWORD)")
    for blob in (home / "blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == artifact.read_bytes():
            blob.chmod(0o644)
            blob.write_text('{"hello": "w0rld"}')
    retried = releaseline(
        "run", "retry", "run-1", "--reason", "secret was set", "--home", str(home), **known
    )
    assert retried.returncode == 0, retried.stderr
    run = wait_for(
        "the second attempt",
        lambda: (r := server.run()) and (r if len(r["steps"][0]["attempts"]) == 2 and
                                         r["status"] == "PAUSED" else None),
        timeout_s=20,
    )  # fmt: skip
    reason = run["steps"][0]["attempts"][1]["reason"]
    _one_sentence(reason, "app.json", "digest mismatch", "expected", "found")
    assert run["steps"][0]["attempts"][0]["status"] == "FAILED"
    assert not any(t["changed"] for t in run["targets"])
