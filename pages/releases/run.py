"""Run / Timeline: what happens, is it healthy, what waits for whom, what may I do now."""

from __future__ import annotations

import streamlit as st

from pages.ui import actions, cards, explained, log, models, schedule_parts, session, timeline

house = session.services()
run = session.run_or_stop(house)
snapshot = house.live.snapshot(run.run_id)
now_ms = house.clock.now_us() // 1000

cards.crumbs(("releases/promotions.py", "Promotions", {}), here=run.run_id)
cards.damaged(house, run)
found = cards.data_health_of(house, run.environment)
timeline.head(run, snapshot, found, now_ms=now_ms)
actions.recorded(run)
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    actions.row(house, run)
    cards.export(house, run)
    cards.replay(run)
    schedule_parts.link(run)

left, right = st.columns([2.3, 1], gap="medium")
with left:
    result = timeline.steps(run, snapshot, now_ms=now_ms)
    st.markdown("**Run log** :gray[· UTC, newest first]")
    log.tail(run, snapshot, now_ms=now_ms, key="run.log")
with right:
    if models.approval_first(run):
        cards.approval(run)
    cards.after_care(house, run)
    timeline.stage_card(run, snapshot, now_ms=now_ms, key="run.stage")
    cards.stage_link(run)
    cards.data_health(found)
    cards.evidence(house, run)
    explained.blocked_link(run)
    cards.duties_link(run)
    if not models.approval_first(run):
        cards.approval(run)
    cards.story(house, run)
actions.dialog(house, run)

if result.open:
    page = models.page_of(run, result.open)
    st.switch_page(page, query_params={"run": run.run_id, "step": result.open})
