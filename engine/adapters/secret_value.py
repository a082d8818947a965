"""What becomes of a value that was read: the redactor learns it, and a keyed digest stays."""

from __future__ import annotations

import hashlib
import hmac

from engine.ports import ResolvedInput
from engine.redact import learn


def resolved(key: bytes, name: str, path: str, value: bytes, *, version: str = "") -> ResolvedInput:
    """The input as it may be recorded. `version`: the source's own, empty where it has none."""
    learn(value)
    return ResolvedInput(
        name=name,
        path=path,
        version=version,
        value_hmac=hmac.new(key, value, hashlib.sha256).hexdigest(),
    )
