"""Looks at servers: what each answer means, and that silence is no answer."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from engine.adapters.probes import (
    PrometheusProbe,
    ReachProbe,
    consul_probe,
    http_probe,
    jenkins_probe,
    on_call_probe,
    registry_probe,
    vault_probe,
)
from engine.adapters.prometheus_http import PrometheusHttp
from engine.adapters.secrets_consul import ConsulHttp
from engine.adapters.vault_http import TokenLogin, VaultHttp
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed
from engine.ports_integrations import Probe
from tests.integrations.kit import FAULTS, Server, faulty

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
HEALTH = {"initialized": True, "sealed": False, "standby": False, "version": "2.7.2"}


def vault(url: str) -> Probe:
    return vault_probe("v", VaultHttp(url, login=TokenLogin(token=lambda: "hvs.tests")))


MAKE: dict[str, Callable[[str], Probe]] = {
    "vault": vault,
    "consul": lambda url: consul_probe("c", ConsulHttp(url)),
    "prometheus": lambda url: PrometheusProbe("p", url, PrometheusHttp(url)),
    "registry": lambda url: registry_probe("r", url),
    "jenkins": lambda url: jenkins_probe("j", url, user="rl", token=lambda: "t0ken-5a1c"),
    "on_call": lambda url: on_call_probe(
        "pager", f"{url}/oncalls", schedule="PI7DH85", now_us=lambda: 1_771_416_000_000_000
    ),
    "http": lambda url: http_probe("h", f"{url}/up", expect=204),
}
# As PagerDuty's reference shows it, shortened.
ON_CALL = {
    "oncalls": [
        {
            "user": {"id": "PT23IWX", "type": "user_reference", "summary": "Tim Wright"},
            "escalation_level": 2,
            "start": "2026-02-18T06:00:00Z",
            "end": "2026-02-18T18:00:00Z",
        }
    ],
    "more": False,
}
# Kind, path, body, status, headers, level, what is said.
ANSWERS: list[tuple[str, str, object, int, dict[str, str], Level, str]] = [
    ("vault", "/v1/sys/health", HEALTH, 200, {}, OK, "2.7.2, unsealed"),
    ("vault", "/v1/sys/health", HEALTH | {"sealed": True}, 503, {}, FAIL, "sealed"),
    ("vault", "/v1/sys/health", HEALTH | {"initialized": False}, 501, {}, FAIL, "initialised"),
    ("vault", "/v1/sys/health", HEALTH | {"standby": True}, 429, {}, OK, "standby"),
    ("vault", "/v1/sys/health", HEALTH, 472, {}, WARN, "status 472"),
    ("vault", "/v1/sys/health", b"<html>", 200, {}, FAIL, "status 200"),
    ("consul", "/v1/status/leader", "10.1.10.12:8300", 200, {}, OK, "10.1.10.12:8300"),
    ("consul", "/v1/status/leader", "", 200, {}, FAIL, "no leader"),
    ("consul", "/v1/status/leader", b"ACL not found", 403, {}, FAIL, "ACL not found"),
    ("consul", "/v1/status/leader", [1], 200, {}, FAIL, "something else"),
    ("prometheus", "/api/v1/query", {"status": "success", "data": {}}, 200, {}, OK, "answers"),
    (
        "prometheus",
        "/api/v1/query",
        {"status": "success", "data": {}, "warnings": ["partial"]},
        200,
        {},
        WARN,
        "partial",
    ),
    ("registry", "/v2/", {}, 200, {}, OK, "OCI"),
    ("registry", "/v2/", {}, 401, {"WWW-Authenticate": "Bearer realm=x"}, OK, "a sign-in"),
    ("registry", "/v2/", {}, 401, {}, FAIL, "status 401"),
    ("registry", "/v2/", {}, 301, {"Location": "https://x"}, FAIL, "redirects"),
    ("jenkins", "/api/json", {"quietingDown": False}, 200, {"X-Jenkins": "2.5"}, OK, "2.5"),
    ("jenkins", "/api/json", {"quietingDown": True}, 200, {"X-Jenkins": "2.5"}, WARN, "shut down"),
    ("jenkins", "/api/json", {"quietingDown": False}, 200, {}, FAIL, "something else"),
    ("jenkins", "/api/json", b"", 403, {}, FAIL, "does not accept the token"),
    ("on_call", "/oncalls", ON_CALL, 200, {}, OK, "on call: Tim Wright"),
    ("on_call", "/oncalls", {"oncalls": []}, 200, {}, WARN, "nobody is on call"),
    (
        "on_call",
        "/oncalls",
        [{"user": "a", "end": "2020-01-01T00:00:00Z"}],
        200,
        {},
        WARN,
        "nobody",
    ),
    ("on_call", "/oncalls", {"error": {"code": 2006}}, 200, {}, FAIL, "expected a list"),
    ("on_call", "/oncalls", b"<html>", 200, {}, FAIL, "expected a list"),
    ("on_call", "/oncalls", b"", 401, {}, FAIL, "does not accept the token"),
    ("http", "/up", b"", 204, {}, OK, "204"),
    ("http", "/up", b"", 200, {}, FAIL, "expected status 204, found status 200"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda a: f"{a[0]} {a[3]} {a[6]}")
def test_what_an_answer_means(
    server: Server, answer: tuple[str, str, object, int, dict[str, str], Level, str]
) -> None:
    kind, path, body, status, headers, level, said = answer
    server.says(path, body, status, **headers)
    server.says("/v1/auth/token/lookup-self", {"data": {}})
    found = MAKE[kind](server.url).probe(deadline_s=5.0)
    assert (found.level, said in found.reason) == (level, True), found
    assert found.latency_ms >= 0


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.fault
def test_a_faulty_way_is_no_answer(server: Server, kind: str, fault: str) -> None:
    server.says("/v1/sys/health", HEALTH)
    server.says("/v1/status/leader", "10.1.10.12:8300")
    server.says("/api/v1/query", {"status": "success", "data": {}})
    server.says("/v2/", {"a": 1})
    server.says("/api/json", {"quietingDown": False}, X_Jenkins="2.5")
    server.says("/up", b"x", 204 if fault == "none" else 200)
    server.says("/oncalls", ON_CALL)
    with (
        faulty(server.url, fault) as url,
        pytest.raises(AdapterFailed) as caught,
    ):
        MAKE[kind](url).probe(deadline_s=0.25)
    assert caught.value.transient


def test_a_vault_that_does_not_accept_us_does_not_work(server: Server) -> None:
    server.says("/v1/sys/health", HEALTH)
    server.says("/v1/auth/token/lookup-self", {"errors": ["permission denied"]}, 403)
    found = vault(server.url).probe(deadline_s=5.0)
    assert (found.level, found.reason) == (FAIL, "status 403, permission denied")


def test_a_look_changes_nothing(server: Server) -> None:
    for kind, make in MAKE.items():
        server.says("/v1/sys/health", HEALTH)
        try:
            make(server.url).probe(deadline_s=5.0)
        except AdapterFailed:
            assert kind == "prometheus"
    assert {method for method, _, _ in server.asked} == {"GET"}
    basic = [headers for _, path, headers in server.asked if path.startswith("/api/json")]
    assert basic[0]["authorization"] == "Basic cmw6dDBrZW4tNWExYw=="


def test_a_receiver_is_reached_and_asked_nothing(server: Server) -> None:
    probe = ReachProbe("chat", "webhook", f"{server.url}/hooks/s3cret-path")
    found = probe.probe(deadline_s=5.0)
    assert (found.level, found.reason) == (OK, "can be reached")
    assert server.asked == []
    assert probe.address == server.url


def test_a_receiver_that_is_not_there_gives_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(AdapterFailed, match="cannot be reached"):
        ReachProbe("chat", "webhook", f"http://127.0.0.1:{port}").probe(deadline_s=1.0)


def test_a_receiver_without_a_trusted_certificate_does_not_work(server: Server) -> None:
    url = server.url.replace("http://", "https://")
    with pytest.raises(AdapterFailed):  # it does not even speak TLS
        ReachProbe("chat", "webhook", url).probe(deadline_s=2.0)
