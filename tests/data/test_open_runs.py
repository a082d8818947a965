"""The index of open runs says what a walk over all of them would say."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from data.open_runs import OpenRuns
from engine.core.state import Run
from engine.core.statemachine import RunStatus
from tests.core.book import Book, request

BASE = Book(request()).current


def run_of(number: int, place: str, status: RunStatus) -> Run:
    asked = replace(BASE.request, number=number, environment=place)
    return replace(BASE, run_id=f"run-{number}", request=asked, status=status)


moves = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from(list(RunStatus))), min_size=1, max_size=60
)


@given(moves)
def test_it_agrees_with_a_walk_over_all(course: list[tuple[int, RunStatus]]) -> None:
    index, runs = OpenRuns(()), dict[int, Run]()
    for number, status in course:
        runs[number] = run_of(number, "prod" if number % 2 else "stage", status)
        index.note(runs[number])
    still = [runs[number] for number in sorted(runs) if not runs[number].terminal]
    assert list(index.of()) == still
    assert len(index) == len(still)
    for place in ("prod", "stage"):
        here = [run for run in still if run.environment == place]
        assert list(index.of(place)) == here
        waiting = [run for run in here if run.status is not RunStatus.SCHEDULED]
        assert list(index.of(place, scheduled=False)) == waiting
    assert list(OpenRuns(runs.values()).of()) == still
