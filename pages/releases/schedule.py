"""Schedule Promotion: when, how long, under which preconditions; and how a schedule stands."""

from __future__ import annotations

import streamlit as st

from engine.services import Services
from pages.ui import cards, schedule_parts, session

house = session.services()


def _chosen(house: Services) -> str:
    """The schedule that the address names: by itself, or by a run that it made."""
    named = st.query_params.get("schedule", "")
    if named or not st.query_params.get("run", ""):
        return named
    return session.run_or_stop(house).request.schedule


cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("operations/scheduler_runs.py", "Scheduler runs", {}),
    here="Schedule",
)
chosen = _chosen(house)
if chosen:
    schedule_parts.one(house, chosen)
else:
    run_id = st.query_params.get("run", "")
    schedule_parts.form(house, session.run_or_stop(house) if run_id else None)
