"""Inputs from a Vault: a real OpenBao, and answers that no healthy one gives."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.adapters.probes import vault_probe
from engine.adapters.references import secret_from
from engine.adapters.secrets_vault import VaultSecrets
from engine.adapters.vault_http import AppRoleLogin, KubernetesLogin, TokenLogin, VaultHttp
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed, NotFound
from engine.redact import MARK, redact
from tests.integrations.kit import FAULTS, ROOT_TOKEN, Bao, Server, faulty, vault_says

KEY = b"k" * 32


def resolve(vault: VaultHttp, path: str, *, name: str = "db", deadline_s: float = 5.0) -> Any:
    return VaultSecrets(KEY, vault).resolve(name, path, deadline_s=deadline_s)


def of(server: Server, **more: Any) -> VaultHttp:
    return VaultHttp(server.url, login=TokenLogin(token=lambda: "hvs.tests"), **more)


# --- a real one -------------------------------------------------------------------------------


@pytest.mark.house
def test_the_version_is_that_of_the_store(bao: Bao) -> None:
    bao.put("secret/versions/a", password="first-5a1c")
    first = resolve(bao.client(), "secret/versions/a#password")
    bao.put("secret/versions/a", password="second-5a1c")
    second = resolve(bao.client(), "secret/versions/a#password")
    assert (first.version, second.version) == ("1", "2")
    assert first.value_hmac != second.value_hmac


@pytest.mark.house
def test_without_a_field_it_is_called_like_the_input(bao: Bao) -> None:
    bao.put("secret/eu-prod-fields", DB_PASSWORD="planted-5a1c", port=5432)
    found = resolve(bao.client(), "secret/eu-prod-fields", name="DB_PASSWORD")
    assert found.path == "vault:secret/eu-prod-fields"
    assert resolve(bao.client(), "secret/eu-prod-fields#port").value_hmac
    with pytest.raises(NotFound, match="no field other in vault:secret/eu-prod-fields, version 1"):
        resolve(bao.client(), "secret/eu-prod-fields#other")


@pytest.mark.house
def test_what_was_deleted_or_destroyed_is_missing(bao: Bao) -> None:
    bao.put("secret/gone/a", password="planted-5a1c")
    bao.do("DELETE", "secret/data/gone/a")
    with pytest.raises(NotFound, match=r"Version 1 of vault:secret/gone/a was deleted"):
        resolve(bao.client(), "secret/gone/a#password")
    bao.put("secret/gone/b", password="planted-5a1c")
    bao.do("POST", "secret/destroy/gone/b", {"versions": [1]})
    with pytest.raises(NotFound, match="deleted"):
        resolve(bao.client(), "secret/gone/b#password")
    with pytest.raises(NotFound, match="nothing at vault:secret/never"):
        resolve(bao.client(), "secret/never#password")


@pytest.mark.house
def test_who_may_not_read_is_told_so_and_nothing_is_missing(bao: Bao) -> None:
    bao.put("secret/closed", password="planted-5a1c")
    with pytest.raises(AdapterFailed, match="status 403") as caught:
        resolve(bao.client("hvs.nobody-5a1c5a1c5a1c"), "secret/closed#password")
    assert not caught.value.transient
    lent = bao.do("POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    for path in ("secret/closed#password", "secret/never#password"):
        with pytest.raises(AdapterFailed, match="permission denied"):
            resolve(bao.client(lent), path)


@pytest.mark.house
def test_a_mount_that_is_not_there_or_of_version_1_is_no_missing_secret(bao: Bao) -> None:
    with pytest.raises(AdapterFailed):
        resolve(bao.client(), "nomount/a#password")
    bao.do("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    bao.do("POST", "old/a", {"password": "planted-5a1c"})
    with pytest.raises(AdapterFailed, match="expected a KV store of version 2 at old"):
        resolve(bao.client(), "old/a#password")


@pytest.mark.house
def test_a_role_signs_in_and_anew_when_its_token_ends(bao: Bao, tmp_path: Path) -> None:
    bao.put("secret/for-roles/a", password="planted-5a1c")
    rule = 'path "secret/data/for-roles/*" { capabilities = ["read"] }'
    bao.do("PUT", "sys/policies/acl/roles", {"policy": rule})
    bao.do("POST", "sys/auth/approle", {"type": "approle"})
    role = {"token_policies": ["roles"], "token_ttl": "60s"}
    bao.do("POST", "auth/approle/role/rl", role)
    role_id = bao.do("GET", "auth/approle/role/rl/role-id")["data"]["role_id"]
    secret_id = bao.do("POST", "auth/approle/role/rl/secret-id", {})["data"]["secret_id"]
    (tmp_path / "secret-id").write_text(f"{secret_id}\n")
    login = AppRoleLogin(
        role_id=lambda: role_id,
        secret_id=secret_from("file:secret-id", tmp_path, {}, what="secret id"),
        mount="approle",
    )
    vault = VaultHttp(bao.url, login=login)
    assert resolve(vault, "secret/for-roles/a#password").version == "1"
    assert redact(secret_id) == MARK
    lent = vault._token
    assert redact(lent) == MARK
    assert resolve(vault, "secret/for-roles/a#password").version == "1"
    assert vault._token == lent  # kept while it lives
    bao.do("POST", "auth/token/revoke", {"token": lent})
    with pytest.raises(AdapterFailed, match="403"):
        resolve(vault, "secret/for-roles/a#password")
    assert resolve(vault, "secret/for-roles/a#password").version == "1"
    assert vault._token not in ("", lent)
    (tmp_path / "secret-id").write_text("wrong-secret-id-5a1c")
    with pytest.raises(AdapterFailed, match=r"does not let us in \(auth/approle/login\)") as caught:
        resolve(VaultHttp(bao.url, login=login), "secret/for-roles/a#password")
    assert "wrong-secret-id-5a1c" not in str(caught.value)


@pytest.mark.house
def test_a_namespace_is_asked_in(bao: Bao) -> None:
    bao.do("POST", "sys/namespaces/team-a", {})
    header = {"X-Vault-Namespace": "team-a", "X-Vault-Token": ROOT_TOKEN}
    for method, path, body in (
        ("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}),
        ("POST", "kv/data/a", {"data": {"password": "planted-5a1c"}}),
    ):
        url = f"{bao.url}/v1/{path}"
        httpx.request(method, url, json=body, headers=header, trust_env=False).raise_for_status()
    inside = VaultHttp(bao.url, login=TokenLogin(token=lambda: ROOT_TOKEN), namespace="team-a")
    assert resolve(inside, "kv/a#password").version == "1"
    with pytest.raises(AdapterFailed):
        resolve(bao.client(), "kv/a#password")


@pytest.mark.house
def test_one_that_is_stopped_or_sealed_gives_no_answer(tmp_path: Path) -> None:
    one = Bao(tmp_path)
    try:
        one.put("secret/a", password="planted-5a1c")
        probe = vault_probe("vault", one.client())
        assert probe.probe(deadline_s=5.0).level is Level.OK
        refused = vault_probe("vault", one.client("hvs.nobody-5a1c5a1c5a1c"))
        found = refused.probe(deadline_s=5.0)
        assert found.level is Level.FAIL and "403" in found.reason
        one.send(signal.SIGSTOP)
        with pytest.raises(AdapterFailed, match="no answer within") as caught:
            resolve(one.client(), "secret/a#password", deadline_s=0.5)
        assert caught.value.transient
        one.send(signal.SIGCONT)
        one.do("PUT", "sys/seal", {})
        with pytest.raises(AdapterFailed, match="status 503") as caught:
            resolve(one.client(), "secret/a#password")
        assert caught.value.transient
        assert probe.probe(deadline_s=5.0).reason == "it is sealed"
        assert probe.probe(deadline_s=5.0).level is Level.FAIL
    finally:
        one.end()
    with pytest.raises(AdapterFailed, match="cannot be reached"):
        resolve(one.client(), "secret/a#password")


# --- answers that no healthy one gives --------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.fault
def test_a_faulty_way_is_an_error_in_bounded_time(server: Server, fault: str) -> None:
    vault_says(server, "kv/a", {"password": "planted-5a1c"})
    assert resolve(of(server), "kv/a#password").version == "3"
    with faulty(server.url, fault) as url:
        vault = VaultHttp(url, login=TokenLogin(token=lambda: "hvs.tests"))
        with pytest.raises(AdapterFailed) as caught:
            resolve(vault, "kv/a#password", deadline_s=0.4)
        assert caught.value.transient


ODD: dict[str, tuple[object, int, str]] = {
    "a page in between": (b"<html>not here</html>", 404, "status 404"),
    "an error about the mount": ({"errors": ["no handler for route"]}, 404, "no handler"),
    "a redirect": (b"", 307, "redirects are not followed"),
    "no JSON": (b"ok", 200, "expected an answer with `data`"),
    "a cut JSON": (b'{"data": {"data": {"password": "pl', 200, "expected an answer"),
    "another shape": ({"data": {"password": "planted-5a1c"}}, 200, "version 2"),
    "no version": ({"data": {"data": {"password": "x"}, "metadata": {}}}, 200, "their version"),
    "fields of another kind": ({"data": {"data": [1], "metadata": {"version": 1}}}, 200, "fields"),
    "too many questions": ({"errors": ["rate limit"]}, 429, "rate limit"),
    "a defect": (b"oops", 500, "status 500"),
    "sealed": ({"errors": ["Vault is sealed"]}, 503, "sealed"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_proves_nothing_is_not_taken_for_missing(server: Server, name: str) -> None:
    body, status, told = ODD[name]
    server.says("/v1/kv/data/a", body, status)
    with pytest.raises(AdapterFailed, match=told) as caught:
        resolve(of(server), "kv/a#password")
    assert caught.value.transient == (status >= 429)
    assert "planted-5a1c" not in str(caught.value)
    assert str(caught.value).startswith("Vault, db (vault:kv/a#password): ")


@pytest.mark.parametrize("path", ["", "kv", "kv/", "/a", "kv/a/"])
def test_an_address_that_is_none_is_said(server: Server, path: str) -> None:
    with pytest.raises(AdapterFailed, match="expected vault:MOUNT/PATH#FIELD"):
        resolve(of(server), path)
    assert server.asked == []


def test_a_secret_that_is_told_back_is_not_repeated(server: Server) -> None:
    server.says("/v1/kv/data/a", {"errors": ["token s3cr3t-5a1c-back is bad"]}, 403)
    token = secret_from("env:T", Path(), {"T": "s3cr3t-5a1c-back"}, what="token")
    vault = VaultHttp(server.url, login=TokenLogin(token=token))
    with pytest.raises(AdapterFailed, match="bad") as caught:
        resolve(vault, "kv/a#password")
    assert "s3cr3t-5a1c-back" not in str(caught.value)
    assert server.asked[0][2]["x-vault-token"] == "s3cr3t-5a1c-back"


def test_kubernetes_signs_in_with_the_token_of_its_account(server: Server) -> None:
    vault_says(server, "kv/a", {"password": "planted-5a1c"})
    seen: list[bytes] = []

    def login(_: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        seen.append(body)
        return 200, b'{"auth": {"client_token": "hvs.lent-5a1c", "lease_duration": 600}}', {}

    server.answers["POST /v1/auth/k8s/login"] = login
    kubernetes = KubernetesLogin(role="rl", jwt=lambda: "a.b.c", mount="k8s")
    vault = VaultHttp(server.url, login=kubernetes)
    for _ in range(2):
        assert resolve(vault, "kv/a#password").version == "3"
    assert seen == [b'{"role": "rl", "jwt": "a.b.c"}']
    assert server.asked[-1][2]["x-vault-token"] == "hvs.lent-5a1c"


LOGINS = {
    "no token": b'{"auth": {"lease_duration": 600}}',
    "no time": b'{"auth": {"client_token": "hvs.x"}}',
    "nothing": b"{}",
    "no JSON": b"hello",
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_sign_in_that_brings_no_token_is_no_answer(server: Server, name: str) -> None:
    server.says("/v1/auth/kubernetes/login", LOGINS[name], method="POST")
    login = KubernetesLogin(role="rl", jwt=lambda: "a.b.c", mount="kubernetes")
    with pytest.raises(AdapterFailed):
        resolve(VaultHttp(server.url, login=login), "kv/a#password")
