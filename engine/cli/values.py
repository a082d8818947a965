"""Option values that more than one command reads, and files that they write."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.exits import BAD_CONFIG, CONFLICT, Ended

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


class Duration(click.ParamType[int]):
    """`90s`, `30m`, `2h` or a plain number of seconds; the value is in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,7})(ms|s|m|h)?", str(value), re.ASCII)
        if match is None or int(match[1]) == 0:
            self.fail(f"expected a duration like 90s, 30m or 2h, found {value!r}", param, ctx)
        return int(match[1]) * _UNITS_MS[match[2] or "s"]


DURATION: Final = Duration()


def attempt_key(given: str) -> str:
    """What makes a repeated call the same call: what was given, else a new one of this call."""
    return given or f"cli-{uuid.uuid4()}"


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise Ended(CONFLICT, f"{path} exists.", hint="--force overwrites it.") from None
    except OSError as error:
        raise Ended(BAD_CONFIG, f"{path}: can't be written: {error.strerror}") from None
