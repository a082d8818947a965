"""Separation of duties of a run: who did what, and who stood on both sides."""

from __future__ import annotations

import json

import streamlit as st

from pages.ui import cards, duties_models, evidence_parts, parts, session, words

house = session.services()
run = session.run_or_stop(house)
found = house.trail.duties(run.run_id)

cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here="Separation of duties",
)
state, sentence = duties_models.summary(found)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title(f"Separation of duties of {run.run_id}", anchor=False, width="content")
    st.markdown(f"{words.DUTIES[state].badge} {words.RUN[run.status].badge}", width="content")
st.markdown(f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}")
st.markdown(f"{sentence} :gray[{duties_models.EXPLAINED}]")
for one in found.conflicts:
    tell = st.warning if one.prevented else st.error
    tell(words.plain(duties_models.conflict_text(one)), icon=":material/group_off:")
graph = duties_models.graph(found)
parts.draw(
    parts.DUTIES,
    key="duties.graph",
    live={"end": True},
    now_ms=0,
    shape=json.dumps(graph),
    graph=graph,
    caption=f"Who did what around {run.run_id}",
)
evidence_parts.ledger(
    duties_models.rows(found),
    duties_models.COLUMNS,
    key="duties.list",
    caption="Every deed, the oldest first",
)
