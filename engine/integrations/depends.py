"""What rests on which integration, from the settings alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.settings import Environment, IntegrationConfig, MetricsConfig, Settings

PROMETHEUS: Final = "prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependent:
    """Something of an environment that does not work without the integration, in words."""

    environment: str
    text: str


def prometheus_names(settings: Settings) -> dict[str, Environment]:
    """The Prometheus servers that workflows name, each once: name to the first environment of it.

    The first is called `prometheus`, others after their workflow as well.
    """
    taken = {one.name for one in settings.integrations.entries}
    found: dict[str, Environment] = {}
    seen: set[tuple[str, str]] = set()
    for environment in settings.environments.values():
        source = environment.workflow.metrics
        if source.type != PROMETHEUS or _asked(source) in seen:
            continue
        seen.add(_asked(source))
        name = PROMETHEUS
        if name in taken or name in found:
            name = f"{PROMETHEUS}-{environment.workflow.name}"
        found[name] = environment
    return found


def dependents(settings: Settings) -> Mapping[str, tuple[Dependent, ...]]:
    """By name of integration, in order of environments; nothing where nothing rests on it."""
    found = {one.name: _inputs(settings, one) for one in settings.integrations.entries}
    for name, first in prometheus_names(settings).items():
        asked = _asked(first.workflow.metrics)
        found[name] = tuple(
            Dependent(environment=one.name, text=f"health gates of {one.name}")
            for one in settings.environments.values()
            if one.workflow.metrics.type == PROMETHEUS and _asked(one.workflow.metrics) == asked
        )
    return found


def _inputs(settings: Settings, one: IntegrationConfig) -> tuple[Dependent, ...]:
    found = []
    for environment in settings.environments.values():
        names = [declared.name for declared in environment.inputs if declared.scheme == one.kind]
        if names:
            text = f"inputs of {environment.name} ({', '.join(names)})"
            found.append(Dependent(environment=environment.name, text=text))
    return tuple(found)


def _asked(source: MetricsConfig) -> tuple[str, str]:
    return source.url.rstrip("/"), source.token
