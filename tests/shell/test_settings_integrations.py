"""The servers of the settings: what is read, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import UnsafeConfig
from engine.settings import IntegrationsConfig, read_settings
from engine.settings_integrations import VaultAuth

EXAMPLE = (Path(__file__).parents[2] / "examples" / "releaseline.yaml").read_text("utf-8")
TOKEN = "auth: {method: token, token: env:VAULT_TOKEN}"
VAULT = f"name: vault, kind: vault, url: https://vault:8200, {TOKEN}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("policies", "feeds", "trust", "inputs"):
        (tmp_path / folder).mkdir()
    for name in ("release-gate.yaml", "release-gate.config.json"):
        (tmp_path / "policies" / name).write_text("{}")
    (tmp_path / "trust" / "vault-ca.pem").write_text("a certificate")
    return tmp_path


def written(home: Path, servers: list[str], *, inputs: str = "") -> Path:
    lines = ["integrations:", "  servers:", *(f"    - {{{one}}}" for one in servers)]
    text = EXAMPLE.replace("\nretention:", "\n" + "\n".join(lines) + "\nretention:", 1)
    if inputs:
        text = text.replace('"env:DB_PASSWORD"', f'"{inputs}"', 1)
    (home / "releaseline.yaml").write_text(text)
    return home


def test_without_the_section_nothing_changes(home: Path) -> None:
    (home / "releaseline.yaml").write_text(EXAMPLE)
    bare = read_settings(home)
    assert bare.integrations == IntegrationsConfig(every_s=30)
    text = EXAMPLE.replace("\nretention:", "\nintegrations: {every: 10s}\nretention:", 1)
    (home / "releaseline.yaml").write_text(text)
    assert read_settings(home).digest == bare.digest
    assert read_settings(written(home, [VAULT])).digest != bare.digest


def test_the_commented_section_of_the_example_is_sound(home: Path) -> None:
    lines = EXAMPLE.splitlines()
    at = lines.index("# integrations:")
    while lines[at].startswith("# "):
        lines[at] = lines[at][2:]
        at += 1
    (home / "releaseline.yaml").write_text("\n".join(lines))
    found = {one.name: one for one in read_settings(home).integrations.entries}
    assert list(found) == ["vault", "consul", "registry", "jenkins", "pager", "chat", "status-page"]
    assert found["pager"].schedule == "PI7DH85"
    vault = found["vault"]
    assert vault.auth == VaultAuth(method="token", mount="token", token="env:VAULT_TOKEN")
    assert (vault.namespace, vault.timeout_ms) == ("team-a", 5_000)
    assert vault.ca == str(home / "trust" / "vault-ca.pem")
    assert (found["consul"].datacenter, found["consul"].token) == ("dc1", "env:CONSUL_TOKEN")
    assert (found["status-page"].expect, found["jenkins"].user) == (204, "rl")


def test_inputs_name_their_places(home: Path) -> None:
    settings = read_settings(written(home, [VAULT], inputs="vault:kv/eu-prod#db"))
    one = settings.environment("eu-prod").inputs[0]
    assert (one.scheme, one.path) == ("vault", "kv/eu-prod#db")


WRONG: dict[str, tuple[list[str], str, str]] = {
    "no auth": (["name: vault, kind: vault, url: https://v"], "", "auth with kind vault"),
    "no such key of the kind": ([VAULT + ", token: env:T"], "", "no token with kind vault"),
    "half a role": (
        ["name: v, kind: vault, url: https://v, auth: {method: approle, role_id: env:R}"],
        "",
        "method approle with role_id and secret_id alone",
    ),
    "user alone": (
        ["name: j, kind: jenkins, url: https://j, user: rl"],
        "",
        "user and token together",
    ),
    "two vaults": ([VAULT, VAULT.replace("name: vault", "name: w")], "", "one vault, since inputs"),
    "one name twice": (
        [VAULT, "name: vault, kind: http, url: https://h"],
        "",
        "expected a name of its own",
    ),
    "a password in the address": (
        ["name: h, kind: http, url: 'https://me:pl4nted@h'"],
        "",
        "without a name or password",
    ),
    "a secret in the open": (
        [VAULT.replace("https://vault:8200", "http://vault:8200")],
        "",
        "https:// or a loopback address",
    ),
    "no such file": ([VAULT + ", ca: trust/none.pem"], "", "expected a file"),
    "no such server": ([], "vault:kv/eu-prod", "a server of kind vault under integrations"),
    "no path": ([VAULT], "vault:kv", "vault:MOUNT/PATH"),
    "a secret instead of a reference": (
        [VAULT.replace("env:VAULT_TOKEN", "pl4nted")],
        "",
        "something else, which is not repeated here",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_its_line_and_no_secret(home: Path, name: str) -> None:
    servers, inputs, told = WRONG[name]
    with pytest.raises(UnsafeConfig) as caught:
        read_settings(written(home, servers or ["name: h, kind: http, url: https://h"],
                              inputs=inputs))  # fmt: skip
    said = str(caught.value)
    assert told in said
    assert "pl4nted" not in said
    assert said.startswith(f"{home / 'releaseline.yaml'}:")


def test_a_secret_may_be_sent_to_this_machine(home: Path) -> None:
    local = VAULT.replace("https://vault:8200", "http://127.0.0.1:8200")
    found = read_settings(written(home, [local])).integrations.of_kind("vault")
    assert found is not None and found.url == "http://127.0.0.1:8200"
