"""Images as a registry holds them, and a registry that answers what it was told to."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha(content), "size": len(content)}


@dataclass(frozen=True)
class Image:
    manifest: bytes
    blobs: dict[str, bytes]


def image(*layers: bytes) -> Image:
    config = b'{"os":"linux"}'
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(one, "application/vnd.oci.image.layer.v1.tar+gzip") for one in layers],
    }
    return Image(json.dumps(document).encode(), {sha(one): one for one in (config, *layers)})


def index(*images: Image) -> bytes:
    listed = [described(one.manifest, MANIFEST) for one in images]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()


@dataclass
class Answer:
    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stated: int | None = None  # Content-Length, where it is not that of the content
    every_s: float = 0.0  # between two bytes


@dataclass
class Registry:
    """`answers`: by path. `wants`: what Authorization has to be; empty = nothing."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    wants: str = ""
    challenge: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def hold(self, repo: str, tag: str, one: Image) -> None:
        for name in (tag, sha(one.manifest)):
            self.answers[f"/v2/{repo}/manifests/{name}"] = Answer(content=one.manifest)
        for digest, content in one.blobs.items():
            self.answers[f"/v2/{repo}/blobs/{digest}"] = Answer(content=content)


@contextmanager
def serving() -> Iterator[Registry]:
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            registry.asked.append((self.path, given))
            path = self.path.partition("?")[0]
            answer = registry.answers.get(path, Answer(status=404))
            if path.startswith("/v2/") and registry.wants not in {"", given}:
                answer = Answer(status=401, headers={"WWW-Authenticate": registry.challenge})
            self.send_response(answer.status)
            length = len(answer.content) if answer.stated is None else answer.stated
            for name, text in {**answer.headers, "Content-Length": str(length)}.items():
                self.send_header(name, text)
            self.end_headers()
            if not answer.every_s:
                self.wfile.write(answer.content)
                return
            try:
                for byte in answer.content:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answer.every_s)
            except OSError:
                pass  # whoever asked has had enough

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
