"""A target's process: serves what it was given, says what it is, ends politely."""

from __future__ import annotations

import os
import signal
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from engine.adapters.runtime_fleet import FleetRuntime
from engine.core.bundle import Bundle, Component
from engine.core.errors import AdapterFailed
from engine.fleet import logfile, marker
from engine.fleet.ask import ask
from tests.fleet.kit import HELLO, Rig, eventually, make_bundle

pytestmark = pytest.mark.fleet


def fetch(port: int, path: str = "/") -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def serve(rig: Rig, code: str, files: dict[str, str] | None = None) -> int:
    """Deploy to the first target only and return its port."""
    target = rig.targets[0]
    rig.deploy(make_bundle(rig.blobs, "1", code, files), [target])
    return rig.fleet.services(target)[0].port


def test_the_handler_answers_for_every_path(rig: Rig) -> None:
    port = serve(
        rig,
        """
import sys
def handle(path):
    if path == '/boom': raise ValueError('no')
    if path == '/exit': sys.exit(3)
    if path == '/odd': return 'not', 'bytes'
    if path == '/hello': return 101, b''
    if path == '/empty': return 204, b'not empty'
    return 201, path.encode()
""",
    )
    assert fetch(port, "/a/b?c=d") == (201, b"/a/b?c=d")
    assert fetch(port, "/empty") == (204, b"")
    for path in ("/boom", "/exit", "/odd", "/hello"):
        assert fetch(port, path)[0] == 500
    assert fetch(port)[0] == 201  # none of them ended the process
    lines = [line.text for line in rig.driver.logs(rig.targets[0], since_us=0, limit=50)]
    assert any("ValueError at app.py:5: no" in line for line in lines)


def test_a_sleeping_handler_does_not_block_the_others(rig: Rig) -> None:
    port = serve(
        rig,
        "import time\ndef handle(path):\n"
        "    time.sleep(1.0 if path == '/slow' else 0)\n    return 200, b''\n",
    )
    slow = [threading.Thread(target=fetch, args=(port, "/slow")) for _ in range(8)]
    for thread in slow:
        thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    assert fetch(port)[0] == 200
    assert ask(port, "/healthz", deadline_s=1.0)["ready"]
    assert time.monotonic() - began < 0.5
    for thread in slow:
        thread.join()


def test_an_async_handler_is_awaited(rig: Rig) -> None:
    port = serve(
        rig,
        "import asyncio\nasync def handle(path):\n    await asyncio.sleep(0)\n    return 200, b'a'",
    )
    assert fetch(port) == (200, b"a")


def test_health_says_what_runs(rig: Rig) -> None:
    before_us = time.time_ns() // 1000
    port = serve(rig, HELLO)
    target = rig.targets[0]
    health = ask(port, "/healthz", deadline_s=1.0)
    process = rig.fleet.services(target)[0]
    assert health["target"] == target
    assert health["digest"] == str(rig.running()[target])
    assert (health["ready"], health["epoch"], health["pid"]) == (True, 1, process.pid)
    assert before_us <= health["since_us"] <= time.time_ns() // 1000


def test_observed_is_what_is_loaded_from_this_bundle(rig: Rig) -> None:
    listed = """[
        {"purl": "pkg:pypi/used@1.0", "module": "used"},
        {"purl": "pkg:pypi/unused@2.0", "module": "unused"},
        {"purl": "pkg:pypi/json@0", "module": "json"}
    ]"""
    files = {"components.json": listed, "used.py": "", "unused.py": ""}
    serve(rig, "import used\n" + HELLO, files)
    (facts,) = FleetRuntime(rig.fleet).observe(deadline_s=2.0).values()
    assert facts.components == ("pkg:pypi/json@0", "pkg:pypi/unused@2.0", "pkg:pypi/used@1.0")
    assert facts.observed == ("pkg:pypi/used@1.0",)  # json is loaded, but it is Python's own
    assert facts.digest == rig.running()[rig.targets[0]]


def test_a_bundle_without_an_app_serves_its_manifest(rig: Rig) -> None:
    data = Component(
        name="data.bin", digest=rig.blobs.put(b"x"), size=1, media_type="application/octet-stream"
    )
    bundle = Bundle(name="data", version="1", components=(data,))
    rig.deploy(rig.blobs.put(bundle.manifest()), [rig.targets[0]])
    port = rig.fleet.services(rig.targets[0])[0].port
    assert fetch(port, "/anything") == (200, bundle.manifest())


