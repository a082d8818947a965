"""Witness cosignatures on a log's checkpoints, and the request that asks for one.

C2SP tlog-cosignature with Ed25519 (`cosignature/v1`) and the body of C2SP tlog-witness'
`add-checkpoint`. A cosignature says: at this time this was the newest tree that I have seen of this
log, and everything that I had seen before is its beginning.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.core.errors import Malformed, Unverified
from engine.evidence.checkpoint import (
    decode_base64,
    is_name,
    is_size,
    signature_line,
    split_note,
)
from engine.evidence.wording import moment

_TYPE: Final = b"\x04"
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
# A tree of 2^63 leaves needs no longer proof; a longer one is somebody's attempt to keep us busy.
_HASHES_MAX: Final = 63


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness as verifiers know it, by name and key (its `vkey` has signature type 0x04)."""

    name: str
    public: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """All 32 bytes; a note carries the first 4."""
        raw = self.public.public_bytes_raw()
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + raw).digest()

    def __str__(self) -> str:
        raw = base64.b64encode(_TYPE + self.public.public_bytes_raw()).decode()
        return f"{self.name}+{self.key_id[:4].hex()}+{raw}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWitness:
    """A witness that a verifier goes by.

    Attributes:
        end_s: UTC second of its last cosignature; None = it is in use. A key that was renewed may
            be in anybody's hands, so what it signs after its end counts for nothing.
    """

    key: WitnessKey
    end_s: int | None = None


def parse_witness_file(content: bytes, *, where: str) -> tuple[WitnessKey, ...]:
    """Read a file of witness keys, one vkey a line. Raises `Malformed`, also for none at all."""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        raise Malformed("expected one witness key a line", where=where) from None
    keys = tuple(parse_witness_vkey(line.strip(), where=where) for line in lines if line.strip())
    if not keys:
        raise Malformed("expected one witness key a line, found none", where=where)
    return keys


def parse_witness_vkey(text: str, *, where: str = "witness vkey") -> WitnessKey:
    """Read `name+id+key` of a witness. Raises `Malformed`, also when the id is not the key's."""
    name, _, rest = text.partition("+")
    hex_id, _, encoded = rest.partition("+")
    raw = decode_base64(encoded, where=where)
    if not is_name(name) or len(raw) != 33 or raw[:1] != _TYPE:
        raise Malformed(f"expected name+id+<witness Ed25519 key>, found {text!r}", where=where)
    key = WitnessKey(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
    if key.key_id[:4].hex() != hex_id:
        raise Malformed(f"expected id {key.key_id[:4].hex()}, found {hex_id!r}", where=where)
    return key


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified one. `at_s`: UTC seconds by the witness' own clock."""

    witness: WitnessKey
    at_s: int


def cosign(text: str, name: str, key: Ed25519PrivateKey, *, at_s: int) -> str:
    """The signature line of witness `name` for a checkpoint's text, extension lines included."""
    if at_s < 1 or not text.endswith("\n") or not is_name(name):
        raise ValueError("a cosignature needs a time, a whole text and a plain name")
    key_id = WitnessKey(name, key.public_key()).key_id[:4]
    signature = key.sign(_message(text, at_s))
    return signature_line(name, key_id + at_s.to_bytes(_TIME_BYTES, "big") + signature)


def open_cosignatures(
    note: str, witnesses: Sequence[WitnessKey], *, where: str = "checkpoint"
) -> tuple[Cosignature, ...]:
    """The cosignatures of `witnesses` that a note carries, in its order; none when there is none.

    Strangers are passed over. Says nothing about the log's own signature.

    Raises:
        Malformed: this is no note.
        Unverified: a line claims to be by one of `witnesses` and is not.
    """
    text, signatures = split_note(note, where=where)
    known = {(key.name, key.key_id[:4]): key for key in witnesses}
    found = []
    for name, raw in signatures:
        key = known.get((name, raw[:4]))
        if key is None:
            continue
        stamp, signature = raw[4 : 4 + _TIME_BYTES], raw[4 + _TIME_BYTES :]
        at_s = int.from_bytes(stamp, "big")
        try:
            if len(signature) != _SIGNATURE_BYTES or at_s >= 1 << 63:
                raise InvalidSignature
            key.public.verify(signature, _message(text, at_s))
        except InvalidSignature:
            raise Unverified(
                f"the cosignature of {name} is wrong",
                check="log.witness",
                file=where,
                expected=f"a cosignature by {key}",
                found="another",
            ) from None
        found.append(Cosignature(key, at_s))
    return tuple(found)


def check_signers(
    note: str, log: tuple[str, bytes], witnesses: Sequence[KnownWitness], *, where: str
) -> tuple[Cosignature, ...]:
    """That a note carries the log's line, then lines of `witnesses`, and of nobody else.

    Stricter than the specification, which passes over strangers: in evidence of one house nobody
    has a line to add, and a line that nobody can check is a line that anybody can change.

    Args:
        log: name and first 4 bytes of the key id; its signature was checked already.

    Raises:
        Malformed, Unverified: another line, one twice, none of the witnesses', or one that was
            made after its key's end.
    """
    keys = [one.key for one in witnesses]
    signers = [(name, raw[:4]) for name, raw in split_note(note, where=where)[1]]
    known = {(one.name, one.key_id[:4]) for one in keys}
    names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in signers)
    if signers[:1] != [log] or len(signers) != len(set(signers)) or set(signers[1:]) - known:
        raise Unverified(
            "the checkpoint has signature lines that cannot be checked",
            check="log.witness",
            file=where,
            expected=f"the log's line, then lines by {', '.join(map(str, keys)) or 'nobody'}",
            found=names,
        )
    found = open_cosignatures(note, keys, where=where)
    ends = {str(one.key): one.end_s for one in witnesses}
    for one in found:
        end_s = ends[str(one.witness)]
        if end_s is not None and one.at_s > end_s:
            raise Unverified(
                "the cosignature is by a key of a witness that was renewed before",
                check="witness.window",
                file=where,
                expected=f"one by {one.witness} up to {moment(end_s)}",
                found=f"one of {moment(one.at_s)}",
            )
    if keys and not found:
        raise Unverified(
            "no witness cosigned this checkpoint",
            check="log.witness",
            file=where,
            expected=f"a cosignature by {' or '.join(map(str, keys))}",
            found=names,
        )
    return found


