"""Signatures of Standard Webhooks: what is sent can be proven, and what comes in is checked. Pure.

An id, a time and the body are signed together with HMAC-SHA256. A secret is written `whsec_` and
base64 of its bytes. While one is replaced, both sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from engine.core.errors import Malformed

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
PREFIX: Final = "whsec_"
TOLERANCE_S: Final = 300
_BYTES_MIN: Final = 24
_BYTES_MAX: Final = 64
_DOMAIN: Final = b"releaseline webhook secret/1\0"


def key_of(secret: str, *, where: str) -> bytes:
    """The bytes of a written secret. Raises `Malformed`, without the secret in the sentence."""
    try:
        if not secret.startswith(PREFIX):
            raise ValueError
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise Malformed(
            f"expected {PREFIX} and base64 of {_BYTES_MIN} to {_BYTES_MAX} bytes, found another "
            "text",
            where=where,
        ) from None
    if not _BYTES_MIN <= len(key) <= _BYTES_MAX:
        raise Malformed(
            f"expected a secret of {_BYTES_MIN} to {_BYTES_MAX} bytes, found {len(key)}",
            where=where,
        )
    return key


def written(key: bytes) -> str:
    return PREFIX + base64.b64encode(key).decode()


def derived(home_key: bytes, salt: str) -> str:
    """The secret that a home makes of a salt: nobody without its key can, and none is stored."""
    return written(hmac.new(home_key, _DOMAIN + salt.encode(), hashlib.sha256).digest())


def headers(keys: Sequence[bytes], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers; one signature for each key, the newest first. No key: no signature."""
    found = {ID: message_id, TIMESTAMP: str(at_s)}
    if keys:
        found[SIGNATURE] = " ".join(_signature(key, message_id, str(at_s), body) for key in keys)
    return found


def problem(keys: Sequence[bytes], given: Mapping[str, str], body: bytes, *, now_s: int) -> str:
    """Why headers do not prove the body, as a code; empty when they do.

    Args:
        given: headers by their names in lower case.

    Returns:
        `unsigned`, `bad_signature`, or `too_old` for a time more than 5 minutes away.
    """
    message_id, at, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not message_id or not at or not signatures:
        return "unsigned"
    good = False
    for key in keys:
        expected = _signature(key, message_id, at, body).encode()
        for one in signatures.split(" "):
            good |= hmac.compare_digest(expected, one.encode("utf-8", "replace"))
    if not good:
        return "bad_signature"
    # Looked at behind the signature: who can't sign learns nothing about our clock.
    if not (at.isascii() and at.isdecimal() and len(at) < 12):
        return "too_old"
    return "too_old" if abs(int(at) - now_s) > TOLERANCE_S else ""


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> str:
    signed = f"{message_id}.{at}.".encode("utf-8", "surrogateescape") + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
