"""A command line without a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.cli.main import run


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def releaseline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Done]:
    """Run one command in an empty folder; nothing of the caller's environment reaches it."""
    for name in ("HOME", "SERVER", "TOKEN", "PORT", "SPEED", "KEY_PASSPHRASE_FILE"):
        monkeypatch.delenv(f"RELEASELINE_{name}", raising=False)
    monkeypatch.setenv("RELEASELINE_KEY_PASSPHRASE", "correct horse")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        code = run(list(arguments))
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call
