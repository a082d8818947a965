"""Environments: what is live where, who holds it, who is next in line, and what keeps it closed."""

from __future__ import annotations

import streamlit as st

from engine.environments import look
from pages.ui import environments_models, evidence_parts, session, words

_LOOK_EVERY_S = 3.0

session.services()
st.title("Environments", anchor=False)
st.markdown(environments_models.EXPLAINED)


@st.fragment(run_every=_LOOK_EVERY_S, key="environments.live")
def draw() -> None:
    """What the engine knows now; reads its memory and asks nobody."""
    house = session.services(used=False)
    found = look(house.store, house.settings, house.freezing)
    st.markdown(f":gray[{words.plain(environments_models.summary(found))}]")
    evidence_parts.ledger(
        environments_models.rows(found, house.clock.now_us()),
        environments_models.COLUMNS,
        key="environments.list",
        caption="Environments and what is live in them",
    )


draw()
st.page_link(
    "operations/freezes.py", label="Freezes of the next 14 days", icon=":material/ac_unit:"
)
