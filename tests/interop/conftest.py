"""The house that all clients look at, and which of them are here."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.interop import clients
from tests.interop.house import House, build


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build(tmp_path_factory.mktemp("interop"))


@pytest.fixture(scope="session")
def npm_client(request: pytest.FixtureRequest) -> None:
    here = (clients.PACKAGES / "@sigstore" / "verify").is_dir()
    want(request, here, "the npm client is not in .tools/clients; ./run test --version gets it")


@pytest.fixture(scope="session")
def openssl(request: pytest.FixtureRequest) -> None:
    want(request, shutil.which("openssl") is not None, "no openssl; apt-get install openssl")


def want(request: pytest.FixtureRequest, here: bool, says: str) -> None:
    """A client that is not here fails where it may not be skipped."""
    if here:
        return
    if request.config.getoption("--ci") or os.environ.get("CI") == "true":
        pytest.fail(f"interop: {says}")
    pytest.skip(f"interop: {says}")
