"""Finished runs to look at: played once, over the real store, by the real sealer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.core.run import Run
from tests.evidence.kit import World, world


@dataclass(frozen=True, slots=True)
class Played:
    world: World
    run: Run
    audit: bytes
    bundle: bytes

    @property
    def trusted(self) -> bytes:
        return self.world.keys.trusted_root


def _played(home: Path, **changes: str) -> Iterator[Played]:
    one = world(home, **changes)
    run = one.play()
    yield Played(one, run, one.pack(), one.pack("bundle"))
    one.store.close()


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield from _played(tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="session")
def rolled_back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield from _played(tmp_path_factory.mktemp("rolled-back"), breach="canary-10")


@pytest.fixture(scope="session")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The smallest run that is sealed: the policy said no."""
    yield from _played(tmp_path_factory.mktemp("rejected"), decision="FAIL")


@pytest.fixture(scope="session")
def vectors(shared: Path) -> Path:
    return shared / "vectors"
