"""A mirror, and one sync of it after another in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.digest import Digest
from engine.feeds_job import Job, Taken
from engine.feeds_take import take
from engine.inputs.feeds import unpack_feed
from engine.inputs.feeds_unpack import FeedLimits
from tests.feeds.mirror import Mirror, serving

QUICK = FeedLimits(deadline_s=5)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as made:
        yield made


class Taker:
    """What the server does between two syncs: keeps the snapshot and hands it to the next."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._n = folder, 0
        self.previous = ""
        self.validators = Taken(how="", bytes_read=0, vouched=True).validators

    def __call__(self, name: str, address: str, **more: object) -> Taken:
        self._n += 1
        into = self._folder / f"{self._n}.snapshot"
        job = Job(
            name=name,
            address=address,
            into=str(into),
            asked_s=1_772_000_000,
            previous=self.previous,
            go_on=bool(self.previous),
            validators=self.validators,
            limits=QUICK,
        )
        taken = take(replace(job, **more))  # type: ignore[arg-type]  # fields by name
        if taken.how != "unchanged":
            assert str(Digest.of(into.read_bytes())) == taken.digest
            self.previous = str(into)
        else:
            assert not into.exists()
        self.validators = taken.validators
        return taken

    def files(self) -> dict[str, bytes]:
        return unpack_feed(Path(self.previous).read_bytes(), where="test")


@pytest.fixture
def sync(tmp_path: Path) -> Taker:
    return Taker(tmp_path)


@pytest.fixture
def another(tmp_path: Path) -> Callable[[], Taker]:
    """A taker that has nothing yet."""

    def make() -> Taker:
        folder = tmp_path / "another"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        return Taker(folder)

    return make
