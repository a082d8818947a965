"""Anybody's TrustedRoot: logs, authorities and time stampers of the kinds that Sigstore knows.

`engine.evidence.trust` reads the roots that our homes write, where one kind of key is enough. Here
are the others: Rekor v1 logs with ECDSA keys, authorities with intermediates, several CT logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from engine.core.errors import Malformed
from engine.evidence import certificates
from engine.evidence.cosignature import KnownWitness
from engine.evidence.foreign_key import ForeignKey, parse_key
from engine.evidence.strict import base64_of, parse_object
from engine.evidence.trust import MEDIA_TYPE, Chain, Window, read_url, read_window, witnesses_of

_One = TypeVar("_One")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignLog:
    """A transparency log.

    Attributes:
        names: how it may sign its checkpoints, by its base URL.
        witnesses: those of a log of ours; logs of others name none.
    """

    names: frozenset[str]
    key_id: bytes
    key: ForeignKey
    window: Window
    witnesses: tuple[KnownWitness, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRoot:
    """Attributes:
    ct_keys: (key, start, end) by log id, in UTC seconds.
    """

    logs: tuple[ForeignLog, ...]
    authorities: tuple[Chain, ...]
    ct_keys: Mapping[bytes, tuple[ec.EllipticCurvePublicKey, int, int | None]]
    time_authorities: tuple[Chain, ...]


def parse_foreign_root(content: bytes, *, where: str = "trusted_root.json") -> ForeignRoot:
    """Read a TrustedRoot.

    Raises:
        Malformed: names the field. A log, an authority or a time stamper without the start of its
            window is refused: it would be trusted for all time.
    """
    document = parse_object(content, where=where)
    if document.get("mediaType") != MEDIA_TYPE:
        raise Malformed(f"expected {MEDIA_TYPE}", where=f"{where}.mediaType")
    ct_keys = dict(one for one in _each(document, "ctlogs", where, _read_ct_key) if one is not None)
    return ForeignRoot(
        logs=tuple(_each(document, "tlogs", where, _read_log)),
        authorities=tuple(_each(document, "certificateAuthorities", where, _read_chain)),
        ct_keys=ct_keys,
        time_authorities=tuple(_each(document, "timestampAuthorities", where, _read_chain)),
    )


def load_key(raw: bytes, *, where: str) -> ForeignKey:
    """Read a SubjectPublicKeyInfo in DER. Raises `Malformed` as `parse_key` does."""
    try:
        pem = load_der_public_key(raw).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed("expected a public key in DER", where=where) from None
    return parse_key(pem, where=where)


def _read_log(document: Mapping[str, Any], where: str) -> ForeignLog:
    url = read_url(document, "baseUrl", where)
    if not url.hostname:
        raise Malformed("expected a URL with a host", where=f"{where}.baseUrl")
    key, window = _read_key(document, where)
    return ForeignLog(
        names=frozenset({url.netloc, url.hostname}),
        key_id=_log_id(document, where),
        key=key,
        window=window,
        witnesses=witnesses_of(url.path, where=f"{where}.baseUrl"),
    )


def _read_ct_key(
    document: Mapping[str, Any], where: str
) -> tuple[bytes, tuple[ec.EllipticCurvePublicKey, int, int | None]] | None:
    """None for a log with another kind of key: nothing can be verified by it here."""
    if _details(document) == "PKCS1_RSA_PKCS1V5":
        return None
    foreign, window = _read_key(document, where)
    key = foreign.public
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    log_id = _log_id(document, where)
    if certificates.log_id(key) != log_id:
        raise Malformed("expected the SHA-256 of the key", where=f"{where}.logId")
    return log_id, (key, window.start_s, window.end_s)


def _read_key(document: Mapping[str, Any], where: str) -> tuple[ForeignKey, Window]:
    if document.get("hashAlgorithm") != "SHA2_256":
        raise Malformed("expected SHA2_256", where=f"{where}.hashAlgorithm")
    public = document.get("publicKey")
    if not isinstance(public, Mapping):
        raise Malformed("expected an object", where=f"{where}.publicKey")
    key = load_key(
        base64_of(public, "rawBytes", where=f"{where}.publicKey"), where=f"{where}.publicKey"
    )
    return key, read_window(public.get("validFor"), f"{where}.publicKey.validFor")


def _read_chain(document: Mapping[str, Any], where: str) -> Chain:
    chain = document.get("certChain")
    if not isinstance(chain, Mapping):
        raise Malformed("expected an object", where=f"{where}.certChain")
    found = tuple(_each(chain, "certificates", where, _raw))
    return Chain(
        certificates=tuple(certificates.read(raw, where=where) for raw in found),
        window=read_window(document.get("validFor"), f"{where}.validFor"),
    )


def _raw(document: Mapping[str, Any], where: str) -> bytes:
    return base64_of(document, "rawBytes", where=where)


def _log_id(document: Mapping[str, Any], where: str) -> bytes:
    named = document.get("logId")
    if not isinstance(named, Mapping):
        raise Malformed("expected an object", where=f"{where}.logId")
    return base64_of(named, "keyId", where=f"{where}.logId")


def _each(
    document: Mapping[str, Any],
    key: str,
    where: str,
    read: Callable[[Mapping[str, Any], str], _One],
) -> Sequence[_One]:
    values = document.get(key, [])
    if not isinstance(values, list) or not all(isinstance(one, Mapping) for one in values):
        raise Malformed("expected a list of objects", where=f"{where}.{key}")
    return [read(one, f"{where}.{key}[{number}]") for number, one in enumerate(values)]


def _details(document: Mapping[str, Any]) -> object:
    public = document.get("publicKey")
    return public.get("keyDetails") if isinstance(public, Mapping) else None
