"""What a verifier trusts: Sigstore's TrustedRoot, written for our keys and read from anyone's.

The file is handed over out of band, or its SHA-256 is. A copy that lies in a pack proves nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from engine.core.errors import Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence import certificates
from engine.evidence.checkpoint import NoteKey
from engine.evidence.cosignature import KnownWitness, parse_witness_vkey
from engine.evidence.strict import base64_of, parse_object, text
from engine.evidence.wording import span

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_WITNESS: Final = "witness"
_UNTIL: Final = "until"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """UTC seconds, both ends included; `end_s` None = still in use."""

    start_s: int
    end_s: int | None = None

    def holds(self, at_s: int) -> bool:
        return self.start_s <= at_s and (self.end_s is None or at_s <= self.end_s)

    def __str__(self) -> str:
        return span(self.start_s, self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`witnesses`: who cosigns its heads; a head without one of theirs is not to be believed.

    They stand in the path of the base URL, a place that stock clients pass over: so the one digest
    that people compare covers them too.
    """

    key: NoteKey
    window: Window
    witnesses: tuple[KnownWitness, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Certificates, leaf-most first."""

    certificates: tuple[x509.Certificate, ...]
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class CtLog:
    key: ec.EllipticCurvePublicKey
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    logs: tuple[Log, ...]
    authorities: tuple[Chain, ...]
    ct_logs: tuple[CtLog, ...]
    time_authorities: tuple[Chain, ...]

    def to_bytes(self) -> bytes:
        """The file, canonical; its SHA-256 is what people compare out of band.

        It ends with its line: gh reads one root a line, and passes over one without an end.
        """
        document: dict[str, Any] = {
            "mediaType": MEDIA_TYPE,
            "tlogs": [_log(one) for one in self.logs],
            "certificateAuthorities": [_chain(one, "authority") for one in self.authorities],
            "ctlogs": [_ct_log(one) for one in self.ct_logs],
            "timestampAuthorities": [_chain(one, "tsa") for one in self.time_authorities],
        }
        return canonical(document) + b"\n"

    def grew_from(self, former: TrustedRoot) -> bool:
        """True when nothing of `former` was changed but ends set that were open: rotations only.

        So evidence that came with `former` may be judged by this one.
        """
        return (
            _grew(*(tuple(replace(one, witnesses=()) for one in r.logs) for r in (self, former)))
            and all(
                _carried_on(new.witnesses, old.witnesses)
                for old, new in zip(former.logs, self.logs, strict=False)
            )
            and _grew(self.authorities, former.authorities)
            and _grew(self.ct_logs, former.ct_logs)
            and _grew(self.time_authorities, former.time_authorities)
        )

    def log(self, log_id: bytes, *, where: str) -> Log:
        for one in self.logs:
            if one.key.key_id == log_id:
                return one
        raise Unverified(
            "the log is not a trusted one",
            check="log.key",
            file=where,
            expected=", ".join(one.key.key_id.hex() for one in self.logs),
            found=log_id.hex(),
        )


def _carried_on(now: Sequence[KnownWitness], before: Sequence[KnownWitness]) -> bool:
    """Each witness of before stands at its place; where it had no end it may have one now."""
    return len(before) <= len(now) and all(
        new.key == old.key and old.end_s in (None, new.end_s)
        for old, new in zip(before, now, strict=False)
    )


def _grew(now: Sequence[Any], before: Sequence[Any]) -> bool:
    """Each entry of before stands at its place, with the same window or one that ended since."""
    return len(before) <= len(now) and all(
        replace(new, window=old.window) == old
        and new.window.start_s == old.window.start_s
        and old.window.end_s in {None, new.window.end_s}
        for old, new in zip(before, now, strict=False)
    )


def parse_trusted_root(content: bytes, *, where: str = "trusted_root.json") -> TrustedRoot:
    """Read a TrustedRoot with Ed25519 logs and P-256 CT keys.

    Raises:
        Malformed: names the field. A key without the start of its window is refused: it would be
            trusted for all time.
    """
    document = parse_object(content, where=where)
    if document.get("mediaType") != MEDIA_TYPE:
        raise Malformed(f"expected {MEDIA_TYPE}", where=f"{where}.mediaType")
    return TrustedRoot(
        logs=tuple(_read_log(one, f"{where}.tlogs") for one in _list(document, "tlogs", where)),
        authorities=_read_chains(document, "certificateAuthorities", where),
        ct_logs=tuple(
            _read_ct_log(one, f"{where}.ctlogs") for one in _list(document, "ctlogs", where)
        ),
        time_authorities=_read_chains(document, "timestampAuthorities", where),
    )


def client_trust_config(trusted_root: bytes) -> bytes:
    """The ClientTrustConfig that some clients ask for: the trusted root beside a SigningConfig.

    The addresses are the names of the trusted root that are still in use; nobody has to answer
    there, since evidence is checked offline.
    """
    document = parse_object(trusted_root, where="trusted_root.json")
    return canonical(
        {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": document,
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": _services(document["certificateAuthorities"], "uri", 1),
                "rekorTlogUrls": _services(document["tlogs"], "baseUrl", 2),
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": _services(document["timestampAuthorities"], "uri", 1),
                "tsaConfig": {"selector": "ANY"},
            },
        }
    )


def _services(entries: Sequence[Mapping[str, Any]], key: str, version: int) -> list[dict[str, Any]]:
    windows = [(one, one.get("validFor") or one["publicKey"]["validFor"]) for one in entries]
    return [
        {
            "url": one[key],
            "majorApiVersion": version,
            "validFor": {"start": window["start"]},
            "operator": urlsplit(one[key]).hostname,
        }
        for one, window in windows
        if "end" not in window
    ]


def _log(log: Log) -> dict[str, Any]:
    der = log.key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        # The host is the checkpoint's origin and its signer's name: clients compare all three.
        "baseUrl": f"https://{log.key.name}{witness_path(log.witnesses)}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(der),
            "keyDetails": "PKIX_ED25519",
            "validFor": _window(log.window),
        },
        "logId": {"keyId": _b64(log.key.key_id)},
    }


def _ct_log(log: CtLog) -> dict[str, Any]:
    return {
        "baseUrl": "https://ct.releaseline.local",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(certificates.spki(log.key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": _window(log.window),
        },
        "logId": {"keyId": _b64(certificates.log_id(log.key))},
    }


def _chain(chain: Chain, host: str) -> dict[str, Any]:
    names = {
        attribute.oid.dotted_string: str(attribute.value)
        for attribute in chain.certificates[-1].subject
    }
    return {
        "subject": {"organization": names["2.5.4.10"], "commonName": names["2.5.4.3"]},
        "uri": f"https://{host}.releaseline.local",
        "certChain": {
            "certificates": [
                {"rawBytes": _b64(one.public_bytes(Encoding.DER))} for one in chain.certificates
            ]
        },
        "validFor": _window(chain.window),
    }


def _window(window: Window) -> dict[str, str]:
    both = {"start": _rfc3339(window.start_s)}
    if window.end_s is not None:
        both["end"] = _rfc3339(window.end_s)
    return both


def _read_log(document: Any, where: str) -> Log:
    url = read_url(_mapping(document, where), "baseUrl", where)
    key, window = _read_key(document, where)
    if not isinstance(key, Ed25519PublicKey) or not url.hostname:
        raise Malformed("expected an Ed25519 key and a base URL", where=where)
    log = Log(
        key=NoteKey(url.hostname, key),
        window=window,
        witnesses=witnesses_of(url.path, where=f"{where}.baseUrl"),
    )
    if log.key.key_id != _log_id(document, where):
        raise Malformed("expected the C2SP key id of the log", where=f"{where}.logId")
    return log


def read_url(document: Mapping[str, Any], key: str, where: str) -> SplitResult:
    try:
        return urlsplit(text(document, key, where=where))
    except ValueError:
        raise Malformed("expected a URL", where=f"{where}.{key}") from None


def witness_path(witnesses: Sequence[KnownWitness]) -> str:
    """`/witness/<vkey>` for each, and `/until/<time>` behind one that was renewed."""
    return "".join(
        f"/{_WITNESS}/{quote(str(one.key), safe='')}"
        + ("" if one.end_s is None else f"/{_UNTIL}/{quote(_rfc3339(one.end_s), safe='')}")
        for one in witnesses
    )


def witnesses_of(path: str, *, where: str) -> tuple[KnownWitness, ...]:
    """The witnesses that the path of a log's base URL names; another path names none.

    Raises:
        Malformed: a witness that is no key, or whose end is no time.
    """
    if not path.startswith(f"/{_WITNESS}/"):
        return ()
    found: list[KnownWitness] = []
    words = path[1:].split("/")
    for word, value in zip(words[::2], words[1::2], strict=False):
        if word == _WITNESS:
            found.append(KnownWitness(key=parse_witness_vkey(unquote(value), where=where)))
        elif word == _UNTIL and found[-1].end_s is None:
            found[-1] = replace(found[-1], end_s=_seconds(unquote(value), where))
        else:
            raise _no_witnesses(path, where)
    if len(words) % 2 or witness_path(found) != path:
        raise _no_witnesses(path, where)
    return tuple(found)


def _no_witnesses(path: str, where: str) -> Malformed:
    form = f"/{_WITNESS}/<vkey>, and /{_UNTIL}/<time> behind one that has ended"
    return Malformed(f"expected {form}, found {path!r}", where=where)


def _read_ct_log(document: Any, where: str) -> CtLog:
    key, window = _read_key(_mapping(document, where), where)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Malformed("expected an ECDSA key", where=where)
    if certificates.log_id(key) != _log_id(document, where):
        raise Malformed("expected the SHA-256 of the key", where=f"{where}.logId")
    return CtLog(key=key, window=window)


def _read_key(document: Mapping[str, Any], where: str) -> tuple[object, Window]:
    if document.get("hashAlgorithm") != "SHA2_256":
        raise Malformed("expected SHA2_256", where=f"{where}.hashAlgorithm")
    public = _mapping(document.get("publicKey"), f"{where}.publicKey")
    try:
        key = load_der_public_key(base64_of(public, "rawBytes", where=f"{where}.publicKey"))
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed("expected a public key", where=f"{where}.publicKey") from None
    return key, read_window(public.get("validFor"), f"{where}.publicKey.validFor")


def _read_chains(document: Mapping[str, Any], key: str, where: str) -> tuple[Chain, ...]:
    chains = []
    for one in _list(document, key, where):
        spot = f"{where}.{key}"
        chain = _mapping(_mapping(one, spot).get("certChain"), f"{spot}.certChain")
        chains.append(
            Chain(
                certificates=tuple(
                    certificates.read(
                        base64_of(_mapping(c, spot), "rawBytes", where=spot), where=spot
                    )
                    for c in _list(chain, "certificates", spot)
                ),
                window=read_window(one.get("validFor"), f"{spot}.validFor"),
            )
        )
    return tuple(chains)


def read_window(document: Any, where: str) -> Window:
    window = _mapping(document, where)
    start = _seconds(text(window, "start", where=where), f"{where}.start")
    # Protobuf's JSON may write what is not set as null.
    open_end = window.get("end") is None
    end = None if open_end else _seconds(text(window, "end", where=where), f"{where}.end")
    return Window(start_s=start, end_s=end)


def _log_id(document: Mapping[str, Any], where: str) -> bytes:
    return base64_of(
        _mapping(document.get("logId"), f"{where}.logId"), "keyId", where=f"{where}.logId"
    )


def _list(document: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    value = document.get(key)
    if not isinstance(value, list) or not value:
        raise Malformed("expected a list with at least one entry", where=f"{where}.{key}")
    return value


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"expected an object, found {type(value).__name__}", where=where)
    return value


def _seconds(value: str, where: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"expected an RFC 3339 time, found {value!r}", where=where) from None
    if moment.tzinfo is None:
        raise Malformed(f"expected a time with its zone, found {value!r}", where=where)
    return int(moment.timestamp())


def _rfc3339(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
