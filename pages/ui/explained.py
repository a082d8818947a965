"""Why each rule of a gate step fired or did not, from what the step kept. Drawing only."""

from __future__ import annotations

import json

import streamlit as st

from engine.core.errors import Malformed, NotFound
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.services import Services
from pages.ui import evidence_parts, explain_models, step_models


def show(house: Services, run: Run, step: StepState, number: int) -> None:
    """Nothing for a step that is no policy gate."""
    attempt = step_models.attempt_of(step, number)
    if step.spec.kind is not StepKind.GATE_EVAL or attempt is None or not attempt.outputs:
        return
    st.markdown("**Why each rule fired, or did not**")
    kept = next((one.digest for one in attempt.outputs if one.name == "explain.json"), None)
    try:
        document = None if kept is None else json.loads(house.store.blobs.get(kept))
    except (NotFound, Malformed):
        document = None
    if document is None:
        st.markdown(f":gray[{explain_models.NO_EXPLANATION}]")
    else:
        st.markdown(f":gray[{explain_models.summary(document)}]")
        evidence_parts.ledger(
            explain_models.rows(document),
            explain_models.COLUMNS,
            key="step.explained",
            caption="Every rule of the policy and why it fired or did not",
        )
    blocked_link(run)


def blocked_link(run: Run) -> None:
    """To the search for what would have stopped the run; nothing before its gate has spoken."""
    if run.verdict is not None:
        st.page_link(
            "releases/blocked.py",
            label="What would have blocked this?",
            icon=":material/front_hand:",
            query_params={"run": run.run_id},
        )
