"""Over TLS: the judged IP is asked, and its certificate has to name the host that was meant."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.adapters import http_ask
from engine.adapters.guarded_http import GuardedHttp
from engine.core.errors import AdapterFailed
from engine.core.outbound import Allowed

NAME = "hooks.internal"
SEEN: list[tuple[str | None, str]] = []


def certificate(folder: Path) -> Path:
    """One file with a key and a certificate of its own for NAME alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    http_ask._system.cache_clear()
    names: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            SEEN.append((names[-1], self.headers["host"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda _, name, __: names.append(name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    SEEN.clear()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    http_ask._system.cache_clear()


def asked(host: str, port: int) -> int:
    guarded = GuardedHttp(
        Allowed(hosts=frozenset({host})), resolve=lambda name, number: ["127.0.0.1"]
    )
    url = f"https://{host}:{port}/in"
    return guarded.ask("GET", url, headers={}, deadline_s=10, bytes_max=100).status


def test_the_name_goes_into_the_handshake_and_the_header(port: int) -> None:
    assert asked(NAME, port) == 200
    assert [(NAME, f"{NAME}:{port}")] == SEEN


def test_a_certificate_of_another_name_is_no_answer(port: int) -> None:
    with pytest.raises(AdapterFailed, match=r"not valid for 'other\.internal'"):
        asked("other.internal", port)
    assert SEEN == []
