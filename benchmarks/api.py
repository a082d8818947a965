"""How long the API takes to answer while a promotion runs, beside bare FastAPI in the same process.

    python benchmarks/api.py [--rate 200] [--seconds 20]

A demo home with its real fleet and real traffic; a release stands in its first canary, watched by
its gate. A process of its own asks at a steady rate, however long the answers take, and counts each
from the moment at which it should have been asked for. Nine of ten requests read, one puts a
comment on record. Bare FastAPI answers a small document, and takes one, behind the same server, at
the same rate, while the same promotion runs. Last, what one answer of each costs the processor when
nobody else asks: that says more than the times do where other programs run beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from engine.api.app import PREFIX
from engine.api.server import Server
from engine.core.digest import Digest
from engine.demo.home import prepare
from engine.demo.player import OPERATOR, Player

ENVIRONMENT = "eu-stage"
TRAFFIC_RPS = 60
BAR_MS = 100.0
WRITE = "POST"
# (method, path); every tenth request is a write.
BARE = (("GET", "/bare/read"),) * 9 + ((WRITE, "/bare/write"),)
OURS = (
    ("GET", "/runs/RUN"),
    ("GET", "/runs/RUN/actions"),
    ("GET", "/runs"),
    ("GET", "/runs/RUN"),
    ("GET", "/runs/RUN/events?limit=50"),
    ("GET", "/approvals"),
    ("GET", "/data-health"),
    ("GET", "/environments"),
    ("GET", "/audit?limit=20"),
    (WRITE, "/runs/RUN/actions"),
)


def bare() -> FastAPI:
    """A route that reads and one that writes, and nothing around them."""
    api = FastAPI()

    @api.get("/read")
    def read() -> dict[str, str]:
        return {"status": "RUNNING"}

    @api.post("/write")
    def write(body: dict[str, str]) -> dict[str, str]:
        return body

    return api


async def ask(
    url: str, token: str, asked: Sequence[Sequence[str]], rate: int, seconds: int
) -> dict:
    """Milliseconds of every answer, by what was asked for."""
    took: dict[str, list[float]] = {}

    async def one(http: httpx.AsyncClient, n: int, due_s: float) -> None:
        method, path = asked[n % len(asked)]
        body = {"action": "comment", "reason": f"note {n}"} if method == WRITE else None
        answer = await http.request(method, f"{url}{path}", json=body)
        assert answer.is_success, (path, answer.status_code, answer.text[:300])
        took.setdefault(f"{method} {path}", []).append((time.monotonic() - due_s) * 1_000)

    header = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=header, timeout=60, trust_env=False) as http:
        began_s, waiting = time.monotonic(), []
        for n in range(rate * seconds):
            due_s = began_s + n / rate
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            waiting.append(asyncio.create_task(one(http, n, due_s)))
        await asyncio.gather(*waiting)
    return took


@contextmanager
def served(home: Path) -> Iterator[tuple[Server, str]]:
    """The product's own routes and gate, and the bare application beside them, on a free port."""
    prepare(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = home / "releaseline.yaml"
    text = settings.read_text().replace("port: 8501", f"port: {port}")
    settings.write_text(
        text.replace("{per_second: 100, burst: 400}", "{per_second: 9999, burst: 9999}")
    )
    os.environ["RELEASELINE_HOME"] = str(home)
    server = Server()
    ours = Starlette(routes=server.routes(), middleware=server.middleware())
    app = Starlette(routes=[Mount("/bare", bare()), Mount("/", ours)], lifespan=server.lifespan)
    http = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    try:
        while not http.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.05)
        yield server, f"http://127.0.0.1:{port}"
    finally:
        fleets = server.services.fleets if http.started else {}
        http.should_exit = True
        thread.join(60)
        for fleet in fleets.values():
            fleet.stop()


def in_canary(server: Server) -> str:
    """A run whose first canary is set and watched, under real traffic."""
    player = Player(server.services, speed=1, say=print, stopping=threading.Event())
    try:
        player.bring_up(ENVIRONMENT, lambda: Digest.parse(player.bundle("before")["digest"]))
        server.services.fleets[ENVIRONMENT].ensure_load(TRAFFIC_RPS)
        run_id = player.promote(player.bundle("healthy")["digest"], ENVIRONMENT, "to be measured")
        while not server.services.store.run(run_id).changed_targets:
            run = server.services.store.run(run_id)
            assert not run.terminal, (run.status, run.outcome_reason)
            time.sleep(0.2)
        return run_id
    finally:
        player.close()


def measured(url: str, token: str, asked: Sequence[Sequence[str]], rate: int, seconds: int) -> dict:
    """Asked by a process of its own, so that its work is not counted as ours."""
    words = [sys.executable, __file__, "--rate", str(rate), "--seconds", str(seconds), "--ask"]
    done = subprocess.run(  # noqa: S603 (this very file)
        [*words, json.dumps([url, token, asked])], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def cost_ms(url: str, token: str, method: str, path: str, *, times: int = 40) -> float:
    """Milliseconds of this process's processor time, one request after another, without ours."""
    header = {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=header, timeout=60, trust_env=False) as http:
        whole_s, asking_s = time.process_time(), time.thread_time()
        for n in range(times):
            body = {"action": "comment", "reason": f"note {n}"} if method == WRITE else None
            http.request(method, f"{url}{path}", json=body).raise_for_status()
        asking_s = time.thread_time() - asking_s
        return (time.process_time() - whole_s - asking_s) / times * 1_000


def share(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def told(name: str, values: Sequence[float], base: float) -> None:
    p99 = share(values, 0.99)
    print(
        f"{name:<32} {len(values):>5}  {share(values, 0.5):7.1f}  {p99:7.1f}  {max(values):7.1f}"
        f"  {p99 / base:6.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--ask", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        url, token, asked = json.loads(options.ask)
        took = asyncio.run(ask(url, token, asked, options.rate, options.seconds))
        print(json.dumps(took))
        return
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as (server, url):
        run_id = in_canary(server)
        made = server.services.identity.create_token(OPERATOR, service=False, actor="benchmark")
        ours = [(method, f"{PREFIX}{path.replace('RUN', run_id)}") for method, path in OURS]
        base = measured(url, made.token, BARE, options.rate, options.seconds)
        took = measured(url, made.token, ours, options.rate, options.seconds)
        costs = {
            (method, path): cost_ms(url, made.token, method, path)
            for method, path in dict.fromkeys((*BARE, *ours))
        }
        status = server.services.store.run(run_id).status
    bare_ms = {name.split()[0]: share(values, 0.99) for name, values in base.items()}
    print(f"{options.rate} requests/s, the run is {status}, load average {os.getloadavg()[0]:.1f}")
    print(f"{'milliseconds':<32} {'n':>5}  {'p50':>7}  {'p99':>7}  {'max':>7}  x bare")
    for name, values in sorted(base.items()):
        told(f"bare {name.split('/')[-1]}", values, bare_ms[name.split()[0]])
    for name, values in sorted(took.items()):
        told(name.replace(PREFIX, "").replace(run_id, "RUN"), values, bare_ms[name.split()[0]])
    every = [one for values in took.values() for one in values]
    print("processor time of one answer, in milliseconds:")
    for (method, path), cost in costs.items():
        print(f"  {method} {path.replace(PREFIX, '').replace(run_id, 'RUN'):<30} {cost:6.1f}")
    verdict = "met" if share(every, 0.99) < BAR_MS else "missed"
    print(f"all of ours: p99 {share(every, 0.99):.1f} ms; the bar of {BAR_MS:.0f} ms is {verdict}")


if __name__ == "__main__":
    main()
