"""Content digests: the only names that artifacts have inside the engine."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Malformed

_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest, written `sha256:<hex>` as OCI does.

    The algorithm is not a field: everything we read from (OCI manifests, in-toto subjects,
    RFC 6962 logs) offers SHA-256, and a second one would double every comparison.

    Attributes:
        hex: 64 lower-case hexadecimal digits.
    """

    hex: str

    def __post_init__(self) -> None:
        if not _HEX64.fullmatch(self.hex):
            raise Malformed(
                f"expected 64 lower-case hex digits, found {self.hex!r}", where="digest"
            )

    @classmethod
    def of(cls, content: bytes) -> Digest:
        return cls(hashlib.sha256(content).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<hex>`. Raises `Malformed` for any other text, upper case too."""
        algorithm, colon, hex_digits = text.partition(":")
        if algorithm != "sha256" or not colon:
            raise Malformed(f"expected sha256:<64 hex digits>, found {text!r}", where="digest")
        return cls(hex_digits)

    @property
    def short(self) -> str:
        """The first 12 hex digits: enough for the eye, never for a decision."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
