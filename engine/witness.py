"""The built-in witness: a second key that signs the log's heads, and has a memory of its own.

It knows nothing but the newest tree that it signed of each log. Before it signs the next one it
checks that the one before is its beginning; so a log that was cut or rewritten, by whoever has the
log's own key, gets no cosignature. The memory is durable before a cosignature is given away.

What it cannot tell on the machine of the log itself: whether both keys were stolen together. That
is what a witness elsewhere is for; it is asked by the same protocol (C2SP tlog-witness).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.core.errors import LogForked, Malformed, Unverified
from engine.core.jcs import canonical
from engine.evidence.checkpoint import (
    NoteKey,
    is_size,
    open_checkpoint,
    parse_checkpoint,
    split_note,
)
from engine.evidence.cosignature import AddCheckpoint, cosign, parse_add_checkpoint
from engine.evidence.merkle import EMPTY_ROOT, Tree, verify_consistency
from engine.keystore_file import write_whole
from engine.keystore_witness import STATE_SCHEMA, WitnessSigner

_SIZE_TYPE: Final = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of `add-checkpoint`, as HTTP has it."""

    status: int
    body: str
    media_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest tree of a log that was signed."""

    size: int
    root: bytes


_NOTHING: Final = Seen(0, EMPTY_ROOT)


class Witness:
    """Thread-safe. One per state file.

    Args:
        state: the file with what was signed last; it has to be there, if only with nothing in it.
        logs: whose checkpoints are signed.
    """

    def __init__(self, signer: WitnessSigner, state: Path, logs: Iterable[NoteKey]) -> None:
        self._signer, self._state = signer, state
        self._logs = {log.name: log for log in logs}
        self._lock = threading.Lock()

    @property
    def vkey(self) -> str:
        return str(self._signer.public)

    def seen(self, origin: str) -> Seen:
        """What was signed last of this log. Raises `LogForked` when the memory is gone."""
        with self._lock:
            return self._read().get(origin, _NOTHING)

    def cosign(self, note: str, tree: Tree, *, now_us: int) -> str:
        """The note with our line behind the log's own.

        Args:
            tree: of the log; proves that what was signed before is the note's beginning.

        Raises:
            LogForked: it is not; nothing was signed.
        """
        head = parse_checkpoint(split_note(note, where="checkpoint")[0])
        old = self.seen(head.origin)
        if old.size > head.size:
            raise LogForked(
                f"The witness {self._signer.name} does not sign {head.size} leaves of "
                f"{head.origin}: it has signed {old.size} before, so leaves are missing.",
                hint="releaseline log fsck says which; the journal is the record to go by.",
            )
        request = AddCheckpoint(old=old.size, proof=tree.consistency(old.size), note=note)
        answer = self._add(request, now_us)
        if answer.status != 200:
            raise LogForked(
                f"The witness {self._signer.name} does not sign {head.size} leaves of "
                f"{head.origin}: the {old.size} that it has signed before are not their "
                f"beginning ({answer.body.strip()}).",
                hint="releaseline log fsck says which leaf is another.",
            )
        return note + answer.body

    def add_checkpoint(self, body: bytes, *, now_us: int) -> Answer:
        """Answer a request of C2SP tlog-witness; with 200 the body is our signature line.

        Raises:
            LogForked: the memory is gone.
        """
        try:
            return self._add(parse_add_checkpoint(body), now_us)
        except Malformed as error:
            return Answer(400, f"{error}\n")

    def _add(self, request: AddCheckpoint, now_us: int) -> Answer:
        """Raises `Malformed`."""
        text, _ = split_note(request.note, where="checkpoint")
        log = self._logs.get(parse_checkpoint(text).origin)
        if log is None:
            return Answer(404, "unknown log\n")
        try:
            head = open_checkpoint(request.note, log)
        except Unverified as error:
            return Answer(403, f"invalid signature: {error}\n")
        if request.old > head.size:
            return Answer(400, f"old {request.old} is more than the checkpoint's {head.size}\n")
        with self._lock:
            known = self._read()
            seen = known.get(head.origin, _NOTHING)
            if request.old != seen.size or (head.size == seen.size and head.root != seen.root):
                return Answer(409, f"{seen.size}\n", _SIZE_TYPE)
            try:
                verify_consistency(
                    first=seen.size,
                    second=head.size,
                    first_root=seen.root,
                    second_root=head.root,
                    proof=request.proof,
                )
            except Unverified as error:
                return Answer(422, f"consistency proof: {error}\n")
            if head.size != seen.size:
                self._write({**known, head.origin: Seen(head.size, head.root)})
            line = cosign(text, self._signer.name, self._signer.key, at_s=now_us // 1_000_000)
        return Answer(200, line)

    def _read(self) -> dict[str, Seen]:
        try:
            document = json.loads(self._state.read_bytes())
            if document["schema"] != STATE_SCHEMA:
                raise ValueError(document["schema"])
            return {str(origin): _seen(one) for origin, one in document["logs"].items()}
        except FileNotFoundError:
            what = "is gone"
        except (ValueError, KeyError, TypeError, AttributeError):
            what = "is damaged"
        raise LogForked(
            f"{self._state} {what}: the witness can't tell what it has signed and signs nothing.",
            hint="Bring it back from a copy; it only ever grows with the log.",
        )

    def _write(self, known: dict[str, Seen]) -> None:
        logs = {
            origin: {"size": str(one.size), "root": one.root.hex()} for origin, one in known.items()
        }
        write_whole(self._state, canonical({"schema": STATE_SCHEMA, "logs": logs}), 0o600)


def _seen(document: dict[str, str]) -> Seen:
    size, root = document["size"], bytes.fromhex(document["root"])
    if not is_size(size) or len(root) != 32:
        raise ValueError(size)
    return Seen(int(size), root)
