"""Inputs from files. The value is hashed here and goes nowhere else."""

from __future__ import annotations

import os
import stat
from typing import Final

from engine.adapters.secret_value import resolved
from engine.core.errors import AdapterFailed, NotFound
from engine.ports import ResolvedInput

BYTES_MAX: Final = 1024 * 1024


class FileSecrets:
    """`SecretSource` for `file:<path>`. The value is every byte of the file."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @property
    def scheme(self) -> str:
        return "file"

    def resolve(self, name: str, path: str, *, deadline_s: float) -> ResolvedInput:
        # A file has no version: its times change without it, and it without them.
        return resolved(self._key, name, f"file:{path}", _read(path))


def _read(path: str) -> bytes:
    try:
        # Not blocking: opening a pipe would wait for a writer beyond any deadline.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise AdapterFailed(f"{path}: {_why(error)}", transient=False) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise AdapterFailed(f"{path}: expected a regular file", transient=False)
    with os.fdopen(fd, "rb") as file:
        try:
            value = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise AdapterFailed(f"{path}: {_why(error)}", transient=True) from error
    if len(value) > BYTES_MAX:
        raise AdapterFailed(f"{path}: expected at most {BYTES_MAX} bytes", transient=False)
    return value


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or "cannot be read") if isinstance(error, OSError) else str(error)
