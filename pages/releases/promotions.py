"""Promotions: every run, where it stands, and what the policy said of it."""

from __future__ import annotations

import streamlit as st

from data import queries
from pages.ui import lists, parts, session
from pages.ui.timeline import stream_of

house = session.services()
st.title("Promotions", anchor=False)

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    kind = st.segmented_control(
        "Status",
        list(lists.GROUPS),
        default=lists.ALL,
        key="status",
        bind="query-params",
        label_visibility="collapsed",
    )
    environment = st.selectbox(
        "Environment",
        [lists.ANY, *sorted(house.settings.environments)],
        key="environment",
        bind="query-params",
        width=190,
        label_visibility="collapsed",
    )
    text = st.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="Bundle, digest, person or run",
        icon=":material/search:",
        width=250,
        label_visibility="collapsed",
    )

frame = queries.runs_list(
    house.store.cursor(),
    environment="" if environment == lists.ANY else environment,
    status="",
    limit=100,
    before=None,
)
rows = lists.matching(frame.to_dicts(), group=kind or lists.ALL, text=text or "")
if not rows:
    st.info(lists.empty_text(frame.is_empty()), icon=":material/inbox:")
    st.stop()

opened = lists.newest_open(rows)
now_ms = house.clock.now_us() // 1000
result = parts.draw(
    parts.RUNS,
    key="promotions.list",
    live=house.live.snapshot(opened or rows[0]["id"]).document,
    now_ms=now_ms,
    shape=lists.shape(rows),
    stream=stream_of(opened) if opened else "",
    leads=True,
    rows=rows,
)
if result.open:
    st.switch_page("releases/run.py", query_params={"run": result.open})
st.markdown(f":gray[:small[{lists.count_text(len(rows), frame.height)}]]")
