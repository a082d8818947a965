"""Scheduler Runs: what became of every firing and of every step's time, row by row."""

from __future__ import annotations

import streamlit as st

from data import queries
from engine.core.schedule_events import FiringWord
from pages.ui import evidence_parts, schedule_models, session, words

_LOOK_EVERY_S = 5.0
_SHOWN = 200
_ALL = "All ticks"

house = session.services()
st.title("Scheduler runs", anchor=False)
st.markdown(
    "Every tick of every schedule, and of every step with a time, newest first: when it was due, "
    "what it waited for, how late it started, and what never did."
)
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    word = st.selectbox(
        "Tick", [_ALL, *(one.value for one in FiringWord)], key="scheduler.word", width=240
    )
    named = st.text_input(
        "Schedule",
        value=st.query_params.get("schedule", ""),
        key="scheduler.schedule",
        placeholder="schedule-1",
        width=180,
    )
    run = st.text_input(
        "Run",
        value=st.query_params.get("run", ""),
        key="scheduler.run",
        placeholder="run-1",
        width=140,
    )
    st.page_link("releases/schedule.py", label="Schedule a promotion", icon=":material/event:")


@st.fragment(run_every=_LOOK_EVERY_S, key="scheduler.live")
def draw() -> None:
    """Rows of the log; nothing is asked of anybody."""
    now = session.services(used=False)
    active = [one for one in now.scheduling.schedules() if one.status == "ACTIVE"]
    st.markdown(f":gray[{words.plain(schedule_models.active_text(len(active)))}]")
    found = queries.scheduler_ticks(
        now.store.cursor(),
        schedule=named.strip(),
        run=run.strip(),
        word="" if word == _ALL else word,
        limit=_SHOWN,
    ).to_dicts()
    if not found:
        anything = word == _ALL and not named.strip() and not run.strip()
        told = schedule_models.NO_TICKS if anything else schedule_models.NO_SUCH_TICKS
        st.info(told, icon=":material/inbox:")
        return
    evidence_parts.ledger(
        schedule_models.tick_rows(found),
        schedule_models.TICKS,
        key="scheduler.list",
        caption="What became of firings",
    )


draw()
