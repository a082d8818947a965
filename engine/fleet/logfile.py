"""The log of one fleet process: a file that cannot grow without end, and what `print` says too."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BYTES_MAX: Final = 1024 * 1024  # then it becomes `<name>.1`, and the one before that is gone


class LogFile:
    """Takes over standard output and error, so that nothing a bundle prints is lost.

    A line of ours reads `<epoch microseconds> <level> <text>`; every other line was printed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._point_output_here()

    def write(self, level: str, text: str) -> None:
        line = f"{time.time_ns() // 1000} {level} {' '.join(text.splitlines())}\n"
        os.write(1, line.encode("utf-8", "backslashreplace"))

    def rotate(self) -> None:
        """Call now and then. Keeps one older file."""
        if os.fstat(1).st_size < BYTES_MAX:
            return
        self._path.replace(older(self._path))
        self._point_output_here()

    def _point_output_here(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def tail(path: Path, *, since_us: int, limit: int) -> Iterator[tuple[int, str, str]]:
    """(microseconds, stream, text) of the newest `limit` lines since then, oldest first.

    The stream is `service` for the process's own lines and `output` for what was printed; a
    printed line has the time of the line before it.
    """
    lines: deque[tuple[int, str, str]] = deque(maxlen=max(0, limit))
    at_us = 0
    for file in (older(path), path):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        for line in content.decode("utf-8", "replace").splitlines():
            head, _, rest = line.partition(" ")
            own = len(head) == 16 and head.isdigit()
            if own:
                at_us = int(head)
            if at_us >= since_us:
                lines.append((at_us, "service" if own else "output", rest if own else line))
    yield from lines
