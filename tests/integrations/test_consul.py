"""Inputs from a Consul: answers in the shapes that its API documents, and others."""

from __future__ import annotations

from typing import Any

import pytest

from engine.adapters.secrets_consul import ConsulConfig, ConsulHttp
from engine.core.errors import AdapterFailed, NotFound
from tests.integrations.kit import FAULTS, Server, consul_misses, consul_says, faulty

KEY = b"k" * 32


def resolve(consul: ConsulHttp, path: str, *, deadline_s: float = 5.0) -> Any:
    return ConsulConfig(KEY, consul).resolve("limits", path, deadline_s=deadline_s)


def test_the_version_is_the_modify_index_and_the_leader_is_asked(server: Server) -> None:
    consul_says(server, "eu-prod/limits", b"a=1", index=4711)
    consul = ConsulHttp(server.url, token=lambda: "acl-5a1c", datacenter="dc1")
    found = resolve(consul, "eu-prod/limits")
    assert (found.path, found.version) == ("consul:eu-prod/limits", "4711")
    (_, path, headers) = server.asked[0]
    assert path == "/v1/kv/eu-prod/limits?consistent=&dc=dc1"
    assert headers["x-consul-token"] == "acl-5a1c"


def test_a_key_without_a_value_is_empty_and_not_missing(server: Server) -> None:
    consul_says(server, "eu-prod/empty", None)
    consul_says(server, "eu-prod/nothing", b"")
    first, second = (resolve(ConsulHttp(server.url), f"eu-prod/{k}") for k in ("empty", "nothing"))
    assert first.value_hmac == second.value_hmac


def test_a_key_with_odd_letters_is_one_key(server: Server) -> None:
    consul_says(server, "a%20b/c%3F", b"x")
    server.answers["GET /v1/kv/a%20b/c%3F"] = (
        200,
        b'[{"Key": "a b/c?", "Value": "eA==", "ModifyIndex": 3}]',
        {},
    )
    assert resolve(ConsulHttp(server.url), "a b/c?").version == "3"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.fault
def test_a_faulty_way_is_an_error_in_bounded_time(server: Server, fault: str) -> None:
    consul_says(server, "a", b"planted-5a1c")
    with faulty(server.url, fault) as url:
        with pytest.raises(AdapterFailed) as caught:
            resolve(ConsulHttp(url), "a", deadline_s=0.4)
        assert caught.value.transient


def test_only_the_store_itself_says_missing(server: Server) -> None:
    consul_misses(server, "a")
    with pytest.raises(NotFound, match="nothing at consul:a"):
        resolve(ConsulHttp(server.url), "a")
    for body, headers in ((b"", {}), (b"<html>404</html>", {"X-Consul-Index": "1"})):
        server.answers["GET /v1/kv/a"] = (404, body, headers)
        with pytest.raises(AdapterFailed, match="status 404"):
            resolve(ConsulHttp(server.url), "a")


ODD: dict[str, tuple[object, int, str, bool]] = {
    "not allowed": (b"Permission denied", 403, "Permission denied", False),
    "no leader": (b"No cluster leader", 500, "No cluster leader", True),
    "a redirect": (b"", 301, "redirects are not followed", False),
    "no JSON": (b"ok", 200, "expected the one key", False),
    "nothing in it": ([], 200, "expected the one key", False),
    "two entries": ([{"Key": "a"}, {"Key": "a"}], 200, "expected the one key", False),
    "another key": ([{"Key": "b", "Value": "eA==", "ModifyIndex": 1}], 200, "one key a", False),
    "no base64": ([{"Key": "a", "Value": "%%", "ModifyIndex": 1}], 200, "base64", False),
    "no index": ([{"Key": "a", "Value": "eA=="}], 200, "its index", False),
    "too many": (b"slow down", 429, "slow down", True),
}


@pytest.mark.parametrize("name", ODD)
def test_what_proves_nothing_is_not_taken_for_missing(server: Server, name: str) -> None:
    body, status, told, transient = ODD[name]
    server.says("/v1/kv/a", body, status, X_Consul_Index="7")
    with pytest.raises(AdapterFailed, match=told) as caught:
        resolve(ConsulHttp(server.url), "a")
    assert caught.value.transient == transient
    assert str(caught.value).startswith("Consul, limits (consul:a): ")