def check_given(note: str, given: Sequence[WitnessKey], *, where: str) -> tuple[Cosignature, ...]:
    """That one of the witnesses whose keys somebody brought along cosigned a note.

    Raises:
        Malformed, Unverified: none of them did.
    """
    found = open_cosignatures(note, given, where=where)
    if not found:
        lines = split_note(note, where=where)[1]
        raise Unverified(
            "the witness that was asked for did not cosign this checkpoint",
            check="log.witness",
            file=where,
            expected=f"a cosignature by {' or '.join(map(str, given))}, which was given",
            found=f"lines by {', '.join(f'{name}+{raw[:4].hex()}' for name, raw in lines)}",
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """What a log asks of a witness.

    Attributes:
        old: size of the newest tree that the witness is believed to know; 0 = none.
        proof: consistency from `old` to the checkpoint.
        note: the checkpoint, signed by its log.
    """

    old: int
    proof: tuple[bytes, ...]
    note: str

    def to_bytes(self) -> bytes:
        hashes = "".join(f"{base64.b64encode(one).decode()}\n" for one in self.proof)
        return f"old {self.old}\n{hashes}\n{self.note}".encode()


def parse_add_checkpoint(body: bytes, *, where: str = "add-checkpoint") -> AddCheckpoint:
    """Read the body of a request. Raises `Malformed`."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8, found byte {error.start}", where=where) from None
    head, blank, note = text.partition("\n\n")
    first, *hashes = head.split("\n")
    size = first.removeprefix("old ")
    if not blank or not note or first == size or not is_size(size):
        raise Malformed(f"expected `old N`, hashes and a checkpoint, found {first!r}", where=where)
    if len(hashes) > _HASHES_MAX:
        raise Malformed(f"expected at most {_HASHES_MAX} hashes, found {len(hashes)}", where=where)
    proof = tuple(decode_base64(one, where=where) for one in hashes)
    for one in proof:
        if len(one) != 32:
            raise Malformed(f"expected hashes of 32 bytes, found {len(one)}", where=where)
    return AddCheckpoint(old=int(size), proof=proof, note=note)


def _message(text: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()
