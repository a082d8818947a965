"""The router: where traffic goes, what survives whom, and that its counts are the truth."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time

import pytest

from engine.core.errors import AdapterFailed
from engine.fleet import marker
from engine.fleet.control import Fleet
from tests.fleet.kit import Rig, eventually, finish_load

pytestmark = pytest.mark.fleet


def counters(rig: Rig) -> dict[str, dict[str, int]]:
    answer: dict[str, dict[str, int]] = rig.fleet.router("/counters")["targets"]
    return answer


def traffic(rig: Rig) -> http.client.HTTPConnection:
    port = int(rig.fleet.traffic_url.rpartition(":")[2])
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def ask_once(connection: http.client.HTTPConnection, method: str = "GET") -> tuple[int, str]:
    connection.request(method, "/")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get("Releaseline-Target", "")


def test_counters_are_the_load_generators_totals(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.inject(rig.targets[0], error_rate_bp=1_000, latency_ms=0)
    rig.fleet.inject(rig.targets[2], error_rate_bp=0, latency_ms=300)
    rig.fleet.ensure_load(150)
    eventually(lambda: rig.fleet.load_totals()["sent"] > 300)
    totals = finish_load(rig.fleet)
    counted = counters(rig)
    assert sum(c["requests"] for c in counted.values()) == totals["sent"]
    assert counted["t00"]["errors"] == totals["failed"]["status_500"]  # type: ignore[index]
    assert totals["sent"] == totals["ok"] + sum(totals["failed"].values())  # type: ignore
    assert counted["t02"]["slow"] == counted["t02"]["requests"]
    assert counted["t01"]["errors"] == counted["t01"]["slow"] == 0
    assert (
        max(c["requests"] for c in counted.values()) - min(c["requests"] for c in counted.values())
        <= 1
    )


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_weights_share_the_traffic_and_outlive_the_router(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    asked = {"t00": 50, "t01": 25, "t02": 0}
    assert rig.driver.set_traffic(asked, op_id="op", epoch=1, deadline_s=5.0) == asked
    connection = traffic(rig)
    seen = [ask_once(connection)[1] for _ in range(30)]
    assert {t: seen.count(t) for t in asked} == {"t00": 20, "t01": 10, "t02": 0}
    url = rig.fleet.traffic_url
    (router,) = (p for p in rig.fleet.processes() if p.role == marker.ROUTER)
    os.kill(router.pid, signal.SIGKILL)
    marker.wait_ended(router, timeout_s=2.0)
    with pytest.raises(AdapterFailed, match="no router"):
        rig.fleet.router("/counters")
    # The port is a wish: in between anybody on the machine may have been given it.
    free = _is_free(int(url.rpartition(":")[2]))
    rig.fleet.ensure_router()
    assert rig.fleet.traffic_url == url or not free
    assert {t: c["weight"] for t, c in counters(rig).items()} == asked
    assert ask_once(traffic(rig))[0] == 200
    with pytest.raises(AdapterFailed, match="0 to 100"):
        rig.driver.set_traffic({"t00": 101}, op_id="op", epoch=1, deadline_s=5.0)


def test_a_crashed_target_is_routed_around_and_its_failure_counted(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    rig.fleet.ensure_load(100)
    eventually(lambda: rig.fleet.load_totals()["ok"] > 50)
    (process,) = rig.fleet.services("t01")
    os.kill(process.pid, signal.SIGKILL)
    before = rig.fleet.load_totals()["ok"]
    eventually(lambda: rig.fleet.load_totals()["ok"] > before + 100)
    totals = finish_load(rig.fleet)
    counted = counters(rig)
    assert totals["failed"] == {}  # another target answered instead
    assert counted["t01"]["errors"] >= 1
    assert not counted["t01"]["up"]
    attempts = sum(c["requests"] for c in counted.values())
    assert attempts == totals["sent"] + counted["t01"]["errors"]  # type: ignore[operator]
    assert rig.apply(rig.plan(rig.bundle("1"), ["t01"])).ok
    assert counters(rig)["t01"]["up"]


def test_a_target_that_came_back_on_another_port_is_found(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    (process,) = rig.fleet.services("t00")
    assert marker.end(process, grace_s=3.0)
    (rig.fleet.home("t00") / "port").write_text("0")
    moved = rig.fleet.start_service("t00")
    assert moved.port != process.port
    eventually(lambda: counters(rig)["t00"]["port"] == moved.port)
    eventually(lambda: counters(rig)["t00"]["healthy"] is True)


def test_requests_wait_while_the_only_target_is_switched(rig: Rig) -> None:
    only = [rig.targets[0]]
    rig.deploy(rig.bundle("1"), only)
    others = dict.fromkeys(rig.targets[1:], 0)
    rig.driver.set_traffic(others, op_id="op", epoch=1, deadline_s=5.0)
    rig.fleet.ensure_load(50)
    rig.deploy(rig.bundle("2"), only)
    totals = finish_load(rig.fleet)
    assert totals["failed"] == {}
    assert totals["ok"] == totals["sent"] > 5  # type: ignore[operator]


def test_control_requests_do_not_pass_from_the_traffic_side(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    connection = traffic(rig)
    for path in ("/-/inject", "/-/"):
        connection.request(
            "POST", path, b'{"error_rate_bp": 10000}', {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 404
    assert [ask_once(connection)[0] for _ in range(6)] == [200] * 6


def test_with_no_target_the_answer_is_503_and_counted_apart(rig: Rig) -> None:
    rig.deploy(rig.bundle("1"))
    weights = dict.fromkeys(rig.targets, 0)
    rig.driver.set_traffic(weights, op_id="op", epoch=1, deadline_s=5.0)
    began = time.monotonic()
    assert ask_once(traffic(rig))[0] == 503
    assert time.monotonic() - began >= 4.5  # it was held first
    assert rig.fleet.router("/counters")["unrouted"] == 1
    assert all(c["requests"] == 0 for c in counters(rig).values())


def test_a_stale_connection_is_retried_only_when_that_is_safe(rig: Rig) -> None:
    """Each target dies once it has been asked; the next request meets its closed connection."""
    rig.deploy(rig.bundle("1", "import os\ndef handle(path):\n    os._exit(1)\n"))
    status, _ = ask_once(traffic(rig), "POST")
    assert status == 502  # it was sent: it may have been done
    errors = [c["errors"] for c in counters(rig).values()]
    assert sum(errors) == 1


def test_drain_waits_for_requests_under_way(rig: Rig) -> None:
    slow = "import time\ndef handle(path):\n    time.sleep(0.6)\n    return 200, b''\n"
    rig.deploy(rig.bundle("1", slow))
    rig.driver.set_traffic({"t01": 0, "t02": 0}, op_id="op", epoch=1, deadline_s=5.0)
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(ask_once(traffic(rig))[0]))
    thread.start()
    eventually(lambda: counters(rig)["t00"]["in_flight"] == 1)
    began = time.monotonic()
    answer = rig.fleet.router("/drain", {"target": "t00", "wait_s": 5.0}, deadline_s=6.0)
    assert answer == {"in_flight": 0}
    assert time.monotonic() - began > 0.3
    thread.join()
    assert got == [200]
    rig.fleet.router("/undrain", {"target": "t00"})
    threading.Thread(target=lambda: ask_once(traffic(rig))).start()
    eventually(lambda: counters(rig)["t00"]["in_flight"] == 1)
    answer = rig.fleet.router("/drain", {"target": "t00", "wait_s": 0.1}, deadline_s=6.0)
    assert answer == {"in_flight": 1}  # said, not waited for beyond its time


def test_damaged_state_of_the_router_is_said_and_not_fatal(rig: Rig) -> None:
    home = rig.fleet.root / "router"
    home.mkdir(parents=True)
    (home / "state.json").write_text('{"targets": {"t00": [')
    (home / "port").write_text("999999")
    rig.fleet.ensure_router()
    assert {c["weight"] for c in counters(rig).values()} == {100}
    assert "unreadable" in (home / "router.log").read_text()


def test_a_hanging_router_is_replaced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.fleet.control.HUNG_AFTER_S", 1.0)
    rig.fleet.ensure_router()
    (hung,) = rig.fleet.processes()
    os.kill(hung.pid, signal.SIGSTOP)
    with pytest.raises(AdapterFailed, match="no answer"):
        rig.fleet.ensure_router(deadline_s=0.2)  # who has no time may not judge
    assert rig.fleet.processes() == (hung,)
    Fleet(rig.fleet.root, environment="eu-stage", targets=rig.targets).ensure_router()
    (fresh,) = rig.fleet.processes()
    assert fresh.pid != hung.pid
