"""Looks at integrations: a question that changes nothing there, and what its answer means."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from engine.adapters.http_ask import Question, Reply, ask, short
from engine.adapters.prometheus_http import PrometheusHttp
from engine.adapters.references import Secret, header_of
from engine.adapters.secrets_consul import ConsulHttp, consul_refusal
from engine.adapters.vault_http import VaultHttp, refusal
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed, Malformed
from engine.inputs.on_call import people
from engine.ports_integrations import ProbeResult

_BYTES_MAX: Final = 1024 * 1024
_LATE_S: Final = 0.25
Found = tuple[Level, str]


class _Named:
    """What an integration is called, and where it is."""

    def __init__(self, name: str, kind: str, address: str) -> None:
        self._name, self._kind, self._address = name, kind, address

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def address(self) -> str:
        return self._address


class QuestionProbe(_Named):
    """One HTTP question; `judge` says what its answer means."""

    def __init__(
        self,
        name: str,
        kind: str,
        address: str,
        question: Callable[[float], Reply],
        judge: Callable[[Reply], Found],
    ) -> None:
        super().__init__(name, kind, address)
        self._question, self._judge = question, judge

    def probe(self, *, deadline_s: float) -> ProbeResult:
        began_s = time.monotonic()
        reply = self._question(deadline_s)
        level, reason = self._judge(reply)
        took_ms = int((time.monotonic() - began_s) * 1000)
        return ProbeResult(level=level, reason=short(reason), latency_ms=took_ms)


# --- Vault ------------------------------------------------------------------------------------


def vault_probe(name: str, vault: VaultHttp) -> QuestionProbe:
    """Its health first, then whether it accepts us (`auth/token/lookup-self`)."""

    def question(deadline_s: float) -> Reply:
        ends_s = time.monotonic() + deadline_s
        health = vault.seal_status(deadline_s=deadline_s)
        if _vault(health)[0] is not Level.OK:
            return health
        left_s = max(0.01, ends_s - time.monotonic())
        own = vault.get("auth/token/lookup-self", deadline_s=left_s)
        return health if own.status == 200 else own

    return QuestionProbe(name, "vault", vault.url, question, _vault)


def _vault(reply: Reply) -> Found:
    health = _json(reply)
    if not isinstance(health, dict) or "sealed" not in health:
        return Level.FAIL, refusal(reply)
    if health.get("initialized") is False:
        return Level.FAIL, "it was never initialised"
    if health["sealed"]:
        return Level.FAIL, "it is sealed"
    if reply.status in {429, 473}:
        return Level.OK, f"version {health.get('version', '?')}, on standby"
    if reply.status != 200:
        return Level.WARN, refusal(reply)
    return Level.OK, f"version {health.get('version', '?')}, unsealed"


# --- Consul -----------------------------------------------------------------------------------


def consul_probe(name: str, consul: ConsulHttp) -> QuestionProbe:
    """Whether its cluster has a leader: without one nothing can be read consistently."""
    return QuestionProbe(
        name,
        "consul",
        consul.url,
        lambda deadline_s: consul.get("status/leader", deadline_s=deadline_s),
        _consul,
    )


def _consul(reply: Reply) -> Found:
    if reply.status != 200:
        return Level.FAIL, consul_refusal(reply)
    leader = _json(reply)
    if not isinstance(leader, str):
        return Level.FAIL, "expected the address of its leader, found something else"
    return (Level.OK, f"leader {leader}") if leader else (Level.FAIL, "it has no leader")


# --- Prometheus -------------------------------------------------------------------------------


class PrometheusProbe(_Named):
    """Whether it answers a query, with the token that the gate uses."""

    def __init__(self, name: str, url: str, prometheus: PrometheusHttp) -> None:
        super().__init__(name, "prometheus", url)
        self._prometheus = prometheus

    def probe(self, *, deadline_s: float) -> ProbeResult:
        began_s = time.monotonic()
        answer = self._prometheus.ask(
            "/api/v1/query", {"query": "vector(1)"}, deadline_s=deadline_s
        )
        took_ms = int((time.monotonic() - began_s) * 1000)
        if answer.warnings:
            return ProbeResult(
                level=Level.WARN, reason=short("; ".join(answer.warnings)), latency_ms=took_ms
            )
        return ProbeResult(level=Level.OK, reason="answers queries", latency_ms=took_ms)


# --- others over HTTP -------------------------------------------------------------------------


def registry_probe(
    name: str, url: str, *, token: Secret | None = None, ca: str = ""
) -> QuestionProbe:
    """The base of the OCI distribution API; a registry that asks who we are is there, too."""

    def judge(reply: Reply) -> Found:
        if reply.status == 200:
            return Level.OK, "speaks the OCI distribution API"
        if reply.status == 401 and token is None and "www-authenticate" in reply.headers:
            return Level.OK, "speaks the OCI distribution API, and asks for a sign-in"
        return Level.FAIL, _status(reply)

    base = url.rstrip("/")
    return QuestionProbe(name, "registry", base, _asking(f"{base}/v2/", token, ca), judge)


def jenkins_probe(
    name: str, url: str, *, user: str = "", token: Secret | None = None, ca: str = ""
) -> QuestionProbe:
    """Whether it takes work, and is not about to shut down."""

    def judge(reply: Reply) -> Found:
        if reply.status != 200:
            return Level.FAIL, _status(reply)
        told = _json(reply)
        if not isinstance(told, dict) or "x-jenkins" not in reply.headers:
            return Level.FAIL, "expected an answer of Jenkins, found something else"
        version = reply.headers["x-jenkins"]
        if told.get("quietingDown"):
            return Level.WARN, f"version {version} is about to shut down and takes no new work"
        return Level.OK, f"version {version}"

    base = url.rstrip("/")
    asking = _asking(f"{base}/api/json?tree=mode,quietingDown", token, ca, user=user)
    return QuestionProbe(name, "jenkins", base, asking, judge)


def on_call_probe(
    name: str,
    url: str,
    *,
    now_us: Callable[[], int],
    schedule: str = "",
    token: Secret | None = None,
    ca: str = "",
) -> QuestionProbe:
    """Whether somebody is on call now, as PagerDuty's `/oncalls` or a list like it tells."""

    def judge(reply: Reply) -> Found:
        if reply.status != 200:
            return Level.FAIL, _status(reply)
        try:
            found = people(_json(reply), now_us=now_us())
        except Malformed as error:
            return Level.FAIL, str(error)
        if not found:
            return Level.WARN, "nobody is on call"
        return Level.OK, f"on call: {', '.join(found)}"

    asked = f"{url}?{urlencode({'schedule_ids[]': schedule})}" if schedule else url
    return QuestionProbe(name, "on_call", url, _asking(asked, token, ca), judge)


