"""One bounded question: why there was no answer is said as the system says it."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from engine.adapters.http_ask import Question, ask, short
from engine.adapters.probes import ReachProbe
from engine.core.data_health import Level
from engine.core.errors import AdapterFailed
from tests.integrations.kit import Server


def why_not(url: str, **more: str) -> AdapterFailed:
    with pytest.raises(AdapterFailed) as caught:
        ask(Question(url=url, **more), deadline_s=5.0, bytes_max=1_000)
    return caught.value


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of its own making. Yields its address and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as client:
                    if client.recv(65_536):
                        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://localhost:{listening.getsockname()[1]}", certificate
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    failed = why_not(f"http://127.0.0.1:{port}")
    assert str(failed) == "cannot be reached: Connection refused"
    assert failed.transient


def test_a_certificate_is_trusted_by_the_authorities_that_are_named(
    tls: tuple[str, Path], tmp_path: Path
) -> None:
    url, certificate = tls
    assert "its certificate is not trusted: self-signed" in str(why_not(url))
    reply = ask(Question(url=url, ca=str(certificate)), deadline_s=5.0, bytes_max=1_000)
    assert (reply.status, reply.content) == (200, b"ok")
    (tmp_path / "none.pem").write_text("no certificate")
    for name in ("none.pem", "absent.pem"):
        failed = why_not(url, ca=str(tmp_path / name))
        assert name in str(failed) and not failed.transient


def test_a_receiver_has_to_show_a_certificate_that_is_trusted(tls: tuple[str, Path]) -> None:
    url, certificate = tls
    found = ReachProbe("chat", "webhook", url).probe(deadline_s=5.0)
    assert (found.level, "not trusted" in found.reason) == (Level.FAIL, True)
    trusted = ReachProbe("chat", "webhook", url, ca=str(certificate)).probe(deadline_s=5.0)
    assert trusted.level is Level.OK


def test_an_answer_that_is_too_long_is_cut_off(server: Server) -> None:
    server.says("/", b"x" * 1_001)
    failed = why_not(server.url)
    assert str(failed) == "answers more than 1000 bytes"
    assert not failed.transient


def test_an_answer_that_is_packed_unasked_is_refused(server: Server) -> None:
    server.says("/", b"x", 200, Content_Encoding="gzip")
    assert "packed" in str(why_not(server.url))


def test_headers_and_body_are_in_no_error_and_no_text() -> None:
    question = Question(url="http://[bad", headers={"A": "planted-5a1c"}, body=b"planted-5a1c")
    assert "planted" not in repr(question)
    with pytest.raises(AdapterFailed) as caught:
        ask(question, deadline_s=1.0, bytes_max=10)
    assert "planted" not in str(caught.value)


def test_what_a_peer_says_is_short_and_without_secrets() -> None:
    told = short("hvs." + "aB3" * 20 + " " + "x" * 500)
    assert told.startswith("[redacted] xxx")
    assert len(told) == 203
