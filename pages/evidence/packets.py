"""Packets: every evidence item over all runs, and how it stands."""

from __future__ import annotations

import streamlit as st

from engine.audit_packets import packets
from pages.ui import evidence_packets, evidence_parts, session

house = session.services()
st.title("Packets", anchor=False)
found = packets(house)
if not found:
    st.info(evidence_packets.EMPTY, icon=":material/inbox:")
    st.stop()
st.markdown(f"{evidence_packets.EXPLAINED} :gray[{evidence_packets.summary(found)}]")

known = evidence_packets.choices(found)
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    run, kind, signer, state = (
        st.selectbox(
            label,
            [evidence_packets.ANY, *options],
            key=name,
            bind="query-params",
            width=170,
        )
        for label, name, options in (
            ("Run", "run", known.runs),
            ("Type", "type", known.types),
            ("Signed by", "signer", known.signers),
            ("State", "state", known.states),
        )
    )
    text = st.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="Digest, log index, file or bundle",
        icon=":material/search:",
        width=270,
    )

shown = evidence_packets.matching(
    found, run=run, kind=kind, signer=signer, state=state, text=text or ""
)
if not shown:
    st.info(evidence_packets.NO_MATCH, icon=":material/filter_alt_off:")
    st.stop()
pages = -(-len(shown) // evidence_packets.PAGE)
page = st.pagination(pages, key="packets.page") if pages > 1 else 1
first = (page - 1) * evidence_packets.PAGE
rows = shown[first : first + evidence_packets.PAGE]
evidence_parts.ledger(
    evidence_packets.rows(rows),
    evidence_packets.COLUMNS,
    key="packets.list",
    caption="Evidence items, newest first",
)
counted = evidence_packets.count_text(len(rows), len(shown), len(found))
st.markdown(f":gray[:small[{counted}]]")
