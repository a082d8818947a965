"""Replays of a real home by real workers; every cause comes from damage to the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import queries_replays as queries
from data.store import Store
from engine.adapters.feeds_dir import write_index
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound, Refused
from engine.core.house import ADMIN, CommandRejected, ReplayFinished, ReplayRequested
from engine.core.jcs import canonical
from engine.core.replays import Depth, ReplayAsk, ReplayStatus
from engine.core.run import Run
from engine.replaying_pool import ReplayPool
from tests.data.kit import TestClock
from tests.shell.gate_house import FRESH, NOW_S, PACKAGES, reports, sbom
from tests.shell.replay_house import (
    DORA,
    TODAY,
    VERA,
    WHAT_IF,
    ReplayHouse,
    sealed_again,
)

pytestmark = pytest.mark.house


@pytest.fixture(scope="module")
def pool_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replay-home")


@pytest.fixture(scope="module")
def pool(pool_home: Path) -> Iterator[ReplayPool]:
    """One pool for the module: its workers are started once, as in a server."""
    made = ReplayPool(pool_home / "blobs", jobs=1)
    yield made
    made.stop()


@pytest.fixture
def house(pool_home: Path, pool: ReplayPool, tmp_path: Path) -> Iterator[ReplayHouse]:
    for name in ("journal", "releaseline.duckdb", "releaseline.duckdb.wal", "blobs"):
        place = pool_home / name
        if place.is_dir():
            for one in sorted(place.rglob("*"), reverse=True):
                one.unlink() if one.is_file() else one.rmdir()
            place.rmdir()
        elif place.exists():
            place.unlink()
    store = Store.open(pool_home, clock=TestClock(NOW_S * 1_000_000))
    yield ReplayHouse(tmp_path, store, pool)
    store.close()


@pytest.fixture
def judged(house: ReplayHouse) -> Run:
    return house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))


def test_the_same_question_has_the_same_answer(house: ReplayHouse, judged: Run) -> None:
    found = house.one("verdict-1")
    assert (found["result"], found["cause"], found["status"]) == ("MATCH", "", "COMPLETED")
    assert judged.verdict is not None
    assert found["digest_then"] == found["digest_now"] == str(judged.verdict.verdict)
    assert {part["state"] for part in found["parts"]} == {"ok"}
    kinds = [r.event for r in house.store.load(ADMIN)]
    asked = [one for one in kinds if isinstance(one, ReplayRequested)]
    ended = [one for one in kinds if isinstance(one, ReplayFinished)]
    assert (asked[0].replay, asked[0].reason) == ("rr-001", "a test")
    assert (ended[0].replay, ended[0].matching) == ("rr-001", 1)


def test_a_part_that_is_gone_is_named(house: ReplayHouse, judged: Run) -> None:
    digest = house.capsule(judged)["refs"]["components"]
    house.place(digest).unlink()
    found = house.one("verdict-1")
    assert (found["cause"], found["facet"]) == ("INPUT_MISSING", "components")
    states = {part["name"]: part["state"] for part in found["parts"]}
    assert states["components"] == "missing" and states["policy"] == "ok"


def test_a_part_that_was_changed_is_named(house: ReplayHouse, judged: Run) -> None:
    place = house.place(house.capsule(judged)["refs"]["feeds"])
    place.write_bytes(place.read_bytes().replace(b"NVD", b"NVE"))
    found = house.one("verdict-1")
    assert (found["cause"], found["facet"]) == ("INPUT_TAMPERED", "feeds")


def test_a_capsule_that_is_gone_or_changed_is_named(house: ReplayHouse, judged: Run) -> None:
    assert judged.verdict is not None
    place = house.place(judged.verdict.capsule)
    whole = place.read_bytes()
    place.write_bytes(whole + b" ")
    found = house.one("verdict-1")
    assert (found["cause"], found["facet"]) == ("INPUT_TAMPERED", "capsule")
    place.unlink()
    found = house.one("verdict-1")
    assert (found["cause"], found["facet"]) == ("INPUT_MISSING", "capsule")


def test_facts_exchanged_for_others_do_not_fit_the_verdict(house: ReplayHouse, judged: Run) -> None:
    def later(document: dict[str, Any]) -> None:
        document["clock"]["evaluated_at_s"] += 1

    name = house.forge(judged, later, number=2)
    found = house.one(name)
    assert (found["cause"], found["facet"]) == ("INPUT_TAMPERED", "clock or refs")


def test_a_result_taken_out_of_the_verdict_shows(house: ReplayHouse, judged: Run) -> None:
    def remove(document: dict[str, Any]) -> None:
        document["verdict"]["results"].pop()
        document["verdict"]["warn"] -= 1

    found = house.one(house.forge(judged, remove, number=2))
    assert (found["cause"], found["facet"]) == ("VERDICT_TAMPERED", "verdict")
    assert any(one["then"] == "nothing" for one in found["diff"])


def test_a_capsule_with_another_policy_names_the_policy(house: ReplayHouse, judged: Run) -> None:
    stricter = house.what_if(lambda config: config["thresholds"].update(runtime_reach_warn_bp=0))
    blocking = house.what_if(lambda config: config["required_feeds"].append("EPSS"))

    def other(policy: Digest) -> str:
        def change(document: dict[str, Any]) -> None:
            document["refs"]["policy"] = str(policy)

        return house.forge(judged, change, number=int(policy.hex[:4], 16) + 10)

    found = house.one(other(stricter))
    assert found["cause"] == "POLICY_CHANGED_SAME_DECISION"
    found = house.one(other(blocking))
    assert found["cause"] == "POLICY_CHANGED" and found["decision_now"] == "FAIL"
    assert found["attribution"]["first"] == "policy"


def test_another_engine_is_blamed_when_the_answer_is_another(
    house: ReplayHouse, judged: Run
) -> None:
    def other(document: dict[str, Any]) -> None:
        document["env"]["engine"] = "cel-cpp/0.1.2"
        document["verdict"]["results"][0]["detail"] = "feed NVD is old"
        sealed_again(document)

    found = house.one(house.forge(judged, other, number=2))
    assert (found["cause"], found["facet"]) == ("ENGINE_CHANGED", "engine")
    assert found["attribution"] == {
        "policy_alone": "same",
        "engine_alone": "flips",
        "first": "engine",
    }


def test_what_nothing_explains_is_said_to_be_so(house: ReplayHouse, judged: Run) -> None:
    def forged(document: dict[str, Any]) -> None:
        document["verdict"]["results"][0]["detail"] = "feed NVD is old"
        sealed_again(document)

    assert house.one(house.forge(judged, forged, number=2))["cause"] == "UNEXPLAINED"


def test_fresh_processes_agree(house: ReplayHouse, judged: Run) -> None:
    found = house.one("verdict-1", processes=2)
    assert found["result"] == "MATCH" and len(found["digests_seen"]) == 1


def test_the_second_engine_agrees(house: ReplayHouse, judged: Run) -> None:
    assert house.one("verdict-1", crosscheck=True)["crosscheck"] == "AGREE"
    assert house.replaying.determinism().cross.agree == 1


def test_deep_the_sources_give_the_same_findings(house: ReplayHouse) -> None:
    old = house.bundle("0.9.0", sbom("click@8.1.0", "langflow@1.2.0"))
    house.targets.facts = {t: reports(old.digest, "click@8.1.8") for t in ("t-1", "t-2")}
    house.judge(
        house.run(house.bundle("1.0.0", sbom(*PACKAGES, "langflow@1.2.0")), before=old.digest)
    )
    found = house.one("verdict-1", depth=Depth.DEEP)
    assert (found["result"], found["differs"]) == ("MATCH", []), found["sentence"]
    assert "sources" in {part["name"] for part in found["parts"]}


def test_deep_a_source_that_is_gone_or_changed_is_named(house: ReplayHouse, judged: Run) -> None:
    raw = house.capsule(judged)["raw"]
    assert house.one("verdict-1", depth=Depth.DEEP)["result"] == "MATCH"
    place = house.place(raw["feed:KEV"])
    whole = place.read_bytes()
    place.write_bytes(whole.replace(b"CVE", b"CVF"))
    found = house.one("verdict-1", depth=Depth.DEEP)
    assert (found["cause"], found["facet"]) == ("INPUT_TAMPERED", "feed:KEV")
    assert house.one("verdict-1")["result"] == "MATCH"  # shallow proves the decision only
    place.unlink()
    found = house.one("verdict-1", depth=Depth.DEEP)
    assert (found["cause"], found["facet"]) == ("INPUT_MISSING", "feed:KEV")


def test_deep_another_matcher_is_named_with_the_facet_and_the_cause(house: ReplayHouse) -> None:
    run = house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES, "langflow@1.2.0"))))

    def fewer(document: dict[str, Any]) -> None:
        """A matcher that saw nothing: consistent in itself, but not what the sources say."""
        from engine.policy.compile import compile_policy  # noqa: PLC0415
        from engine.policy.document import gate_input  # noqa: PLC0415
        from engine.policy.evaluate import evaluate_policy  # noqa: PLC0415
        from tests.shell.gate_house import document_of  # noqa: PLC0415

        facts = {**document_of(house, run), "findings": [], "clock": document["clock"]}
        given = gate_input(facts)
        for blob in given.blobs.values():
            house.store.blobs.put(blob)
        document["refs"] |= {name: str(digest) for name, digest in given.refs.items()}
        document["env"]["matcher"] = "rl-match/0"
        document["verdict"] = evaluate_policy(
            compile_policy(house.policy), given
        ).verdict.document()
        sealed_again(document)

    name = house.forge(run, fewer, number=2)
    assert house.one(name)["result"] == "MATCH"
    found = house.one(name, depth=Depth.DEEP)
    assert (found["cause"], found["facet"]) == ("ENGINE_CHANGED", "findings")
    assert found["differs"] == ["findings"]
    assert [one["change"] for one in found["bisect"] if one["flips"]] == ["findings"]
    assert any(one["at"].startswith("/findings/") for one in found["diff"])


def test_what_if_proves_the_baseline_and_names_the_rule(house: ReplayHouse, judged: Run) -> None:
    house.judge(house.run(house.bundle("1.1.0", sbom("click@8.1.8")), number=2))
    gone = house.judge(house.run(house.bundle("1.2.0", sbom("idna@3.7")), number=3))
    house.place(house.capsule(gone)["refs"]["components"]).unlink()
    stricter = house.what_if(lambda config: config["required_feeds"].append("EPSS"))
    found = house.replay("all", mode=WHAT_IF, policy=stricter)
    assert [one["result"] for one in found] == ["FLIPPED", "FLIPPED", "UNPROVEN"]
    n = found[0]["n"]
    flips = house.replaying.flips(n)
    assert {one.verdict_id for one in flips} == {"verdict-1", "verdict-2"}
    assert all(one.rules == ("feed.missing",) and one.flipped for one in flips)
    assert flips[0].bundle_label.startswith("checkout 1.")
    (lost,) = house.replaying.unproven(n)
    assert (lost.subject, lost.cause) == ("verdict-3", "INPUT_MISSING")
    assert house.replaying.determinism().total == 0  # only VERIFY counts


def test_a_candidate_that_says_the_same_changes_nothing(house: ReplayHouse, judged: Run) -> None:
    same = house.what_if(lambda config: config["denied_licenses"].append("BUSL-1.1"))
    found = house.one("verdict-1", mode=WHAT_IF, policy=same)
    assert (found["result"], found["cause"], found["diff"]) == ("SAME", "", [])
    assert house.replaying.flips(found["n"]) == ()


def test_today_asks_with_the_feeds_and_the_clock_of_today(house: ReplayHouse) -> None:
    house.judge(house.run(house.bundle("1.0.0", sbom(*PACKAGES))))
    write_index(house.feeds, {**FRESH, "KEV": NOW_S - 8 * 86_400})
    found = house.one("verdict-1", mode=TODAY)
    assert (found["result"], found["decision_now"]) == ("FLIPPED", "FAIL")
    assert "feeds" in found["differs"]
    assert found["facet"] == "feeds"
    assert [one["change"] for one in found["bisect"] if one["flips"]] == ["feeds"]


def test_everything_at_once_and_its_numbers(house: ReplayHouse, judged: Run) -> None:
    for n in (2, 3, 4):
        house.judge(house.run(house.bundle(f"1.{n}.0", sbom(*PACKAGES[: n - 1])), number=n))
    found = house.replay("all")
    assert [one["result"] for one in found] == ["MATCH"] * 4
    numbers = house.replaying.determinism()
    assert numbers.sentence() == (
        "total 4 | matching 4 | mismatches 0 | running 0 | match rate 100 %"
    )
    assert [one.name for one in numbers.by_environment] == ["eu-prod"]
    assert house.store.fsck().ok
    of_one = house.replaying.determinism(run_id="run-2")
    assert of_one.total == 1


def test_who_only_looks_may_not_and_it_is_on_record(house: ReplayHouse, judged: Run) -> None:
    refusal = house.replaying.why_not("verdict-1", VERA)
    assert refusal is not None and "vera may not replay decisions of eu-prod" in refusal.sentence
    with pytest.raises(Refused, match="vera may not replay"):
        house.replaying.request(ReplayAsk(scope="verdict-1", reason="why"), VERA)
    assert isinstance(house.store.load(ADMIN)[-1].event, CommandRejected)
    assert house.replaying.why_not("verdict-1", DORA) is None


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        ({"scope": "verdict-9"}, NotFound, "nothing to replay in verdict-9"),
        ({"scope": "run-9"}, NotFound, "no run run-9"),
        ({"scope": "sha256:0"}, Malformed, "expected verdict-N, run-N"),
        ({"scope": "verdict-1", "reason": " "}, Malformed, "reason"),
        ({"scope": "verdict-1", "mode": WHAT_IF}, Malformed, "candidate"),
        ({"scope": "verdict-1", "policy": Digest.of(b"x")}, Malformed, "candidate"),
        ({"scope": "verdict-1", "mode": WHAT_IF, "policy": Digest.of(b"x")}, NotFound, "no blob"),
        ({"scope": "verdict-1", "since_us": 5}, Malformed, "scope all only"),
        ({"scope": "verdict-1", "processes": 99}, Malformed, "processes"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(
    house: ReplayHouse, judged: Run, ask: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        house.replaying.request(ReplayAsk(**{"reason": "why", **ask}), DORA)
    assert queries.replay_requests(house.store.cursor()).is_empty()


def test_the_same_command_asks_once(house: ReplayHouse, judged: Run) -> None:
    ask = ReplayAsk(scope="verdict-1", reason="why")
    first = house.replaying.request(ask, DORA, command_id="dora/1")
    house.replaying.wait(first.n, 60)
    assert house.replaying.request(ask, DORA, command_id="dora/1") == first
    assert house.store.last_replay() == 1


def test_what_a_dead_server_left_open_is_closed_and_no_mismatch(
    house: ReplayHouse, judged: Run
) -> None:
    from tests.data.test_replays import request  # noqa: PLC0415

    house.store.record([request(1, total=5)])
    door = house.door()
    assert door.progress(1).status is ReplayStatus.RUNNING
    door.recover()
    assert door.progress(1).status is ReplayStatus.FAILED
    numbers = door.determinism()
    assert (numbers.mismatching, numbers.running, numbers.match_bp) == (0, 0, None)


def test_a_worker_that_dies_takes_no_other_decision_with_it(
    house: ReplayHouse, judged: Run, tmp_path: Path
) -> None:
    hurried = ReplayPool(house.place(house.capsule(judged)["refs"]["policy"]).parents[1],
                         jobs=1, deadline_s=0.01)  # fmt: skip
    try:
        house.pool = hurried
        house.replaying = house.door()
        found = house.one("verdict-1")
        assert (found["status"], found["result"]) == ("FAILED", "")
        assert "ended before it had an answer" in found["sentence"]
    finally:
        hurried.stop()


# A sound policy cannot iterate over a map: lint refuses it. The worker gets a lint that does not,
# which is what a gap in it would be like; the map's order is the engine's own, anew per process.
_NO_LINT = """
import engine.policy.compile
engine.policy.compile.lint = lambda policy: []
"""
_BY_MAP_ORDER = {
    "apiVersion": "releaseline/v1",
    "kind": "ReleaseGatePolicy",
    "metadata": {"name": "by-map-order", "version": "1"},
    "engine": {"language": "cel", "require": "cel-cpp==0.1.3"},
    "rules": [
        {
            "id": "map.order",
            "level": "WARN",
            "all": ["true"],
            "subject": "'the first'",
            "detail": "config.words.map(word, word)[0]",
        }
    ],
}


def test_a_rule_that_depends_on_the_process_is_named_even_when_it_matched(
    house: ReplayHouse, judged: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NO_LINT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    policy = house.store.blobs.put(
        canonical(
            {
                "policy": _BY_MAP_ORDER,
                "config": {"words": {f"word-{n}": n for n in range(40)}},
            }
        )
    )
    root = house.place(policy).parents[1]
    pool = ReplayPool(root, jobs=1)
    try:
        house.pool = pool
        house.replaying = house.door()

        def by_map(document: dict[str, Any]) -> None:
            document["refs"]["policy"] = str(policy)
            document["verdict"]["policy"] = str(policy)
            sealed_again(document)

        # What one process answered becomes the recorded verdict, so that one like it matches.
        asked = house.one(house.forge(judged, by_map, number=2))

        def answered(document: dict[str, Any]) -> None:
            by_map(document)
            document["verdict"] = asked["now"]
            sealed_again(document)

        found = house.one(house.forge(judged, answered, number=3), processes=4)
        assert (found["result"], found["cause"]) == ("MISMATCH", "NONDETERMINISTIC")
        assert len(found["digests_seen"]) > 1
    finally:
        pool.stop()
