"""Platform health: the engine's own numbers, and which of them somebody should look at."""

from __future__ import annotations

import streamlit as st

from pages.ui import evidence_parts, platform_models, session, words
from pages.ui.health import look

_LOOK_EVERY_S = 5.0

st.title("Platform health", anchor=False)
st.markdown(platform_models.EXPLAINED)
session.services()


@st.fragment(run_every=_LOOK_EVERY_S, key="platform.live")
def draw() -> None:
    """Reads what the engine has in memory; what takes a while it measures once a minute."""
    house = session.services(used=False)
    now = house.vitals.now(house.worker.health())
    badge = look(platform_models.level(now)).badge
    st.markdown(f"{badge} {words.plain(platform_models.sentence(now))}")
    evidence_parts.ledger(
        platform_models.rows(now),
        platform_models.COLUMNS,
        key="platform.list",
        caption="Parts of the platform and their state",
    )


draw()
