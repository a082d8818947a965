"""The text that a Prometheus scrapes: exact, cumulative, and safe with any name."""

from __future__ import annotations

import json
import re

import pytest

from engine.fleet import exposition
from engine.fleet.balance import Balance


def _samples(lines: list[str]) -> dict[str, float]:
    plain = [line for line in lines if not line.startswith("#")]
    samples = {name: float(value) for name, _, value in (s.rpartition(" ") for s in plain)}
    assert len(samples) == len(plain), "each series once"
    return samples


def _exposed(*, slow_over_ms: int = 250, target: str = "a") -> dict[str, float]:
    balance = Balance(slow_over_ms=slow_over_ms, now_s=0.0)
    balance.retarget([target])
    one = balance.backends[target]
    for code, took_ms in ((200, 0.5), (200, 130.0), (404, 200.0), (503, 260.0), (200, 20_000.0)):
        balance.count(one, code=code, took_ms=took_ms, now_s=0.0)
    return _samples(list(exposition.of_router(balance, unrouted=3, since_us=1_500_000)))


def test_every_request_is_exposed_by_code_and_by_duration() -> None:
    found = _exposed()
    codes = {
        c: found[f'http_requests_total{{target="a",code="{c}"}}'] for c in (200, 404, 500, 503)
    }
    assert codes == {200: 3, 404: 1, 500: 0, 503: 1}  # 500 counts from 0, before the first one
    bucket = 'http_request_duration_seconds_bucket{target="a",le="%s"}'
    assert [found[bucket % le] for le in ("0.001", "0.15", "0.25", "10", "+Inf")] == [1, 2, 3, 4, 5]
    assert found['http_request_duration_seconds_count{target="a"}'] == 5
    assert found['http_request_duration_seconds_sum{target="a"}'] == pytest.approx(20.5905)
    assert found["router_unrouted_total"] == 3
    assert found["process_start_time_seconds"] == 1.5


@pytest.mark.parametrize("slow_over_ms", [123, 250, 30_000])
def test_buckets_only_grow_and_the_limit_for_slow_is_one(slow_over_ms: int) -> None:
    found = _exposed(slow_over_ms=slow_over_ms)
    bounds = {
        float(match[1]): value
        for name, value in found.items()
        if (match := re.search(r'_bucket.*le="([^"]+)"', name))
    }
    assert slow_over_ms / 1000 in bounds
    counts = [bounds[bound] for bound in sorted(bounds)]
    assert counts == sorted(counts)


def test_a_name_cannot_leave_its_quotes() -> None:
    found = _exposed(target='a"} 1\nevil{x="\\')
    assert not any(name.startswith("evil") for name in found)


def test_a_service_tells_whether_it_is_ready_and_what_it_serves() -> None:
    ready = _samples(list(exposition.of_service(ready=True, digest="sha256:ab", since_us=0)))
    assert ready["target_ready"] == 1
    assert ready['target_bundle_info{bundle="sha256:ab"}'] == 1
    broken = _samples(list(exposition.of_service(ready=False, digest=None, since_us=0)))
    assert broken["target_ready"] == 0
    assert not any(name.startswith("target_bundle_info") for name in broken)


def test_addresses_are_those_of_the_router_and_of_each_known_target() -> None:
    groups = json.loads(exposition.addresses("prod", admin_port=1, ports={"b": 3, "a": 2}))
    assert [(g["targets"], g["labels"].get("target")) for g in groups] == [
        (["127.0.0.1:1"], None),
        (["127.0.0.1:2"], "a"),
        (["127.0.0.1:3"], "b"),
    ]
    assert {g["labels"]["environment"] for g in groups} == {"prod"}
