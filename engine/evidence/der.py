"""The little of DER that a time-stamp token needs, written and read (X.690).

Certificates are left to `cryptography`; RFC 3161 tokens it can neither make nor read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from engine.core.errors import Malformed

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OID: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
_DEPTH_MAX: Final = 32


def context(number: int, *, constructed: bool = True) -> int:
    """The tag of a context-specific field `[number]`."""
    return 0x80 | (0x20 if constructed else 0) | number


def tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content


def sequence(*parts: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """A SET OF, its members in the order that DER demands."""
    return tlv(SET, b"".join(sorted(parts)))


def integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(OID, b"".join(_base128(arc) for arc in (first * 40 + second, *rest)))


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(0x80 | arc & 0x7F)
    return bytes(reversed(digits))


@dataclass(frozen=True, slots=True)
class Node:
    """One element. `raw` is the whole of it, tag and length included."""

    tag: int
    content: bytes
    raw: bytes

    def children(self) -> list[Node]:
        """The elements inside. Raises `Malformed` when the content is not a row of elements."""
        return _row(self.content)

    def integer(self) -> int:
        self.expect(INTEGER)
        if not self.content:
            raise Malformed("expected an integer, found nothing", where="DER")
        return int.from_bytes(self.content, "big", signed=True)

    def expect(self, tag: int) -> Node:
        if self.tag != tag:
            raise Malformed(f"expected tag {tag:#04x}, found {self.tag:#04x}", where="DER")
        return self


def parse(data: bytes) -> Node:
    """Read exactly one element. Raises `Malformed` for anything that is not DER."""
    row = _row(data)
    if len(row) != 1:
        raise Malformed(f"expected one element, found {len(row)}", where="DER")
    return row[0]


def _row(data: bytes) -> list[Node]:
    nodes, at = [], 0
    while at < len(data):
        node = _one(data, at)
        nodes.append(node)
        at += len(node.raw)
    return nodes


def _one(data: bytes, start: int) -> Node:
    if len(data) - start < 2:
        raise Malformed("ends inside an element", where="DER")
    tag, length, at = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise Malformed(f"tag {tag:#04x} is not used here", where="DER")
    if length & 0x80:
        count = length & 0x7F
        size = data[at : at + count]
        at += count
        length = int.from_bytes(size, "big")
        # One spelling only: no indefinite length, no leading zeros, no long form of a short one.
        if not 1 <= count <= 4 or len(size) != count or not size[0] or length < 0x80:
            raise Malformed("expected a length in its shortest form", where="DER")
    if len(data) - at < length:
        raise Malformed("ends inside an element", where="DER")
    return Node(tag, data[at : at + length], data[start : at + length])
