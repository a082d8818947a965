"""The log's signed head: a C2SP tlog-checkpoint inside a C2SP signed note, by Ed25519.

`LogCheckpoint` is always the log's; the word checkpoint alone means a step of a run to our users.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.core.errors import Malformed, Unverified

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheckpoint:
    """`origin` names the log; `root` is the Merkle root over its first `size` leaves."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that signs notes under a name (the `vkey` of the specification)."""

    name: str
    public: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """All 32 bytes; a note carries the first 4, Sigstore's `logId.keyId` the whole."""
        raw = self.public.public_bytes_raw()
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + raw).digest()

    def __str__(self) -> str:
        raw = base64.b64encode(_ED25519 + self.public.public_bytes_raw()).decode()
        return f"{self.name}+{self.key_id[:4].hex()}+{raw}"


def parse_vkey(text: str) -> NoteKey:
    """Read `name+id+key`. Raises `Malformed`, also when the id is not the key's."""
    name, _, rest = text.partition("+")
    hex_id, _, encoded = rest.partition("+")
    raw = decode_base64(encoded, where="vkey")
    if not is_name(name) or len(raw) != 33 or raw[:1] != _ED25519:
        raise Malformed(f"expected name+id+<Ed25519 key>, found {text!r}", where="vkey")
    key = NoteKey(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
    if key.key_id[:4].hex() != hex_id:
        raise Malformed(f"expected id {key.key_id[:4].hex()}, found {hex_id!r}", where="vkey")
    return key


def sign(head: LogCheckpoint, key: Ed25519PrivateKey) -> str:
    """Return the checkpoint as a note signed by the log itself."""
    return sign_note(head.text(), head.origin, key)


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """Sign any note text, which must end in a newline."""
    if not text.endswith("\n") or not is_name(name):
        raise ValueError("a note's text ends in a newline and its signer has a plain name")
    key_id = NoteKey(name, key.public_key()).key_id[:4]
    return f"{text}\n{signature_line(name, key_id + key.sign(text.encode()))}"


def open_note(note: str, keys: Sequence[NoteKey], *, where: str = "checkpoint") -> str:
    """Return the text of a note that at least one of `keys` signed.

    Signatures of strangers are ignored, as the specification demands; one that claims to be by a
    known key and is not makes the whole note bad.

    Raises:
        Malformed: this is no note.
        Unverified: nobody we know signed it, or a known key's signature is wrong.
    """
    text, signatures = split_note(note, where=where)
    known = {(key.name, key.key_id[:4]): key for key in keys}
    good = 0
    for name, raw in signatures:
        key = known.get((name, raw[:4]))
        if key is None:
            continue
        try:
            key.public.verify(raw[4:], text.encode())
        except InvalidSignature:
            raise Unverified(
                f"the signature of {name} is wrong",
                check="log.checkpoint",
                file=where,
                expected=f"a signature by {key}",
                found="another",
            ) from None
        good += 1
    if not good:
        names = ", ".join(str(key) for key in keys)
        raise Unverified(
            "no known log signed this checkpoint",
            check="log.checkpoint",
            file=where,
            expected=f"a signature by {names}",
            found="none",
        )
    return text


def split_note(note: str, *, where: str) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Text of a note, and (name, key id + signature) of each of its lines. Nothing is verified.

    Raises:
        Malformed: this is no note.
    """
    text, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or _has_control(note):
        raise Malformed("expected a signed note", where=where)
    signatures = []
    for line in tail[:-1].split("\n"):
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        raw = decode_base64(encoded, where=where)
        if not line.startswith(_DASH) or not space or not is_name(name) or len(raw) < 5:
            raise Malformed(f"expected a signature line, found {line!r}", where=where)
        signatures.append((name, raw))
    return f"{text}\n", tuple(signatures)


def signature_line(name: str, raw: bytes) -> str:
    """A line of a note; `raw` is the first 4 bytes of the key id and the signature."""
    return f"{_DASH}{name} {base64.b64encode(raw).decode()}\n"


def open_checkpoint(note: str, log: NoteKey, *, where: str = "checkpoint") -> LogCheckpoint:
    """Verify and read a checkpoint of `log`.

    Raises:
        Malformed, Unverified: as `open_note`; also another log's origin, which the right key
            may well have signed.
    """
    head = parse_checkpoint(open_note(note, (log,), where=where), where=where)
    if head.origin != log.name:
        raise Unverified(
            "the checkpoint is of another log",
            check="log.origin",
            file=where,
            expected=log.name,
            found=head.origin,
        )
    return head


def parse_checkpoint(text: str, *, where: str = "checkpoint") -> LogCheckpoint:
    """Read the text of a checkpoint; extension lines are passed over."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise Malformed("expected origin, size and root", where=where)
    origin, size, encoded = lines[:3]
    if not is_size(size):
        raise Malformed(f"expected a decimal size, found {size[:40]!r}", where=where)
    root = decode_base64(encoded, where=where)
    if len(root) != 32:
        raise Malformed(f"expected a root of 32 bytes, found {len(root)}", where=where)
    return LogCheckpoint(origin=origin, size=int(size), root=root)


def is_size(text: str) -> bool:
    """True for a decimal tree size in its one spelling."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and str(int(text)) == text


def is_name(name: str) -> bool:
    """True for what may sign a note: not empty, of characters, without spaces and `+`."""
    return name.isprintable() and bool(name) and "+" not in name and not _has_space(name)


def _has_space(name: str) -> bool:
    return any(sign.isspace() for sign in name)


def _has_control(note: str) -> bool:
    # Half of a surrogate pair is no character, and could not be signed.
    return any((ord(sign) < 32 and sign != "\n") or "\ud800" <= sign <= "\udfff" for sign in note)


def decode_base64(value: str, *, where: str) -> bytes:
    """Raises `Malformed` also for a second spelling of the same bytes."""
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("expected base64", where=where) from None
    if base64.b64encode(raw).decode() != value:
        raise Malformed("expected base64 in its one spelling", where=where)
    return raw
