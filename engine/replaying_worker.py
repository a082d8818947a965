"""A worker of the replay pool as a process: `python -m engine.replaying_worker BLOBS`.

Reads tasks from standard input and writes answers to what was standard output; both are pickles
with their length before them, since the other end is our own server. When that ends, however it
ends, the input is at its end too, and so is this process.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import struct
import sys
from pathlib import Path
from typing import IO, Any, Final

from engine.blob_folder import BlobFolder
from engine.replaying_work import Task, Worker

LENGTH: Final = struct.Struct(">Q")


def send(stream: IO[bytes], value: Any) -> None:
    content = pickle.dumps(value)
    stream.write(LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Raises `EOFError` when the other end is gone."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 (our own process at the other end of a pipe)


def rarely_collect() -> None:
    """Facts are trees that live long and die by count: looking for circles in them at Python's own
    pace takes a fifth of the time, and finds none."""
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


def main() -> None:
    rarely_collect()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends us
    # Whatever a library prints goes to the log and not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    worker = Worker(BlobFolder(Path(sys.argv[1])))
    tasks = sys.stdin.buffer
    try:
        while True:
            task = receive(tasks)
            assert isinstance(task, Task)
            send(answers, worker.work(task))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