def test_injected_errors_are_exact_and_latency_is_real(rig: Rig) -> None:
    port = serve(rig, HELLO)
    rig.fleet.inject(rig.targets[0], error_rate_bp=500, latency_ms=0)
    codes = [fetch(port)[0] for _ in range(200)]
    assert codes.count(500) == 10
    rig.fleet.inject(rig.targets[0], error_rate_bp=0, latency_ms=120)
    began = time.monotonic()
    assert fetch(port)[0] == 200
    assert time.monotonic() - began >= 0.12
    assert ask(port, "/healthz", deadline_s=1.0)["ready"]


def test_control_requests_are_refused_when_a_web_page_could_have_sent_them(rig: Rig) -> None:
    port = serve(rig, HELLO)
    assert fetch(port, "/-/inject")[0] == 405
    plain = urllib.request.Request(
        f"http://127.0.0.1:{port}/-/inject", data=b"{}", headers={"Content-Type": "text/plain"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(plain, timeout=5)
    assert refused.value.code == 415
    for body in ({"error_rate_bp": 10_001}, {"latency_ms": "much"}, []):
        with pytest.raises(AdapterFailed, match="status 400"):
            ask(port, "/-/inject", body=body, deadline_s=1.0)


def test_term_lets_requests_under_way_end(rig: Rig) -> None:
    port = serve(
        rig, "import time\ndef handle(path):\n    time.sleep(0.5)\n    return 200, b'done'"
    )
    got: list[tuple[int, bytes]] = []
    thread = threading.Thread(target=lambda: got.append(fetch(port)))
    thread.start()
    time.sleep(0.2)
    (process,) = rig.fleet.services(rig.targets[0])
    assert marker.end(process, grace_s=3.0)
    thread.join()
    assert got == [(200, b"done")]


def cut_off(port: int) -> None:
    with pytest.raises(OSError):
        fetch(port)


def test_term_ends_a_process_whose_handler_never_returns(rig: Rig) -> None:
    port = serve(rig, "import time\ndef handle(path):\n    time.sleep(600)\n")
    thread = threading.Thread(target=cut_off, args=(port,))
    thread.start()
    time.sleep(0.2)
    (process,) = rig.fleet.services(rig.targets[0])
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert marker.wait_ended(process, timeout_s=8.0)
    assert 4.0 < time.monotonic() - began < 7.0
    thread.join()


def test_a_service_imports_nothing_heavy(rig: Rig) -> None:
    heavy = "('pydantic','cryptography','duckdb','streamlit','httpx','ssl.x','engine.core.plan')"
    port = serve(
        rig,
        f"import sys\ndef handle(path):\n"
        f"    found = [m for m in {heavy} if m in sys.modules]\n"
        f"    return 200, repr((found, [p for p in sys.path if 'site-packages' in p])).encode()\n",
    )
    assert fetch(port) == (200, b"([], [])")
    (process,) = rig.fleet.services(rig.targets[0])
    status = Path(f"/proc/{process.pid}/status").read_text()
    rss_kib = int(status.partition("VmRSS:")[2].split()[0])
    assert rss_kib < 40_000


def test_what_a_bundle_prints_is_in_its_log_and_the_log_is_bounded(rig: Rig) -> None:
    port = serve(
        rig,
        "def handle(path):\n    print('x' * 400_000, flush=True)\n"
        "    print('printed', path, flush=True)\n    return 200, b''\n",
    )
    for n in range(6):
        assert fetch(port, f"/{n}")[0] == 200
        time.sleep(0.25)  # the bound is looked after once a second
    home = rig.fleet.home(rig.targets[0])
    eventually(lambda: logfile.older(home / "service.log").exists())
    assert fetch(port, "/last")[0] == 200
    lines = list(rig.driver.logs(rig.targets[0], since_us=0, limit=3))
    assert [line.text for line in lines][-1] == "printed /last"
    assert lines[-1].stream == "output"
    size = sum(path.stat().st_size for path in home.glob("service.log*"))
    assert size < 2 * (logfile.BYTES_MAX + 2_500_000)


def test_a_handler_that_fails_often_does_not_fill_the_log(rig: Rig) -> None:
    port = serve(rig, "def handle(path):\n    raise ValueError(path)\n")
    for _ in range(60):
        fetch(port)
    lines = list(rig.driver.logs(rig.targets[0], since_us=0, limit=1000))
    assert 5 <= sum("ValueError" in line.text for line in lines) < 30
    assert any("not written down" in line.text for line in lines)
