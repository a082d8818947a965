"""One evidence item: what it says, who signed it, where it stands in the log, how to check it."""

from __future__ import annotations

import streamlit as st

from engine.audit_imports import Import, judged_now, statement_of
from engine.audit_items import Detail, detail, verified
from engine.audit_packets import Packet, packets
from engine.core.errors import ReleaselineError
from engine.core.run import Run
from engine.services import Services
from pages.ui import (
    cards,
    evidence_auditor,
    evidence_import,
    evidence_item,
    evidence_words,
    session,
    words,
)

_VERIFIED = "item.verified"


def _head(run: Run, packet: Packet, found: tuple[Packet, ...]) -> None:
    cards.crumbs(
        ("releases/run.py", run.run_id, {"run": run.run_id}),
        ("evidence/timeline.py", "Evidence", {"run": run.run_id}),
        here=words.plain(evidence_item.heading(packet)),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(words.plain(evidence_item.heading(packet)), anchor=False, width="content")
        st.markdown(evidence_words.look(packet).badge, width="content")
    place = words.plain(evidence_words.place(packet))
    st.markdown(f"**{words.plain(packet.name)}** · {place} · {words.plain(run.label)}")
    before, behind = evidence_item.neighbours(found, packet.item)
    with st.container(horizontal=True, gap="small"):
        for other, label, icon in (
            (before, "Item before", "arrow_back"),
            (behind, "Item behind", "arrow_forward"),
        ):
            if other is not None:
                st.page_link(
                    "evidence/item.py",
                    label=label,
                    icon=f":material/{icon}:",
                    query_params={"run": run.run_id, "item": str(other.item)},
                )
        st.page_link(
            "evidence/proof_chains.py",
            label="Proof chain",
            icon=":material/link:",
            query_params={"run": run.run_id},
        )


def _verify(house: Services, packet: Packet) -> None:
    place = (packet.run_id, packet.what, packet.item)
    if st.button("Verify now", key="item.verify", icon=":material/fact_check:"):
        try:
            said = _judged(house, packet)
        except (ReleaselineError, OSError) as error:
            said = (False, str(error), ())
        st.session_state[_VERIFIED] = (place, said)
    kept, said = st.session_state.get(_VERIFIED, (None, None))
    if kept != place or said is None:
        return
    ok, head, lines = said
    (st.success if ok else st.error)(
        "  \n".join(words.plain(line) for line in (head, *lines)),
        icon=":material/verified:" if ok else ":material/gpp_bad:",
    )


def _judged(house: Services, packet: Packet) -> tuple[bool, str, tuple[str, ...]]:
    """Whether it is good, the sentence, and what it is made of."""
    if packet.imported is None:
        return evidence_item.judged(verified(house, packet))
    return evidence_import.judged(packet.imported, judged_now(house, packet.imported))


def _import(house: Services, one: Import) -> None:
    """An attestation that somebody else made: no chain, no receipt and no time stamp of ours."""
    statement = statement_of(house, one)
    for name, rows in evidence_import.facts(one).items():
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**{name}**")
            cards.fact_list(f"import.{name}", rows)
    st.header("What it says", anchor=False)
    st.code(evidence_import.predicate(statement), language="json", wrap_lines=True)
    with st.expander("The statement around it: type and subjects"):
        st.code(evidence_import.around(statement), language="json", wrap_lines=True)
    commands = evidence_import.commands(one, house.settings.trust)
    if commands:
        _typed("Inside an unpacked pack of this run.", commands)


def _parts(found: Detail) -> None:
    st.header("What it says", anchor=False)
    st.code(evidence_item.predicate(found), language="json", wrap_lines=True)
    with st.expander("The statement around it: type and subjects"):
        st.code(evidence_item.statement(found), language="json", wrap_lines=True)
    for name, rows in evidence_item.facts(found).items():
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**{name}**")
            cards.fact_list(f"item.{name}", rows)
    with st.expander("The way from this leaf to the root"):
        st.code(evidence_item.leaf_text(found), language="json", wrap_lines=True)
        rows = evidence_item.path(found)
        if rows:
            st.table({name: [row[name] for row in rows] for name in rows[0]}, border="horizontal")
        else:
            st.markdown("The log had this one leaf: its hash is the root.")
        st.code(evidence_item.note_text(found), language=None)


def _by_hand(house: Services, packet: Packet) -> None:
    evidence = house.settings.evidence
    signer = evidence_auditor.signer_of(packet, issuer=evidence.issuer, base=evidence.base_uri)
    if signer is None or packet.signed is None:
        return
    _typed(
        "Inside an unpacked pack of this run, with `trusted_root.json` and `trust_config.json` "
        "one folder up, got by another way than the pack.",
        evidence_item.commands(packet, signer, predicate_type=packet.signed.predicate_type),
    )


def _typed(where: str, commands: tuple[evidence_auditor.Command, ...]) -> None:
    st.header("Check it by hand", anchor=False)
    st.markdown(where)
    for command in commands:
        st.markdown(
            f"**{command.title}** :gray-badge[{command.needs}]  \n:gray[:small[{command.why}]]"
        )
        st.code(command.text, language="bash", wrap_lines=True)


house = session.services()
run = session.run_or_stop(house)
items = packets(house, run_id=run.run_id)
what = "imported" if "imported" in st.query_params else "captured"
wanted = st.query_params.get("imported" if what == "imported" else "item", "")
chosen = next((p for p in items if p.what == what and str(p.item) == wanted), None)
if chosen is None:
    st.error(
        f"{run.run_id} has no evidence item {words.plain(wanted) or 'without a number'}.",
        icon=":material/search_off:",
    )
    st.page_link("evidence/timeline.py", label="Its evidence", query_params={"run": run.run_id})
    st.stop()
_head(run, chosen, items)
explained = evidence_item if chosen.imported is None else evidence_import
st.markdown(f":gray[{explained.EXPLAINED}]")
_verify(house, chosen)
try:
    if chosen.imported is not None:
        _import(house, chosen.imported)
        st.stop()
    read = detail(house, chosen)
except (ReleaselineError, ValueError, KeyError, TypeError) as error:
    st.error(words.plain(str(error)), icon=":material/gpp_bad:", title="It can't be read")
    st.stop()
_parts(read)
_by_hand(house, chosen)
