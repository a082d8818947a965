"""The OpenAPI document, asked by a tool that knows nothing but it, as three different askers.

A sample runs everywhere; all phases, with many examples, under --long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.schemathesis_house import House, house, schemathesis

pytestmark = pytest.mark.house

ADMIN, NO_ROLE, NOBODY = "dora.admin", "a.stranger", ""
PHASES = ("examples", "coverage", "fuzzing", "stateful")
SAMPLE = ("--phases", "fuzzing", "--max-examples", "1", "--generation-deterministic")
WHOLE = ("--max-examples", "10", "--seed", "7")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "home") as made:
        yield made


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(ADMIN, id="admin"),
        pytest.param(NO_ROLE, id="no-role", marks=pytest.mark.long),
        pytest.param(NOBODY, id="nobody"),
    ],
)
def test_a_sample_of_what_can_be_asked(asked: House, tmp_path: Path, who: str) -> None:
    _all_well(schemathesis(asked, who, tmp_path, *SAMPLE))


@pytest.mark.long
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("who", [ADMIN, NO_ROLE, NOBODY], ids=["admin", "no-role", "nobody"])
def test_all_that_can_be_asked(asked: House, tmp_path: Path, who: str, phase: str) -> None:
    _all_well(schemathesis(asked, who, tmp_path, "--phases", phase, *WHOLE))


def _all_well(report: dict[str, Any]) -> None:
    """Everything was asked, and nothing was wrong, nor was anything left out."""
    assert report["complete"] and not report["failures"] and not report["errors"]
    assert report["operations"]["tested"] == report["operations"]["total"] >= 90
    assert report["test_cases"]["with_failures"] == report["test_cases"]["errored"] == 0
    assert report["test_cases"]["generated"] >= report["operations"]["total"]
