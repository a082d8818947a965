"""Real third-party data beside the project, read once, and small documents made by hand."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.adapters.feeds_dir import FeedsDir, write_index
from engine.inputs.feeds import FeedFacts, read_feeds
from engine.ports import FeedSnapshot


@pytest.fixture(scope="session")
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not folder.is_dir():
        pytest.skip("shared/data: the folder with third-party data is not beside us")
    return folder


@pytest.fixture(scope="session")
def real_snapshots(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[FeedSnapshot]:
    """The bulk archive, the whole KEV catalogue and the NVD samples, as a feeds folder."""
    folder = tmp_path_factory.mktemp("feeds")
    for name in ("osv", "kev", "nvd"):
        (folder / name).mkdir()
    (folder / "osv" / "all.zip").write_bytes((data / "osv/PyPI/all.zip").read_bytes())
    kev = gzip.decompress((data / "kev/known_exploited_vulnerabilities.json.gz").read_bytes())
    (folder / "kev" / "kev.json").write_bytes(kev)
    for path in sorted((data / "nvd").glob("*.json")):
        (folder / "nvd" / path.name).write_bytes(path.read_bytes())
    write_index(folder, {"NVD": 1_728_600_000})
    return FeedsDir(folder).snapshots()


@pytest.fixture(scope="session")
def real_feeds(real_snapshots: Sequence[FeedSnapshot]) -> FeedFacts:
    return read_feeds(real_snapshots)
