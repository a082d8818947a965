"""Approvals: what waits for me, what waits for others, and what I decided lately."""

from __future__ import annotations

import streamlit as st

from data import queries
from pages.ui import approvals_models, approvals_parts, evidence_parts, session

house = session.services()
found = approvals_parts.waiting(house)
now_us = house.clock.now_us()
mine = [one for one in found if one.mine]
others = [one for one in found if not one.mine]

st.title("Approvals", anchor=False)
st.markdown(f"**{approvals_models.headline(found)}**")
st.header("Waits for you", anchor=False)
if mine:
    evidence_parts.ledger(
        approvals_models.waiting_rows(mine, now_us),
        approvals_models.MINE,
        key="approvals.mine",
        caption="Promotions that wait for your decision, the longest first",
    )
elif approvals_parts.approves_somewhere(house):
    st.info(approvals_models.NOTHING_MINE, icon=":material/task_alt:")
else:
    st.info(approvals_models.NO_ROLE, icon=":material/visibility:")
if others:
    st.header("Waits for others", anchor=False)
    evidence_parts.ledger(
        approvals_models.waiting_rows(others, now_us, why=True),
        approvals_models.OTHERS,
        key="approvals.others",
        caption="Promotions that wait for somebody else, the longest first",
    )
st.header("Decided by you", anchor=False)
person = session.asker().user
rows = approvals_models.decided_rows(
    queries.decisions_of(house.store.cursor(), person=person).iter_rows(named=True)
)
if rows:
    evidence_parts.ledger(
        rows,
        approvals_models.DECIDED,
        key="approvals.decided",
        caption="Your decisions, the newest first",
    )
else:
    st.markdown(f":gray[{approvals_models.NOTHING_DECIDED}]")
approvals_parts.watcher(house)
