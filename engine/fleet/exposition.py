"""The fleet's numbers as a Prometheus reads them (text format 0.0.4), and where it finds them.

The router counts requests, so it exposes them, one series per target; each service says of itself
whether it is ready. A scrape that fails then tells which of the two is silent. Both are found by a
file of addresses, which the router writes anew whenever a target has moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from engine.core.metrics import LATENCY_BOUNDS_MS
from engine.fleet.balance import Backend, Balance
from engine.fleet.wire import Response

ROUTER_PATH: Final = "/metrics"
SERVICE_PATH: Final = "/-/metrics"  # a bundle may serve /metrics itself; control is not routed
_CONTENT_TYPE: Final = b"Content-Type: text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def as_text(lines: Iterable[str]) -> Response:
    return Response(200, "".join(f"{line}\n" for line in lines).encode(), [_CONTENT_TYPE])


def of_router(balance: Balance, *, unrouted: int, since_us: int) -> Iterator[str]:
    """The lines of the router: exact counts since it began, by target."""
    backends = list(balance.backends.values())
    yield from _family("http_requests_total", "counter", "Requests that ended, by their status.")
    for one in backends:
        for code in sorted({200, 500} | set(one.codes)):  # these two count from 0 and not from 1
            labels = {"target": one.target, "code": str(code)}
            yield _sample("http_requests_total", labels, one.codes.get(code, 0))
    name = "http_request_duration_seconds"
    yield from _family(name, "histogram", "From the request's arrival to the end of its answer.")
    for one in backends:
        for bound, count in _buckets(one, balance.slow_over_ms):
            yield _sample(f"{name}_bucket", {"target": one.target, "le": bound}, count)
        yield _sample(f"{name}_sum", {"target": one.target}, f"{one.took_us / 1e6:.6f}")
        yield _sample(f"{name}_count", {"target": one.target}, one.requests)
    yield from _family("router_target_weight", "gauge", "Share of the traffic, 0 to 100, as set.")
    for one in backends:
        yield _sample("router_target_weight", {"target": one.target}, one.weight)
    yield from _family("router_unrouted_total", "counter", "Requests that no target took.")
    yield _sample("router_unrouted_total", {}, unrouted)
    yield from _started(since_us)


def of_service(*, ready: bool, digest: str | None, since_us: int) -> Iterator[str]:
    """The lines of a service. Its target's name comes from where it was found."""
    yield from _family("target_ready", "gauge", "1 when this target serves its bundle.")
    yield _sample("target_ready", {}, int(ready))
    yield from _family("target_bundle_info", "gauge", "The bundle that this target serves.")
    if digest is not None:
        yield _sample("target_bundle_info", {"bundle": digest}, 1)
    yield from _started(since_us)


def addresses(environment: str, *, admin_port: int, ports: Mapping[str, int]) -> str:
    """The file for `file_sd_configs`: the router, and every service with a known port."""
    groups: list[dict[str, Any]] = [
        _group(admin_port, ROUTER_PATH, {"job": "fleet-router", "environment": environment})
    ]
    for target, port in sorted(ports.items()):
        labels = {"job": "fleet-target", "environment": environment, "target": target}
        groups.append(_group(port, SERVICE_PATH, labels))
    return json.dumps(groups, indent=1) + "\n"


def _group(port: int, path: str, labels: Labels) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {**labels, "__metrics_path__": path}}


def _buckets(one: Backend, slow_over_ms: int) -> list[tuple[str, int]]:
    """Cumulative counts by upper bound; the limit for slow requests is always one of them."""
    counts = dict(zip(LATENCY_BOUNDS_MS, accumulate(one.buckets[:-1]), strict=True))
    if slow_over_ms not in counts:
        # The limit may have been another one before: never below or above its neighbours.
        below = max((n for bound, n in counts.items() if bound < slow_over_ms), default=0)
        above = min((n for b, n in counts.items() if b > slow_over_ms), default=one.requests)
        counts[slow_over_ms] = min(max(one.requests - one.slow, below), above)
    bounds = [(f"{bound / 1000:g}", count) for bound, count in sorted(counts.items())]
    return [*bounds, ("+Inf", one.requests)]


def _started(since_us: int) -> Iterator[str]:
    name = "process_start_time_seconds"
    yield from _family(name, "gauge", "When this process began, Unix time.")
    yield _sample(name, {}, f"{since_us / 1e6:.6f}")


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: int | str) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
