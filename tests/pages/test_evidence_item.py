"""Items that the real sealer signed, and what somebody else attests: opened, read and verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core import evidence_forecast
from engine.core.attestations import AttestationImported
from engine.evidence.imported import judge
from engine.services import Services
from pages.ui import words
from tests.core.test_run_imports import attestation
from tests.evidence.foreign_kit import anchor, envelope, statement
from tests.pages import kit
from tests.pages.reading import House, components, texts

Visit = Callable[..., AppTest]
ITEM, TIMELINE, PACKETS = "evidence/item.py", "evidence/timeline.py", "evidence/packets.py"
RUN = "releases/run.py"


class Signed(kit.Play):
    """A promotion whose evidence is signed, logged and stamped by the house's own sealer."""

    def capture(self, step: str, name: str) -> None:
        self.house.sealer.capture(self.run, step, len(self.run.step(step).attempts))

    def imports(self, kind: str) -> None:
        """What `import_for_run` records when the settings name the key."""
        store = self.house.store
        given = envelope(statement(), kind)
        found = judge(given, (anchor(kind),), where="x")
        one = replace(
            attestation(f"{kind}.json"),
            envelope=store.blobs.put(found.envelope),
            source=store.blobs.put(given),
            predicate=store.blobs.put(found.statement.predicate_bytes),
            payload=kit.Digest.of(found.payload),
            signer=found.signer,
        )
        self.record(AttestationImported(bundle=self.run.bundle, attestation=one, authors=()))


@pytest.fixture(scope="module")
def signed(house: House, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Waits for approval: two items are logged, and two attestations came from outside."""
    services: Services = house.services
    folder: Path = tmp_path_factory.mktemp("signed")
    play = Signed(services, kit.bundle(services, folder, "1.5.0"))
    play.inputs()
    play.gate()
    play.imports("p256")
    play.imports("ed25519")
    play.ask()
    return play.run_id


def wrong(at: AppTest) -> list[str]:
    """What a page calls wrong; that nothing steps in this house is true, and on every page."""
    banner = f":material/{words.DATA_HEALTH['FAIL'].material}:"
    return [one.value for one in at.error if one.icon != banner]


def ledger(at: AppTest) -> list[list[dict[str, object]]]:
    rows: list[dict[str, list[dict[str, object]]]] = components(at)["ledger"]["rows"]  # type: ignore[assignment]
    return [row["cells"] for row in rows]


def test_a_signed_item_opens_to_what_it_says_and_verifies(visit: Visit, signed: str) -> None:
    at = visit(ITEM, run=signed, item="2")
    assert not at.exception and not wrong(at)
    assert at.title[0].value == "Policy decision · item 2"
    assert [head.value for head in at.header] == ["What it says", "Check it by hand"]
    said = json.loads(at.code[0].value)
    assert said["verificationResult"] == "PASSED"
    assert words.EVIDENCE["LOGGED"].word in texts(at)
    at.button(key="item.verify").click().run()
    assert not wrong(at)
    assert any("Verified by this house's trusted root" in one.value for one in at.success)


def test_the_items_of_a_chain_lead_to_each_other(visit: Visit, signed: str) -> None:
    first, last = visit(ITEM, run=signed, item="1"), visit(ITEM, run=signed, item="2")
    links = [{link.label for link in at.get("page_link")} for at in (first, last)]
    assert "Item behind" in links[0] and "Item before" not in links[0]
    assert "Item before" in links[1] and "Item behind" not in links[1]


def test_what_others_attest_stands_among_the_packets(visit: Visit, signed: str) -> None:
    for page in (PACKETS, TIMELINE):
        cells = ledger(visit(page, run=signed))
        found = [row for row in cells if "imported" in json.dumps(row)]
        assert len(found) == 2, page
        said = json.dumps(found)
        assert "SLSA provenance v1" in said and "trusted as build" in said
        assert "not pinned" in said
        assert said.count(f'"word": "{words.EVIDENCE["CAPTURED"].word}"') == 2
        assert "engine" not in said and "a person" not in said


def test_an_imported_attestation_opens_and_is_judged_by_todays_settings(
    visit: Visit, signed: str
) -> None:
    at = visit(ITEM, run=signed, imported="1")
    assert not at.exception and not wrong(at)
    assert at.title[0].value == "SLSA provenance v1 · imported 1"
    assert isinstance(json.loads(at.code[0].value), dict)
    facts = "".join(one.proto.json for one in at.get("bidi_component"))
    assert "do not pin it" in facts and "p256.json (DSSE envelope)" in facts
    # The settings of this house trust nobody: what vouched once does not vouch for ever.
    at.button(key="item.verify").click().run()
    assert not at.success
    assert any("trust" in one.value for one in at.error)
    assert "has no evidence item 9" in texts(visit(ITEM, run=signed, imported="9"))


@pytest.mark.parametrize("which", ["signed", "done", "canary"])
def test_every_page_counts_the_same_items_by_the_same_words(
    visit: Visit, house: House, signed: str, which: str
) -> None:
    run_id = signed if which == "signed" else getattr(house, which)
    run = house.services.service.run(run_id)
    counted = evidence_forecast.whole(run)
    pages = [visit(page, run=run_id) for page in (RUN, TIMELINE)]
    for at in pages:
        said = texts(at)
        for state, count in counted.items():
            if which != "done" or at is pages[0]:  # items made by hand are unreadable, and told so
                assert f"{count} {words.EVIDENCE[state].word.lower()}" in said, (state, at)
        assert words.plain(evidence_forecast.sentence(run)) in said
    drawn = components(pages[0])["list"]["live"]["steps"]  # type: ignore[index]
    chips: dict[str, int] = {}
    for step in drawn:  # type: ignore[attr-defined]
        for state, count in step["ev"].items():
            chips[state] = chips.get(state, 0) + count
    assert chips == counted
