"""The evidence pages, opened as a browser would open them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from data import queries
from tests.pages import kit
from tests.pages.reading import House, asker, components, texts

Visit = Callable[..., AppTest]
PACKETS, CHAINS, EXPORTS = "evidence/packets.py", "evidence/proof_chains.py", "evidence/exports.py"
AUDITOR, DRILL = "evidence/auditor.py", "evidence/drill.py"


def test_packets_lists_every_item_of_every_run(visit: Visit, house: House) -> None:
    at = visit(PACKETS)
    assert not at.exception
    rows = components(at)["ledger"]["rows"]
    store = house.services.store
    runs = queries.runs_list(store.cursor(), limit=100)
    signed = sum(store.run(run).evidence_count for run in runs["run_id"])
    sealed = sum(store.run(run).chain is not None for run in runs["run_id"])
    foreign = queries.imported_items(store.cursor(), run_id="", limit=100).height
    assert len(rows) == signed + sealed + foreign  # type: ignore[arg-type]
    narrowed = visit(PACKETS, run=house.done, type="Approval")
    shown = components(narrowed)["ledger"]["rows"]
    assert [row["cells"][0]["text"] for row in shown] == ["Approval"]  # type: ignore[index,union-attr]


def test_the_chains_page_lists_runs_and_opens_one(visit: Visit, house: House) -> None:
    rows = components(visit(CHAINS))["ledger"]["rows"]
    shown = {row["cells"][0]["text"] for row in rows}  # type: ignore[index,union-attr]
    assert {house.done, house.canary, house.waiting} <= shown
    at = visit(CHAINS, run=house.done)
    assert not at.exception
    run = house.services.service.run(house.done)
    drawn = components(at)["chain"]
    assert len(drawn["rows"]) == run.evidence_count + 1  # type: ignore[arg-type]
    assert "There is no run 'run-99'" in texts(visit(CHAINS, run="run-99"))


def test_unreadable_items_break_the_chain_loudly(visit: Visit, house: House) -> None:
    """The items of this house are made by hand and have no bundle: nothing may look fine."""
    at = visit(CHAINS, run=house.done)
    assert any("can't be read" in error.value for error in at.error)
    assert "Every link holds" not in texts(at)


def test_a_seal_without_a_pack_is_a_sentence(visit: Visit, house: House) -> None:
    at = visit(CHAINS, run=house.done)
    at.button(key="proofs.verify").click().run()
    assert any("no sealed audit pack" in error.value for error in at.error)


def test_the_export_centre_answers_whose_a_digest_is(visit: Visit, house: House) -> None:
    at = visit(EXPORTS, run=house.done)
    assert not at.exception
    digest = str(house.services.service.run(house.done).chain)
    at.text_input(key="exports.digest").input(digest).run()
    assert f"in {house.done}" in texts(at)
    at.text_input(key="exports.digest").input("e" * 64).run()
    assert "nothing in this house has that digest" in texts(at)
    at.text_input(key="exports.digest").input("not a digest").run()
    assert "64 hex digits" in texts(at)


def test_the_auditor_page_gives_the_fingerprint_of_the_file_it_hands_out(
    visit: Visit, house: House
) -> None:
    at = visit(AUDITOR)
    assert not at.exception
    root = (house.services.home / "trusted_root.json").read_bytes()
    shown = "".join(at.code[0].value.split())
    assert shown == str(kit.Digest.of(root)).removeprefix("sha256:")


def test_a_drill_without_a_pack_is_a_sentence_and_not_a_success(visit: Visit, house: House) -> None:
    at = visit(DRILL, run=house.canary)
    at.button(key="drill.do").click().run()
    assert not at.exception
    assert not at.success
    assert any("no partial pack" in error.value for error in at.error)


def test_a_refused_role_is_the_rule_of_the_engine_and_not_of_the_page(house: House) -> None:
    service = house.services.service
    for state in service.exports(house.done, asker("nobody.knows")):
        assert state.refusal is not None and state.refusal.code == "role"
    why_not = service.why_no_drill(house.done, asker("nobody.knows"))
    assert why_not is not None and "may not drill" in why_not.sentence
    assert service.why_no_drill(house.done, asker()) is None


@pytest.mark.parametrize("page", [PACKETS, CHAINS, EXPORTS, AUDITOR, DRILL])
def test_a_house_without_runs_says_so_on_every_page(
    visit: Visit, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("evidence_items", "imported_items", "exports", "runs_list"):
        real = getattr(queries, name)
        monkeypatch.setattr(
            queries, name, lambda cursor, real=real, **asked: real(cursor, **asked).clear()
        )
    at = visit(page)
    assert not at.exception
    said = texts(at)
    assert any(word in said for word in ("No evidence yet", "No proof chain yet", "yet"))
    assert "ledger" not in components(at)


def test_the_timeline_says_what_arrives_and_what_cannot(visit: Visit, house: House) -> None:
    at = visit("evidence/timeline.py", run=house.canary)
    assert not at.exception
    assert "If sealed now" in texts(at) and "will arrive" in texts(at)
    at = visit("evidence/timeline.py", run=house.done)
    assert "Sealed with" in texts(at)


def test_an_item_that_cannot_be_read_says_so_and_an_unknown_one_too(
    visit: Visit, house: House
) -> None:
    at = visit("evidence/item.py", run=house.done, item="1")
    assert not at.exception
    assert any("no bundle on record" in error.value for error in at.error)
    at.button(key="item.verify").click().run()
    assert not any("Verified" in one.value for one in at.success)
    assert "has no evidence item 99" in texts(visit("evidence/item.py", run=house.done, item="99"))
