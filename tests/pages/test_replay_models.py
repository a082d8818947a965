"""What the replay pages say, decided before anything is drawn."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.replays import Cause, Depth, ReplayMode, ReplayResult, ReplayStatus
from pages.ui import (
    replay_detail,
    replay_filters,
    replay_meaning,
    replay_models,
    replay_words,
    words,
)
from pages.ui.replay_meaning import Meant, meant
from tests.pages import replay_kit as kit

# --- words --------------------------------------------------------------------------------------


def test_every_word_of_a_replay_has_its_look_and_its_meaning() -> None:
    assert set(words.REPLAY) == set(ReplayStatus)
    assert set(words.REPLAY_RESULT) == set(ReplayResult)
    assert set(replay_words.CAUSES) == set(Cause)
    assert set(replay_words.MODES) == set(ReplayMode)
    assert set(replay_words.DEPTHS) == set(Depth)
    assert set(replay_words.RESULTS) == set(ReplayResult)
    for cause in Cause:
        said = replay_words.cause(cause.value)
        assert said is not None and said.means and said.do and said.short[0].islower()
    assert replay_words.cause("") is None
    unknown = replay_words.cause("SOMETHING_NEW")
    assert unknown is not None and unknown.means


@pytest.mark.parametrize("table", [words.REPLAY, words.REPLAY_RESULT])
def test_a_replay_is_shown_by_its_own_word(table: dict[str, words.Look]) -> None:
    assert all(look.word == name for name, look in table.items())


# --- the list -----------------------------------------------------------------------------------


def cells(row: dict[str, object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = replay_models.rows([row])[0]["cells"]
    return found


def test_a_match_a_mismatch_and_one_under_way_look_different() -> None:
    match = replay_models.rows([kit.row()])[0]
    assert match["tone"] == ""
    assert match["cells"][2]["look"]["word"] == "MATCH"
    bad = kit.row(result="MISMATCH", cause="INPUT_TAMPERED", facet="findings")
    row = replay_models.rows([bad])[0]
    assert row["tone"] == "err"
    assert row["cells"][2]["sub"] == "a frozen input has other bytes (findings)"
    under_way = cells(kit.running())
    assert under_way[1]["look"]["word"] == "RUNNING"  # type: ignore[index]
    assert under_way[2]["look"] is None and not under_way[2]["text"]
    assert under_way[5]["sub"] == ""


def test_a_request_that_could_not_be_carried_out_is_no_mismatch_and_says_why() -> None:
    row = kit.row(idx=0, status="FAILED", result="", sentence="the server was stopped")
    shown = replay_models.rows([row])[0]
    assert shown["tone"] == "err"
    assert shown["cells"][2]["look"] is None
    assert shown["cells"][2]["sub"] == "the server was stopped"


def test_of_a_big_request_the_list_says_how_far_it_is() -> None:
    row = kit.running(scope="all", subject="all", run_id="", environment="", total=14, done=12)
    shown = cells(row)
    assert shown[2]["sub"] == "12 of 14"
    assert shown[3]["text"] == "every decision" and "href" not in shown[3]
    assert shown[3]["sub"] == "the whole home"


def test_every_row_leads_to_its_difference_and_to_the_decision() -> None:
    gate = kit.row(kind="GATE", subject="run-1/canary-10/2", scope="run-1", name="rr-004.3")
    shown = cells(gate)
    assert shown[0]["href"] == "/replay-request?name=rr-004.3"
    assert json.loads(str(shown[0]["open"])) == ["replay-request", {"name": "rr-004.3"}]
    assert shown[3]["text"] == "gate of canary-10, attempt 2"
    assert shown[3]["href"] == "/replay-run?run=run-1&step=canary-10"
    assert cells(kit.row())[3]["href"] == "/replay-run?run=run-1&verdict=verdict-1"


def test_the_list_looks_again_only_while_something_is_under_way() -> None:
    assert replay_models.under_way([kit.row(), kit.running()])
    assert not replay_models.under_way([kit.row(), kit.row(status="FAILED", result="")])
    assert not replay_models.under_way([])


# --- the form -----------------------------------------------------------------------------------


def test_a_reason_is_a_choice_and_for_other_words() -> None:
    assert replay_models.reason(None, "typed all the same") == ""
    assert replay_models.reason("Audit verification", "") == "Audit verification"
    assert (
        replay_models.reason("Audit verification", " Q1 \n 2026 ") == "Audit verification: Q1 2026"
    )
    assert replay_models.reason(replay_models.OTHER, "") == ""
    assert replay_models.reason(replay_models.OTHER, "ticket 7") == "ticket 7"
    assert "required" in replay_models.reason_problem("")
    assert "at most" in replay_models.reason_problem("x" * 500)
    assert replay_models.reason_problem("Audit verification") == ""


def test_what_an_address_means_is_chosen_and_what_it_does_not_is_said() -> None:
    found = tuple(
        replay_models.Subject(scope=scope, label=scope, run_id="run-1")
        for scope in ("verdict-1.2", "verdict-1", "run-1/canary-10", "run-1")
    )
    assert replay_models.chosen(found, verdict="verdict-1") == 1
    assert replay_models.chosen(found, step="canary-10") == 2
    assert replay_models.chosen(found) == 0
    assert replay_models.chosen(found, verdict="verdict-9") == 0
    assert replay_models.chosen(()) == 0
    assert "no verdict" in replay_models.unknown_verdict(found, "verdict-9")
    assert replay_models.unknown_verdict(found, "verdict-1") == ""
    assert replay_models.unknown_verdict(found, "") == ""


def test_only_what_makes_sense_can_be_asked() -> None:
    assert replay_models.depths(ReplayMode.VERIFY, gate=False) == ["SHALLOW", "DEEP"]
    assert replay_models.depths(ReplayMode.VERIFY, gate=True) == ["SHALLOW"]
    assert replay_models.depths(ReplayMode.WHAT_IF, gate=False) == ["SHALLOW"]
    assert replay_models.depths(ReplayMode.TODAY, gate=False) == ["DEEP"]


# --- what somebody means --------------------------------------------------------------------------

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("", "nothing", ""),
        ("  ", "nothing", ""),
        ("verdict-42", "verdict", "verdict-42"),
        (" Verdict-42.2 ", "verdict", "verdict-42.2"),
        ("run-7", "run", "run-7"),
        ("run-7/canary-10", "gate", "run-7"),
        ("run-7/canary-10/2", "gate", "run-7"),
        (f"sha256:{HEX}", "digest", HEX),
        (HEX.upper(), "digest", HEX),
        ("abababab", "digest", "abababab"),
        (f"registry.example/platform@sha256:{HEX}", "digest", HEX),
        ("registry.example/platform:1.3.0", "label", "registry.example/platform:1.3.0"),
        ("Platform  Release 1.3.0", "label", "platform release 1.3.0"),
        ("user@12345678", "label", "user@12345678"),
    ],
)
def test_what_people_paste_is_read(text: str, kind: str, value: str) -> None:
    found = meant(text)
    assert (found.kind, found.value) == (kind, value)


@given(st.text(max_size=80))
def test_whatever_is_typed_means_something_and_finds_without_a_fault(text: str) -> None:
    found = meant(text)
    assert (found.kind == "nothing") == (not text.split())
    bundle = {"digest": f"sha256:{HEX}", "name": "P", "version": "1", "components": (("a", HEX),)}
    replay_meaning.named(found, [bundle])


def test_bundles_are_found_by_digest_component_and_label() -> None:
    bundles = [
        {
            "digest": f"sha256:{HEX}",
            "name": "Platform Release",
            "version": "1.3.0-rc1",
            "components": (("api", "sha256:" + "cd" * 32),),
        },
        {"digest": "sha256:" + "ef" * 32, "name": "Other", "version": "2", "components": ()},
    ]

    def find(text: str) -> tuple[str, ...]:
        return replay_meaning.named(meant(text), bundles)

    assert find(HEX) == find("abababab") == find("platform release 1.3.0-rc1") == (f"sha256:{HEX}",)
    assert find("cd" * 32) == (f"sha256:{HEX}",)
    assert find("registry.example/team/api:1.3.0-rc1") == (f"sha256:{HEX}",)
    assert find("registry.example/team/api:9.9") == ()
    assert find("efefefef") == ("sha256:" + "ef" * 32,)
    assert replay_meaning.named(Meant(kind="verdict", value="verdict-1"), bundles) == ()


def test_names_of_requests_are_read_and_nothing_else() -> None:
    assert replay_models.number_of("rr-007") == (7, 0)
    assert replay_models.number_of("rr-007.12") == (7, 12)
    for text in ("", "rr-", "rr-x", "rr-1.", "run-1", "rr-1.2.3", "rr-" + "9" * 30):
        assert replay_models.number_of(text) is None


# --- filters --------------------------------------------------------------------------------------


def test_filters_are_words_of_ours_and_the_rest_is_as_good_as_none() -> None:
    found = replay_filters.filters(
        {
            "policy": kit.DIGEST,
            "run": "run-1",
            "left": "over",
            "decided": "1970-01-11",
            "replayed": "x",
        },
        result="MISMATCH",
        cause="nonsense",
        environment="eu-prod",
        mode=replay_filters.ANY,
        progress=None,
        since="7d",
    )
    assert found.asked == {
        "result": "MISMATCH",
        "environment": "eu-prod",
        "since": "7d",
        "policy": kit.DIGEST,
        "run": "run-1",
        "decided": "1970-01-11",
    }
    query = found.query(now_us=10**15)
    assert query["decided_day"] == 10
    assert query["since_us"] == 10**15 - 7 * 86_400_000_000
    assert query["run_id"] == "run-1" and "run" not in query and "since" not in query
    assert dict(found.narrowed)["run"] == "run-1"
    assert "policy" not in found.without_narrowing()
    failed = replay_filters.filters({}, progress="FAILED")
    assert failed.query(now_us=0) == {"status": "FAILED"}


@pytest.mark.parametrize(
    ("text", "key"), [("7000001", 7_000_001), ("", None), ("-1", None), ("9" * 30, None)]
)
def test_a_later_page_begins_behind_a_key(text: str, key: int | None) -> None:
    assert replay_filters.before({"before": text}) == key


# --- one replay -----------------------------------------------------------------------------------


def test_a_mismatch_says_what_it_means_and_what_to_do() -> None:
    bad = kit.document(
        result="MISMATCH",
        cause="INPUT_TAMPERED",
        facet="findings",
        sentence="findings: other",
        now=None,
    )
    head = replay_detail.head(bad)
    assert head.level == "FAIL" and "INPUT_TAMPERED" in head.sentence
    assert "digest" in head.means and "incident" in head.do
    assert replay_detail.no_difference(bad) == replay_detail.NOT_ASKED
    then, now = replay_detail.sides(bad)
    assert then.word == "PASS (1 WARN)" and now.look is None and now.results == ()
    good = replay_detail.head(kit.document())
    assert good.level == "OK" and good.do == ""
    assert replay_detail.no_difference(kit.document()) == replay_detail.NO_DIFFERENCE


def test_the_difference_is_by_pointer_and_in_words() -> None:
    place = '/results/["feed.stale.warn","NVD"]/detail'
    rows = replay_detail.difference(
        kit.document(
            diff=[
                {"at": "/decision", "then": '"PASS"', "now": '"FAIL"'},
                {"at": place, "then": '"old"', "now": "nothing"},
            ]
        )
    )
    assert [cell["text"] for cell in rows[0]["cells"]] == ["/decision", "PASS", "FAIL"]
    assert rows[0]["cells"][0]["sub"] == "the decision itself"
    assert rows[1]["cells"][0]["sub"] == "what feed.stale.warn says about NVD"
    assert rows[1]["cells"][2] == {"text": "", "sub": "is not there"}


def test_the_first_cause_of_a_bisect_stands_out_and_the_tries_are_told() -> None:
    found = kit.document(
        bisect=[
            {"change": "policy", "upto": False, "digest": kit.DIGEST, "flips": False},
            {"change": "findings", "upto": False, "digest": kit.OTHER, "flips": True},
            {"change": "feeds", "upto": True, "digest": None, "flips": False},
            {"change": "clock", "upto": False, "digest": kit.OTHER, "flips": True},
        ],
        attribution={"policy_alone": "same", "engine_alone": "flips", "first": "engine"},
        digests_seen=[kit.DIGEST, kit.OTHER, kit.DIGEST],
        cause="ENGINE_CHANGED",
        crosscheck="DISAGREE",
    )
    assert [row["tone"] for row in replay_detail.bisected(found)] == ["", "err", "", ""]
    cells = replay_detail.bisected(found)[2]["cells"]
    assert cells[0]["text"] == "feeds and all before it"
    assert cells[1]["text"] == "can't be asked with it" and cells[2]["digest"] == ""
    said = " ".join(replay_detail.found_out(found))
    assert "policy of now alone" in said and "changes nothing" in said
    assert "Fresh processes gave 2 different answers" in said
    assert "ANOTHER answer" in said
    assert replay_detail.found_out(kit.document()) == ()


def test_parts_can_be_copied_and_fetched_only_where_their_bytes_are_right() -> None:
    states = ("ok", "missing", "tampered", "differs", "new word")
    rows = replay_detail.parts(
        kit.document(parts=[{"name": s, "digest": kit.DIGEST, "state": s} for s in states])
    )
    assert all(row["digest"] == kit.DIGEST for row in rows)
    assert [bool(row["href"]) for row in rows] == [True, False, False, True, False]
    assert rows[2]["tone"] == "err" and "tampered" in rows[2]["name"]
    assert rows[4]["tone"] == "idle"


def test_a_gate_shows_ticks_instead_of_verdicts() -> None:
    found = kit.document(
        kind="GATE",
        then=None,
        now=None,
        gate={
            "differences": [
                {
                    "attempt": 1,
                    "n": 3,
                    "t_ms": 4500,
                    "what": "/decision/rule",
                    "expected": "11",
                    "found": "7",
                }
            ]
        },
    )
    row = replay_detail.gate_difference(found)[0]
    assert row["cells"][0]["text"] == "4.5 s" and row["cells"][1]["mono"]
    assert replay_detail.gate_difference(kit.document()) == []


@pytest.mark.parametrize(
    ("scope", "mode", "depth", "line"),
    [
        ("verdict-42", "VERIFY", "SHALLOW", "./run replay verdict-42"),
        ("verdict-42", "VERIFY", "DEEP", "./run replay verdict-42 --deep"),
        ("all", "VERIFY", "SHALLOW", "./run replay --all"),
    ],
)
def test_the_command_line_asks_the_same(scope: str, mode: str, depth: str, line: str) -> None:
    assert replay_detail.command(scope=scope, mode=mode, depth=depth) == line


# --- verdicts are links ---------------------------------------------------------------------------


def test_every_verdict_in_a_text_is_a_link_and_nothing_else_is() -> None:
    said = words.with_verdicts(words.plain("verdict-42.2 (PASS) of run-42; averdict-1 [x](y)"))
    links = re.findall(r"(?<!\\)\[([^]]+)]\((/[^)]+)\)", said)
    assert links == [("verdict-42.2", "/replay-run?run=run-42&verdict=verdict-42.2")]


@given(st.text(alphabet="verdict-0123456789.[]()*\\ ", max_size=60))
def test_no_text_makes_a_link_that_is_not_ours(text: str) -> None:
    said = words.with_verdicts(words.plain(text))
    for address in re.findall(r"(?<!\\)]\(([^)]*)\)", said):
        assert re.fullmatch(r"/replay-run\?run=run-\d+&verdict=verdict-\d+(\.\d+)?", address)
