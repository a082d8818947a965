"""Preconditions: what is asked for, what was read, and that not known is never met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import precondition_reads as reads
from engine.core import preconditions
from engine.core.data_health import Level
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.jcs import canonical
from engine.core.preconditions import KINDS, Mode, Precondition, Read, State
from engine.core.rescans import Standing

NOW_US = 1_800_000_000_000_000
NOW_S = NOW_US // 1_000_000
HOUR_S = 3_600


def one(name: str = "rollback_ready", mode: Mode = Mode.ENFORCE, limit_s: int = 0) -> Precondition:
    return Precondition(name=name, mode=mode, limit_s=limit_s)


class TestAsking:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("feeds_fresh=1h", one("feeds_fresh", limit_s=HOUR_S)),
            ("feeds_fresh=90m:warn", one("feeds_fresh", Mode.WARN, 5_400)),
            ("previous_soaked=2d:enforce", one("previous_soaked", limit_s=172_800)),
            ("rollback_ready=on", one()),
            ("integrations_healthy=on:warn", one("integrations_healthy", Mode.WARN)),
            ("scans_complete=off", one("scans_complete", Mode.OFF)),
        ],
    )
    def test_words_of_the_command_line(self, text: str, found: Precondition) -> None:
        assert preconditions.parse(text) == found

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("feeds=1h", "expected NAME=VALUE with one of feeds_fresh"),
            ("feeds_fresh", "expected NAME=VALUE"),
            ("feeds_fresh=on", "expected a duration such as feeds_fresh=1h, found 'on'"),
            ("feeds_fresh=0h", "expected a duration"),
            ("feeds_fresh=400d", "expected a duration"),
            ("feeds_fresh=1h:loud", "expected :warn or :enforce, found 'loud'"),
            ("rollback_ready=1h", "expected rollback_ready=on or off, found '1h'"),
            ("rollback_ready=off:warn", "expected rollback_ready=on or off"),
        ],
    )
    def test_other_words_are_refused(self, text: str, said: str) -> None:
        with pytest.raises(Malformed) as caught:
            preconditions.parse(text, where="--require")
        assert str(caught.value).startswith("--require: ") and said in str(caught.value)

    def test_every_one_stands_on_record_and_off_is_said(self) -> None:
        wanted = preconditions.complete([one()])
        assert [p.name for p in wanted] == list(KINDS)
        rows = preconditions.rows(wanted, {})
        off = [row for row in rows if row.mode is Mode.OFF]
        assert len(off) == len(KINDS) - 1
        assert {(row.state, row.value, row.threshold) for row in off} == {
            (State.NOT_CHECKED, "not checked", "off")
        }
        assert preconditions.unmet(rows) == ("Rollback ready: nothing here can tell",)

    @pytest.mark.parametrize(
        ("given_ones", "said"),
        [
            ([one(), one()], "expected rollback_ready once"),
            ([one("feeds_fresh")], "expected feeds_fresh with a limit from 1 s to 366 d"),
            ([one(limit_s=5)], "expected rollback_ready without a limit, found 5 s"),
            ([one("on_call")], "expected one of feeds_fresh"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, given_ones: list[Precondition], said: str
    ) -> None:
        with pytest.raises(Malformed, match=said):
            preconditions.complete(given_ones)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(KINDS)), st.sampled_from(Mode), st.sampled_from([*State, None])
        ),
        unique_by=lambda each: each[0],
    )
)
def test_only_what_is_known_to_hold_lets_a_run_start(
    asked: list[tuple[str, Mode, State | None]],
) -> None:
    wanted = [one(name, mode) for name, mode, _ in asked]
    read = {n: Read(state=state, value="x") for n, _, state in asked if state is not None}
    rows = preconditions.rows(wanted, read)
    enforced = [(n, state) for n, mode, state in asked if mode is Mode.ENFORCE]
    assert len(preconditions.unmet(rows)) == sum(s is not State.MET for _, s in enforced)
    warned = [state for _, mode, state in asked if mode is Mode.WARN]
    assert len(preconditions.warnings(rows)) == sum(s is not State.MET for s in warned)


def test_the_row_names_the_digest_of_what_was_read() -> None:
    source = {"NVD": 1}
    read = {"rollback_ready": Read(state=State.MET, value="x", source=source)}
    (row,) = preconditions.rows([one()], read)
    assert row.source == str(Digest.of(canonical(source)))


class TestReads:
    @pytest.mark.parametrize(
        ("known", "state", "said"),
        [
            ({}, State.UNKNOWN, "names no feed"),
            ({"NVD": NOW_S - 60, "OSV": NOW_S - 120}, State.MET, "oldest: OSV 2 m 00 s old"),
            ({"NVD": NOW_S - HOUR_S}, State.UNMET, "NVD 1 h 00 m old"),
            ({"NVD": NOW_S - HOUR_S + 1}, State.MET, "NVD 59 m 59 s old"),
            ({"NVD": NOW_S - 60, "KEV": None}, State.UNMET, "KEV has no snapshot"),
            ({"NVD": NOW_S + 60}, State.UNKNOWN, "NVD is dated after this clock"),
        ],
    )
    def test_feeds(self, known: dict[str, int | None], state: State, said: str) -> None:
        found = reads.feeds(known, limit_s=HOUR_S, now_us=NOW_US)
        assert found.state is state and said in found.value

    @pytest.mark.parametrize(
        ("levels", "state"),
        [
            ([], State.MET),
            ([Level.OK], State.MET),
            ([Level.OK, Level.WARN], State.UNMET),
            ([Level.UNKNOWN], State.UNKNOWN),
            ([Level.UNKNOWN, Level.FAIL], State.UNMET),
        ],
    )
    def test_integrations(self, levels: list[Level], state: State) -> None:
        known = [(f"i-{n}", level, "why", NOW_US - n) for n, level in enumerate(levels)]
        found = reads.integrations(known)
        assert found.state is state
        assert not levels or found.observed_us == NOW_US - len(levels) + 1

    def test_soaking_counts_from_the_run_that_brought_it(self) -> None:
        def soaked(since_s: int | None, *, runs_it: bool = True, place: str = "stage") -> Read:
            since_us = None if since_s is None else (NOW_S - since_s) * 1_000_000
            run = "" if since_s is None else "run-3"
            return reads.soaked(
                place, run, since_us, runs_it=runs_it, limit_s=HOUR_S, now_us=NOW_US
            )

        assert soaked(HOUR_S).state is State.MET
        assert soaked(HOUR_S - 1).state is State.UNMET
        assert soaked(None).value == "stage never ran it"
        assert soaked(HOUR_S, runs_it=False).value == "stage runs something else since run-3"
        assert soaked(HOUR_S, place="").state is State.UNKNOWN

    def test_debt_and_the_way_back(self) -> None:
        assert reads.override_debt([], now_us=NOW_US).state is State.MET
        many = reads.override_debt([(f"run-{n}", "why") for n in range(5)], now_us=NOW_US)
        assert many.state is State.UNMET and many.value.endswith("and 2 more")
        assert reads.rollback([("t-1", True)], observed_us=1).state is State.MET
        assert reads.rollback([("t-1", True), ("t-2", None)], observed_us=1).state is State.UNKNOWN
        assert reads.rollback([("t-1", None), ("t-2", False)], observed_us=1).state is State.UNMET
        assert reads.rollback([], observed_us=1).state is State.UNKNOWN
        assert reads.rollback([], observed_us=0, trouble="no answer").value == "no answer"

    @pytest.mark.parametrize(
        ("more", "state"),
        [
            ({}, State.MET),
            ({"bundles": 0}, State.MET),
            ({"missing": 1}, State.UNMET),
            ({"failed": 1, "missing": 1}, State.UNMET),
            ({"done": 1, "doing": 2}, State.UNMET),
        ],
    )
    def test_rescans(self, more: dict[str, int], state: State) -> None:
        base = {"bundles": 2, "missing": 0, "unseen": 0, "failed": 0}
        found = Standing(**(base | more), environments=())  # type: ignore[arg-type]
        assert reads.scans(found, now_us=NOW_US).state is state
        assert reads.scans(None, now_us=NOW_US, trouble="why").state is State.UNKNOWN
