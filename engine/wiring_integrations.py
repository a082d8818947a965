"""From the settings to what asks the servers that this home depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from engine.adapters.metrics_prometheus import PrometheusMetrics
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
from engine.adapters.references import Secret, secret_from
from engine.adapters.secrets_consul import ConsulConfig, ConsulHttp
from engine.adapters.secrets_env import EnvSecrets
from engine.adapters.secrets_file import FileSecrets
from engine.adapters.secrets_vault import VaultSecrets
from engine.adapters.vault_http import (
    AppRoleLogin,
    KubernetesLogin,
    TokenLogin,
    VaultHttp,
    VaultLogin,
)
from engine.core.feeds import is_url
from engine.core.vitals import Disk
from engine.integrations.depends import prometheus_names
from engine.integrations.desk import HealthDesk
from engine.integrations.prober import Probed, Prober
from engine.integrity import Integrity
from engine.outside import Outside
from engine.ports import Clock, EventStore, SecretSource
from engine.ports_integrations import Probe
from engine.rescans import Rescans
from engine.settings import Environment, IntegrationConfig, Settings
from engine.settings_integrations import VaultAuth
from engine.worker import Worker

_METRICS_TIMEOUT_S_MAX: Final = 30.0
_REACH_S: Final = 5.0


def secret_sources(
    settings: Settings, key: bytes, env: Mapping[str, str]
) -> dict[str, SecretSource]:
    """Every source of inputs that the settings declare, by scheme.

    Args:
        key: under which values are told equal.
    """
    sources: list[SecretSource] = [EnvSecrets(key, env), FileSecrets(key)]
    vault, consul = (settings.integrations.of_kind(kind) for kind in ("vault", "consul"))
    if vault is not None:
        sources.append(VaultSecrets(key, vault_of(vault, settings.home, env)))
    if consul is not None:
        sources.append(ConsulConfig(key, consul_of(consul, settings.home, env)))
    return {source.scheme: source for source in sources}


def probes_of(settings: Settings, env: Mapping[str, str], clock: Clock) -> tuple[Probed, ...]:
    """One for every integration, for every Prometheus that a workflow names, and for every receiver
    whose address stands in the settings: what stands elsewhere may be a secret, host and all."""
    found = [
        Probed(probe=_probe(one, settings.home, env, clock), deadline_s=one.timeout_ms / 1000)
        for one in settings.integrations.entries
    ]
    for name, environment in prometheus_names(settings).items():
        source = environment.workflow.metrics
        token = secret_of(source.token, "token", settings.home, env)
        found.append(
            Probed(
                probe=PrometheusProbe(name, source.url, PrometheusHttp(source.url, token=token)),
                deadline_s=min(_METRICS_TIMEOUT_S_MAX, source.timeout_ms / 1000),
            )
        )
    for hook in settings.webhooks:
        if is_url(hook.url):
            probe = ReachProbe(f"webhook-{hook.name}", "webhook", hook.url)
            found.append(Probed(probe=probe, deadline_s=_REACH_S))
    return tuple(found)


def prometheus_of(
    settings: Settings, one: Environment, clock: Clock, env: Mapping[str, str]
) -> PrometheusMetrics:
    """The Prometheus that an environment's workflow names."""
    source = one.workflow.metrics
    token = secret_of(source.token, "token", settings.home, env)
    return PrometheusMetrics(
        source.url,
        environment=one.name,
        targets=one.targets,
        clock=clock,
        slow_over_ms=source.slow_over_ms,
        max_sample_age_ms=source.max_sample_age_ms,
        names=source.series,
        token=token,
    )


def prober_of(
    settings: Settings, store: EventStore, clock: Clock, env: Mapping[str, str]
) -> Prober:
    probes = probes_of(settings, env, clock)
    return Prober(store=store, clock=clock, settings=settings, probes=probes)


def health_of(
    outside: Outside,
    worker: Worker,
    prober: Prober,
    rescans: Rescans,
    integrity: Integrity,
    disk: Callable[[], Disk],
) -> HealthDesk:
    return HealthDesk(
        worker=worker.health,
        policies=outside.desk,
        settings=outside.settings,
        prober=prober,
        rescans=rescans,
        disk=disk,
        stored=integrity.log,
        environment_of=lambda run_id: outside.store.run(run_id).environment,
        clock=outside.clock,
    )


def secret_of(reference: str, what: str, home: Path, env: Mapping[str, str]) -> Secret | None:
    """None for an empty reference: there is no such secret to send."""
    return secret_from(reference, home, env, what=what) if reference else None


def vault_of(one: IntegrationConfig, home: Path, env: Mapping[str, str]) -> VaultHttp:
    assert one.auth is not None
    return VaultHttp(one.url, login=_login(one.auth, home, env), namespace=one.namespace, ca=one.ca)


def consul_of(one: IntegrationConfig, home: Path, env: Mapping[str, str]) -> ConsulHttp:
    token = secret_of(one.token, "token", home, env)
    return ConsulHttp(one.url, token=token, datacenter=one.datacenter, ca=one.ca)


def _login(auth: VaultAuth, home: Path, env: Mapping[str, str]) -> VaultLogin:
    if auth.method == "token":
        return TokenLogin(token=secret_from(auth.token, home, env, what="token"))
    if auth.method == "approle":
        return AppRoleLogin(
            role_id=secret_from(auth.role_id, home, env, what="role id"),
            secret_id=secret_from(auth.secret_id, home, env, what="secret id"),
            mount=auth.mount,
        )
    jwt = secret_from(auth.jwt, home, env, what="service account token")
    return KubernetesLogin(role=auth.role, jwt=jwt, mount=auth.mount)


def _probe(one: IntegrationConfig, home: Path, env: Mapping[str, str], clock: Clock) -> Probe:
    token = secret_of(one.token, "token", home, env)
    match one.kind:
        case "vault":
            return vault_probe(one.name, vault_of(one, home, env))
        case "consul":
            return consul_probe(one.name, consul_of(one, home, env))
        case "registry":
            return registry_probe(one.name, one.url, token=token, ca=one.ca)
        case "jenkins":
            return jenkins_probe(one.name, one.url, user=one.user, token=token, ca=one.ca)
        case "http":
            return http_probe(one.name, one.url, expect=one.expect, token=token, ca=one.ca)
        case "on_call":
            return on_call_probe(
                one.name,
                one.url,
                now_us=clock.now_us,
                schedule=one.schedule,
                token=token,
                ca=one.ca,
            )
        case "webhook":
            return ReachProbe(one.name, one.kind, one.url, ca=one.ca)
