"""What the evidence pages say, decided before anything is drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audit_exports import Exported, Known, Use, parse_digest
from engine.audit_packets import LIMIT
from engine.audit_proofs import ProofChain, proofs
from engine.audit_trust import Trust
from engine.core import exporting
from engine.core.approvals import Actor
from engine.core.commands import Refusal
from engine.core.errors import Malformed
from engine.core.exporting import KINDS, ExportState
from engine.core.statemachine import Role
from pages.ui import (
    drill_models,
    evidence_auditor,
    evidence_chain,
    evidence_drill,
    evidence_exports,
    evidence_packets,
    evidence_words,
)
from pages.ui.evidence_chain_graph import graph
from tests.pages import evidence_kit as kit
from tests.pages.reading import House

# --- packets --------------------------------------------------------------------------------


def test_packets_are_narrowed_by_what_there_is() -> None:
    found = [*kit.chain(6), kit.packet(1, run="run-2", state="LOGGED")]
    known = evidence_packets.choices(found)
    assert known.runs == ("run-1", "run-2")
    assert set(known.signers) == {"engine", kit.BOB, "carol.wu@example.com"}
    assert known.states == ("LOGGED", "SEALED")
    any_ = evidence_packets.ANY

    def ask(**wanted: str) -> list[int]:
        asked = {"run": any_, "kind": any_, "signer": any_, "state": any_, "text": ""} | wanted
        return [packet.item for packet in evidence_packets.matching(found, **asked)]

    assert ask(run="run-2") == [1]
    assert ask(kind="Approval") == [3, 4]
    assert ask(signer=kit.BOB) == [3]
    assert ask(state="LOGGED") == [1]
    assert ask(text=kit.digest("payload 5")) == [5]
    assert ask(text="104") == [4]
    assert ask(text="nothing is called this") == []


def test_an_item_that_cannot_be_read_says_why_and_stands_out() -> None:
    bad = kit.unread(kit.packet(2), "expected sha256:1 found sha256:2")
    row = evidence_packets.rows([bad])[0]
    assert row["tone"] == "err"
    assert row["cells"][0]["sub"] == bad.note
    assert "1 item missing or unreadable" in evidence_packets.summary([kit.packet(1), bad])
    assert "missing" not in evidence_packets.summary([kit.packet(1)])


def test_a_list_that_was_cut_says_so() -> None:
    assert "only the newest" in evidence_packets.count_text(100, LIMIT, LIMIT)
    assert evidence_packets.count_text(3, 3, 3) == "3 items, newest first"


# --- proof chains ---------------------------------------------------------------------------


def chain_of(length: int) -> ProofChain:
    return ProofChain(
        run_id="run-1",
        proofs=proofs(kit.chain(length)),
        seal=kit.packet(length + 1, "proof-chain", what="sealed"),
        missing=(),
        addenda=(),
        count=length,
    )


@pytest.mark.parametrize("length", [1, 11, 40])
def test_a_chain_that_holds_is_drawn_whole(house: House, length: int) -> None:
    run = house.services.service.run(house.done)
    view = evidence_chain.view(chain_of(length), run)
    assert view.broken == ()
    assert len(view.rows) == view.graph["rows"] == length + 1
    assert len(view.graph["spine"]) == length
    assert not any(link["broken"] for link in view.graph["spine"])
    hrefs = [row["href"] for row in view.rows[:-1]]
    assert hrefs == [f"/evidence-item?run=run-1&item={n}" for n in range(1, length + 1)]
    # Narrow enough to leave room for words on a telephone.
    assert view.graph["width"] <= 130


def test_what_the_wires_show_stands_in_words_beside_them(house: House) -> None:
    run = house.services.service.run(house.done)
    view = evidence_chain.view(chain_of(11), run)
    wires = {(edge["from"], edge["to"]) for edge in view.graph["edges"]}
    for number, row in enumerate(view.rows[:-1]):
        told = {int(n) - 1 for n in re.findall(r"\d+", row["rests"].partition("rests on")[2])}
        assert told == {start for start, end in wires if end == number}
    assert kit.BOB in view.sentence and "Every link holds." in view.sentence
    assert [row["who"] for row in view.rows[2:4]] == [kit.BOB, "carol.wu@example.com"]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("dropped", "expected item 3"),
        ("prev", "as the one before it"),
        ("unread", "can't be read: damaged"),
        ("log", "place in the log"),
    ],
)
def test_a_chain_that_does_not_hold_says_where(house: House, what: str, said: str) -> None:
    items = kit.chain(6)
    third = items[2]
    assert third.signed is not None
    match what:
        case "dropped":
            del items[2]
        case "prev":
            items[2] = replace(third, signed=replace(third.signed, prev="0" * 64))
        case "unread":
            items[2] = kit.unread(third, "damaged")
        case "log":
            items[2] = replace(third, log_index=1)
    found = replace(chain_of(6), proofs=proofs(items))
    assert any(said in broken for broken in found.broken)
    view = evidence_chain.view(found, house.services.service.run(house.done))
    assert view.broken == found.broken
    assert any(link["broken"] for link in view.graph["spine"])
    assert "Every link holds" not in view.sentence


def test_a_seal_over_another_number_of_items_is_a_break() -> None:
    assert "over 7 items, and 6" in replace(chain_of(6), count=7).broken[0]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_wires_never_lie_upon_each_other(data: st.DataObject) -> None:
    """Two items whose wires run beside the same row have tracks of their own."""
    rows = data.draw(st.integers(1, 40))
    rests = {
        row: data.draw(st.lists(st.integers(0, row - 1), max_size=3, unique=True))
        for row in range(1, rows)
    }
    signers = data.draw(st.lists(st.sampled_from("abcd"), min_size=rows, max_size=rows))
    drawn = graph(signers, rests)
    assert drawn.rows == rows
    assert len(drawn.wires) == sum(map(len, rests.values()))
    assert all(0 < x < drawn.width for x in drawn.xs)
    taken: dict[tuple[str, int], int] = {}
    for wire in drawn.wires:
        track = wire.d.split("Q")[1].split()[0]
        for row in range(wire.start, wire.end):
            assert taken.setdefault((track, row), wire.start) == wire.start


# --- exports --------------------------------------------------------------------------------


def test_who_may_not_have_evidence_is_told_why_by_the_one_rule(house: House) -> None:
    run = house.services.service.run(house.done)
    viewer = Actor(user="vic", roles=frozenset({Role.VIEWER}))
    auditor = Actor(user="aud", roles=frozenset({Role.AUDITOR, Role.VIEWER}))
    assert {s.kind for s in exporting.exports(run, viewer, addenda=1)} == set(KINDS)
    for state in exporting.exports(run, viewer, addenda=1):
        assert state.refusal is not None and state.refusal.code == "role"
    offered = {s.kind: s.ok for s in exporting.exports(run, auditor, addenda=0)}
    assert offered == {"partial": False, "bundle": True, "audit-pack": True, "addenda": False}
    running = house.services.service.run(house.canary)
    offered = {s.kind: s.ok for s in exporting.exports(running, auditor, addenda=0)}
    assert offered == {"partial": True, "bundle": False, "audit-pack": False, "addenda": False}


def test_an_offer_says_what_it_holds_or_why_not() -> None:
    no = Refusal(sentence="not yet", code="state")
    yes, off = evidence_exports.offers(
        "run-7", [ExportState(kind="partial", refusal=None), ExportState(kind="bundle", refusal=no)]
    )
    assert yes.href == "/api/v1/runs/run-7/evidence/export?kind=partial"
    assert yes.file == "run-7-PARTIAL-evidence.tar.gz"
    assert "PARTIAL" in yes.said
    assert off.said == "not yet"


@pytest.mark.parametrize(
    "text", ["a" * 64, f"sha256:{'a' * 64}", f"  {'A' * 64}  audit-pack.tar.gz\n"]
)
def test_a_digest_is_read_as_people_paste_it(text: str) -> None:
    assert parse_digest(text) == "a" * 64


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "g" * 64, "١" * 64])
def test_what_is_no_digest_is_refused_in_words(text: str) -> None:
    with pytest.raises(Malformed, match="64 hex digits"):
        parse_digest(text)


def exported(*, sealed: bool, who: str = "ana.li") -> Exported:
    return Exported(
        run_id="run-1",
        environment="eu-prod",
        bundle="Platform Release 1.2.9",
        seq=70 + (not sealed),
        ts_us=1_771_400_000_000_000 + (not sealed) * 1_000_000,
        who="engine" if sealed else who,
        sealed=sealed,
        kind="audit-pack",
        digest=kit.digest("pack"),
        size=1234,
    )


def test_whose_a_digest_is_is_answered_in_one_sentence() -> None:
    use = Use(
        stream="run-1",
        seq=8,
        ts_us=1_771_400_000_000_000,
        actor="engine",
        kind="evidence.captured/1",
        step="inputs",
        field="",
        name="resolved-inputs.json",
    )
    nothing = Known(digest=kit.digest("x"), packs=(), uses=(), kept=False, trusted_root=False)
    pack = replace(nothing, packs=(exported(sealed=False), exported(sealed=True)), uses=(use,))
    yes = evidence_exports.answer(pack, given="mine.tar.gz")
    assert yes.level == "OK" and yes.head.startswith(
        "mine.tar.gz is one of ours: audit pack of run"
    )
    assert "made by the seal" in yes.lines[0] and "taken by ana.li" in yes.lines[1]
    inside = evidence_exports.answer(replace(nothing, uses=(use,)))
    assert (
        inside.level == "INFO" and "resolved-inputs.json in run-1. It is not a pack" in inside.head
    )
    root = evidence_exports.answer(replace(nothing, trusted_root=True))
    assert root.level == "OK" and "trusted root" in root.head
    no = evidence_exports.answer(nothing)
    assert no.level == "WARN" and no.head.startswith("No:")


# --- auditor bundle and drill ---------------------------------------------------------------


def test_commands_name_the_signer_and_leave_out_a_client_that_cannot_work() -> None:
    trust = Trust(
        content=b"{}",
        fingerprint="ab" * 32,
        origin="log",
        size=1,
        checkpoint="log\n1\n",
        cosigned=True,
        renewals=(),
    )
    seal = kit.packet(12, "proof-chain", what="sealed")
    signer = evidence_auditor.signer_of(seal, issuer="releaseline", base="https://b.example")
    assert signer is not None
    whole = evidence_auditor.commands(trust, signer, run_id="run-1")
    assert {"sha256sum", "releaseline", "openssl", "sigstore", "gh", "node", "cosign"} <= {
        command.needs for command in whole
    }
    told = "\n".join(command.text for command in whole)
    assert told.count(kit.ENGINE) == 5
    assert trust.fingerprint in told
    bare = evidence_auditor.commands(trust, replace(signer, owner=""), run_id="run-1")
    assert "gh" not in {command.needs for command in bare}
    assert evidence_auditor.grouped("ab" * 32).replace("\n", " ").split() == ["abab"] * 16
    assert evidence_auditor.signer_of(None, issuer="", base="") is None


def test_a_copy_that_nothing_caught_comes_first_and_is_red() -> None:
    def row(name: str, look: evidence_words.words.Look) -> drill_models.DrillRow:
        return drill_models.DrillRow(
            name=name,
            what="One byte was turned.",
            look=look,
            check="pack.sums" if look is drill_models.CAUGHT else "",
            file="steps/04-canary-10/a/b.dsse",
            expected="ab" * 32,
            found="cd" * 32,
            more="",
            note="",
        )

    group = drill_models.DrillGroup(
        title="Without any key",
        rows=(row("one", drill_models.CAUGHT), row("two", drill_models.MISSED)),
    )
    drawn = evidence_drill.rows(group)
    assert [r["cells"][0]["text"] for r in drawn] == ["two", "one"]
    assert drawn[0]["tone"] == "err" and drawn[1]["tone"] == ""
    assert drawn[1]["cells"][3]["text"] == "expected abababababab…"
    view = drill_models.DrillView(ok=False, sentence="", basis="", groups=(group,), left_out=())
    assert evidence_drill.missed(view) == ("two: One byte was turned.",)
    assert evidence_drill.opened(view, 0)
