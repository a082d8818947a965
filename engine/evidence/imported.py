"""Judging an attestation that somebody else signed, before anything that it says is read.

Either a plain DSSE envelope, by a public key that the settings trust, or a Sigstore bundle, by a
trusted root with the identity and the issuer that the settings expect. Nothing that lies in the
file itself is ever trusted: neither its certificate without a configured root, nor a key id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from engine.core.digest import Digest
from engine.core.errors import Malformed, Unverified
from engine.evidence import dsse
from engine.evidence.foreign_key import ForeignKey
from engine.evidence.foreign_statement import ForeignStatement, parse_foreign
from engine.evidence.sigstore_client import Expected, named_signer, verify_any_bundle
from engine.evidence.sigstore_roots import ForeignRoot, parse_foreign_root
from engine.evidence.strict import base64_of, parse_object, text

SIZE_MAX: Final = 8 * 1024 * 1024
SIGNATURES_MAX: Final = 16
DSSE: Final = "dsse"
SIGSTORE: Final = "sigstore"
# in-toto v1.2.0 lets the predicate stand in the type; both mean a statement in JSON.
_PAYLOAD_TYPE: Final = re.compile(r"application/vnd\.in-toto(\.[A-Za-z0-9._-]{1,80})?\+json")
_BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAnchor:
    """A key that is trusted for some predicate types; empty = for every one."""

    name: str
    key: ForeignKey
    predicate_types: tuple[str, ...] = ()

    @property
    def digest(self) -> Digest:
        return self.key.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class RootAnchor:
    """Who is trusted when a certificate of `root` says so.

    Attributes:
        digest: of the file that `root` was read from.
        identity: exactly this one; empty when `identity_matches` says.
        identity_matches: a regular expression that the whole identity has to fit.
    """

    name: str
    root: ForeignRoot
    digest: Digest
    issuer: str
    identity: str = ""
    identity_matches: re.Pattern[str] | None = None
    predicate_types: tuple[str, ...] = ()

    def fits(self, identity: str) -> bool:
        """A person's identity may be written with or without `mailto:`."""
        spellings = (identity, identity.removeprefix("mailto:"))
        if self.identity_matches is not None:
            return any(self.identity_matches.fullmatch(one) for one in spellings)
        return self.identity in spellings

    @property
    def wanted(self) -> str:
        if self.identity_matches is not None:
            return f"an identity like {self.identity_matches.pattern} by {self.issuer}"
        return f"{self.identity} by {self.issuer}"


Anchor: TypeAlias = KeyAnchor | RootAnchor


