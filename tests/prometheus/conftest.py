"""One fleet and one Prometheus for all tests here: it takes 5 s to look at a new address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.core.metrics import ReadingStatus
from tests.fleet.kit import eventually
from tests.prometheus.gate_kit import Fleet4
from tests.prometheus.kit import Prometheus, addresses_of, source_of
from tests.shell.watch_kit import TARGETS


# Of a file, not of the session: its fleet works until it is ended.
@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet4]:
    one = Fleet4(tmp_path_factory.mktemp("prometheus"))
    try:
        one.deploy(one.bundle("1"))
        eventually(lambda: addresses_of(one).read_text().count("fleet-target") == len(TARGETS))
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def server(rig: Fleet4) -> Iterator[Prometheus]:
    one = Prometheus(rig.folder / "server", [addresses_of(rig)])
    try:
        one.start()
        source = source_of(rig, one)
        eventually(lambda: source.read(deadline_s=2.0).status is ReadingStatus.OK, within_s=20)
        yield one
    finally:
        one.end()