def http_probe(
    name: str, url: str, *, expect: int = 200, token: Secret | None = None, ca: str = ""
) -> QuestionProbe:
    """Whether a GET of the address is answered with the expected status."""

    def judge(reply: Reply) -> Found:
        if reply.status == expect:
            return Level.OK, f"status {reply.status}"
        return Level.FAIL, f"expected status {expect}, found {_status(reply)}"

    return QuestionProbe(name, "http", url, _asking(url, token, ca), judge)


def _asking(url: str, token: Secret | None, ca: str, *, user: str = "") -> Callable[[float], Reply]:
    def question(deadline_s: float) -> Reply:
        headers = {}
        if token is not None:
            headers["Authorization"] = _authorization(user, header_of(token(), what="token"))
        asked = Question(url=url, headers=headers, ca=ca)
        return ask(asked, deadline_s=deadline_s, bytes_max=_BYTES_MAX)

    return question


def _authorization(user: str, token: str) -> str:
    if not user:
        return f"Bearer {token}"
    coded = base64.b64encode(f"{user}:{token}".encode()).decode()
    return f"Basic {coded}"


def _status(reply: Reply) -> str:
    if 300 <= reply.status < 400:
        return f"status {reply.status}: redirects are not followed; url has to be the last address"
    refused = " (it does not accept the token)" if reply.status in {401, 403} else ""
    return f"status {reply.status}{refused}"


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError):
        return None


# --- reachability -----------------------------------------------------------------------------


class ReachProbe(_Named):
    """Whether the host of an address can be reached, and shows a certificate that we trust.

    No request is made: a receiver of webhooks must not take a look for a delivery. Its address is
    told without the path, which is often a secret.
    """

    def __init__(self, name: str, kind: str, url: str, *, ca: str = "") -> None:
        parts = urlsplit(url)
        self._ca = ca
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        host = f"[{self._host}]" if ":" in self._host else self._host
        super().__init__(name, kind, f"{'https' if self._tls else 'http'}://{host}:{self._port}")

    def probe(self, *, deadline_s: float) -> ProbeResult:
        said: SimpleQueue[str | OSError] = SimpleQueue()
        began_s = time.monotonic()

        def work() -> None:
            try:
                said.put(self._reach(deadline_s))
            except OSError as error:
                said.put(error)

        threading.Thread(target=work, name="reach", daemon=True).start()
        try:
            outcome = said.get(timeout=deadline_s + _LATE_S)
        except Empty:
            outcome = TimeoutError()
        took_ms = int((time.monotonic() - began_s) * 1000)
        match outcome:
            case str(reason):
                return ProbeResult(level=Level.OK, reason=reason, latency_ms=took_ms)
            case ssl.SSLCertVerificationError(verify_message=why):
                reason = f"its certificate is not trusted: {why}"
                return ProbeResult(level=Level.FAIL, reason=reason, latency_ms=took_ms)
            case TimeoutError():
                told = f"gave no answer within {deadline_s:.1f} s"
            case error:
                told = f"cannot be reached: {error.strerror or error}"
        raise AdapterFailed(short(told), transient=True)

    def _reach(self, deadline_s: float) -> str:
        with socket.create_connection((self._host, self._port), timeout=deadline_s) as plain:
            if not self._tls:
                return "can be reached"
            context = ssl.create_default_context(cafile=self._ca or None)
            with context.wrap_socket(plain, server_hostname=self._host):
                return "can be reached, its certificate is trusted"
