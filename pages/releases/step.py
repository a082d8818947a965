"""Step detail: the unit of explanation. Inputs, outputs, attempts, logs, artifacts, evidence."""

from __future__ import annotations

import streamlit as st

from data import queries
from pages.ui import actions, cards, evidence_card, explained, log, session, step_models, timeline

house = session.services()
run = session.run_or_stop(house)
step = session.step_or_stop(run, default=run.steps[0].id)
snapshot = house.live.snapshot(run.run_id)
now_ms = house.clock.now_us() // 1000

cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here=step.spec.name,
)
number = cards.attempt_of(step)
view = step_models.header(run, step, number)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title(step.spec.name, anchor=False, width="content")
    st.markdown(view.badge, width="content")
st.markdown(view.line)
cards.facts(house, view.inputs, view.outputs)
actions.recorded(run)
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    actions.row(house, run, only=step_models.actions_for(run, step))
    cards.step_links(house, run, step)

overview, logs, artifacts, evidence = st.tabs(
    ["Overview", "Logs", "Artifacts", "Evidence"], key="step.tabs", on_change="rerun"
)
if overview.open:
    with overview:
        cards.attempts(step_models.attempt_rows(step))
        cards.notes(step_models.notes(run, step))
        explained.show(house, run, step, number)
if logs.open:
    with logs:
        target = st.query_params.get("target", "")
        frame = queries.step_logs(
            house.store.cursor(), run_id=run.run_id, step=step.id, attempt=number, limit=1_000
        )
        rows = step_models.log_rows(frame.to_dicts(), target=target)
        cards.log_head(run, step, number, len(rows), target)
        log.lines(run, snapshot, rows, key="step.log")
if artifacts.open:
    with artifacts:
        cards.artifacts(house, step_models.artifacts(run, step, number))
if evidence.open:
    with evidence:
        frame = queries.run_evidence(house.store.cursor(), run_id=run.run_id)
        cards.evidence_items(run, evidence_card.items(run, step, frame.to_dicts()))
timeline.watcher(run, snapshot, now_ms=now_ms, step=step.id)
actions.dialog(house, run)