def root_anchor(
    content: bytes,
    *,
    name: str,
    issuer: str,
    where: str,
    identity: str = "",
    identity_matches: str = "",
    predicate_types: tuple[str, ...] = (),
) -> RootAnchor:
    """Read a trusted root that certificates are judged by.

    Raises:
        Malformed: it is none; names the field.
    """
    root = parse_foreign_root(content, where=where)
    if not root.authorities or not root.logs:
        raise Malformed("expected at least one authority and one log, found none", where=where)
    return RootAnchor(
        name=name,
        root=root,
        digest=Digest.of(content),
        issuer=issuer,
        identity=identity,
        identity_matches=re.compile(identity_matches) if identity_matches else None,
        predicate_types=predicate_types,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a good attestation proves.

    Attributes:
        envelope: canonical bytes of the envelope; their digest is its name.
        signer: identity of the certificate, or the key's fingerprint; `issuer` empty for a key.
        signed_s: UTC seconds of a verified time stamp.
    """

    form: str
    envelope: bytes
    payload: bytes
    statement: ForeignStatement
    anchor: Anchor
    signer: str
    issuer: str
    signed_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    payload: bytes
    anchor: Anchor
    signer: str
    issuer: str
    signed_s: int | None


def judge(content: bytes, anchors: Sequence[Anchor], *, where: str) -> Imported:
    """Verify an attestation, then read its statement.

    Args:
        anchors: what is trusted, in order; the first that fits counts.

    Raises:
        Malformed: it has not the form of an attestation.
        Unverified: nobody who is trusted signed it; says what was tried, expected and found.
    """
    if len(content) > SIZE_MAX:
        raise Malformed(f"expected at most {SIZE_MAX} bytes, found {len(content)}", where=where)
    document = parse_object(content, where=where)
    bundled = "mediaType" in document or "verificationMaterial" in document
    sealed = document.get("dsseEnvelope") if bundled else document
    if not isinstance(sealed, Mapping):
        raise Malformed(
            "expected an attestation, found a bundle without a DSSE envelope", where=where
        )
    envelope = dsse.envelope_of(sealed, where=where)
    _check_form(envelope, where)
    if not anchors:
        raise _no("attestation.trust", where, "an entry under `trust` in the settings", "none")
    opened: list[_Opened] = []
    tried: list[str] = []
    keyed = not bundled or _by_key(document, where)
    for anchor in anchors:
        try:
            opened.append(_open(content, envelope, anchor, keyed=keyed, where=where))
        except (Unverified, Malformed) as error:
            tried.append(f"{anchor.name}: {error}")
    if not opened:
        names = ", ".join(_described(one) for one in anchors)
        raise _no("attestation.signature", where, f"a signature by {names}", "; ".join(tried))
    statement = parse_foreign(opened[0].payload, where=where)
    found = _entitled(opened, statement.predicate_type, where)
    return Imported(
        form=SIGSTORE if bundled else DSSE,
        envelope=envelope.to_bytes(),
        payload=found.payload,
        statement=statement,
        anchor=found.anchor,
        signer=found.signer,
        issuer=found.issuer,
        signed_s=found.signed_s,
    )


def _check_form(envelope: dsse.Envelope, where: str) -> None:
    if not _PAYLOAD_TYPE.fullmatch(envelope.payload_type):
        raise Malformed(
            f"expected {dsse.IN_TOTO}, found {envelope.payload_type[:80]!r}",
            where=f"{where}.payloadType",
        )
    if len(envelope.signatures) > SIGNATURES_MAX:
        raise Malformed(
            f"expected at most {SIGNATURES_MAX} signatures, found {len(envelope.signatures)}",
            where=f"{where}.signatures",
        )


def _by_key(document: Mapping[str, Any], where: str) -> bool:
    """True for a bundle that names a public key: it is judged as the envelope that it holds."""
    media_type = document.get("mediaType")
    if not isinstance(media_type, str) or not media_type.startswith(_BUNDLE_TYPE):
        raise Malformed(
            f"expected {_BUNDLE_TYPE}..., found {str(media_type)[:80]!r}",
            where=f"{where}.mediaType",
        )
    material = document.get("verificationMaterial")
    return isinstance(material, Mapping) and "publicKey" in material


def _open(
    content: bytes, envelope: dsse.Envelope, anchor: Anchor, *, keyed: bool, where: str
) -> _Opened:
    match anchor:
        case KeyAnchor(key=key):
            if not keyed:
                raise _no("attestation.key", where, "an envelope signed by a key", "a certificate")
            payload = dsse.open_by(envelope, key.signed)
            if payload is None:
                found = f"{len(envelope.signatures)} by others"
                raise _no("dsse.signature", where, f"a signature by {key.name}", found)
            return _Opened(
                payload=payload, anchor=anchor, signer=key.name, issuer="", signed_s=None
            )
        case RootAnchor():
            if keyed:
                raise _no("attestation.key", where, "a Sigstore bundle with a certificate", "none")
            return _certified(content, anchor, where)


def _certified(content: bytes, anchor: RootAnchor, where: str) -> _Opened:
    # What the certificate claims has to fit first; that it may claim so is judged right after.
    identity, issuer = named_signer(content, where=where)
    if issuer != anchor.issuer:
        raise _no("certificate.issuer", where, anchor.issuer, issuer)
    if not anchor.fits(identity):
        raise _no("certificate.identity", where, anchor.wanted, identity)
    expected = Expected(identity=identity, issuer=issuer)
    judged = verify_any_bundle(content, None, expected, anchor.root, where=where)
    assert judged.payload is not None  # without an artifact it is an envelope
    return _Opened(
        payload=judged.payload,
        anchor=anchor,
        signer=identity,
        issuer=issuer,
        signed_s=min(judged.times),
    )


def _entitled(opened: Sequence[_Opened], predicate_type: str, where: str) -> _Opened:
    """The first who may say this kind of thing."""
    for one in opened:
        if not one.anchor.predicate_types or predicate_type in one.anchor.predicate_types:
            return one
    allowed = "; ".join(
        f"{one.anchor.name} for {', '.join(one.anchor.predicate_types)}" for one in opened
    )
    raise _no("attestation.predicate", where, f"what its signer is trusted for ({allowed})",
              predicate_type)  # fmt: skip


def _described(anchor: Anchor) -> str:
    match anchor:
        case KeyAnchor(name=name, key=key):
            return f"{name} ({key.kind} {key.name[:19]})"
        case RootAnchor(name=name):
            return f"{name} ({anchor.wanted})"


def _no(check: str, where: str, expected: str, found: str) -> Unverified:
    return Unverified(
        f"{where}: {check}: expected {expected}, found {found}",
        check=check,
        file=where,
        expected=expected,
        found=found,
    )


def peek(content: bytes, *, where: str) -> tuple[Mapping[str, Any], ...]:
    """Predicates of statements, whoever signed them: bare, in envelopes, or one of these a line.

    For what can only cost somebody a right. Nothing may be allowed by what stands here.

    Raises:
        Malformed: there is no statement in it.
    """
    return tuple(_peeked(one, f"{where}, line {n}") for n, one in enumerate(documents(content), 1))


def documents(content: bytes) -> tuple[bytes, ...]:
    """One document, or the documents of a file that has one in each line (`.jsonl`)."""
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    each = len(lines) > 1 and all(line[:1] == b"{" and line[-1:] == b"}" for line in lines)
    return tuple(lines) if each else (content,)


def _peeked(content: bytes, where: str) -> Mapping[str, Any]:
    if len(content) > SIZE_MAX:
        raise Malformed(f"expected at most {SIZE_MAX} bytes, found {len(content)}", where=where)
    document = parse_object(content, where=where, fractions=True)
    sealed = document.get("dsseEnvelope", document)
    if isinstance(sealed, Mapping) and "payload" in sealed:
        spelled = text(sealed, "payload", where=where).replace("-", "+").replace("_", "/")
        content = base64_of({"payload": spelled}, "payload", where=where)
    return parse_foreign(content, where=where).predicate
