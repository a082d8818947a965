"""Waivers: what waits for a second person, what holds and ends when, and what is over."""

from __future__ import annotations

import streamlit as st

from pages.ui import evidence_parts, session, waivers_models, waivers_parts, words

house = session.services()
now_us = house.clock.now_us()
run = session.run_or_stop(house) if st.query_params.get("run") else None
every = waivers_parts.shown(house)
st.title("Waivers", anchor=False)
st.markdown(waivers_models.EXPLAINED)
if run is not None:
    st.markdown(
        f"Findings of **{run.run_id}** ({words.plain(run.label)} → {run.environment}) are offered."
    )
waivers_parts.asking(house, run)
if not every:
    st.info(waivers_models.EMPTY, icon=":material/verified_user:")
    st.stop()
st.markdown(f":gray[{words.plain(waivers_models.summary(every, now_us))}]")
waivers_parts.deciding(house, every)
for title, found, empty in (
    ("Waiting for a second person", waivers_models.waiting(every), waivers_models.NONE_WAIT),
    ("In force", waivers_models.in_force(every), waivers_models.NONE_HOLD),
):
    st.markdown(f"#### {title}")
    if found:
        evidence_parts.ledger(
            waivers_models.rows(found, now_us),
            waivers_models.COLUMNS,
            key=f"waivers.{title}",
            caption=title,
        )
    else:
        st.markdown(f":gray[{empty}]")
gone = waivers_models.over(every)
if gone:
    with st.expander(waivers_models.count_text(gone)):
        evidence_parts.ledger(
            waivers_models.rows(gone, now_us),
            waivers_models.COLUMNS,
            key="waivers.over",
            caption="Waivers that hold no more",
        )
