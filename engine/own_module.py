"""A module of ours as a process of its own: started afresh, never forked, our sources first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).resolve().parents[1]


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, "PYTHONPATH": path, **more}
