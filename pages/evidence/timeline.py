"""Evidence timeline of a run: what every checkpoint signed, what will arrive and what can't."""

from __future__ import annotations

import streamlit as st

from engine.audit_packets import packets
from engine.core import evidence_forecast
from pages.ui import (
    cards,
    evidence_exports,
    evidence_parts,
    evidence_timeline,
    session,
    timeline,
    words,
)

house = session.services()
run = session.run_or_stop(house)
snapshot = house.live.snapshot(run.run_id)
cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here="Evidence",
)
cards.damaged(house, run)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title(f"Evidence of {run.run_id}", anchor=False, width="content")
    st.markdown(words.RUN[run.status].badge, width="content")
st.markdown(f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}")
found = packets(house, run_id=run.run_id)
forecast = evidence_forecast.sentence(run)
st.markdown(f"### {words.plain(forecast)}")
st.markdown(evidence_timeline.summary(run, found))
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    states = house.service.exports(run.run_id, session.asker())
    for offer in evidence_exports.offers(run.run_id, states):
        st.link_button(
            offer.name,
            offer.href,
            icon=":material/download:",
            disabled=bool(offer.why_not),
            help=offer.why_not or offer.said,
        )
    st.page_link(
        "evidence/proof_chains.py",
        label="Proof chain",
        icon=":material/link:",
        query_params={"run": run.run_id},
    )
st.markdown(f":gray[:small[{evidence_timeline.EXPLAINED}]]")
evidence_parts.ledger(
    evidence_timeline.rows(run, found),
    evidence_timeline.COLUMNS,
    key="evidence.timeline",
    caption="Evidence of the run, checkpoint by checkpoint",
)
timeline.watcher(run, snapshot, now_ms=house.clock.now_us() // 1000, step="")
