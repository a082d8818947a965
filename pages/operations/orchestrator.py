"""Orchestrator: what the engine works on now, the queues, the jobs, and what is stopped."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.orchestrator import OrchestratorNow
from engine.services import Services
from pages.ui import evidence_parts, orchestrator_models, session, words

_LOOK_EVERY_S = 3.0


def _retry(house: Services, run_id: str) -> None:
    try:
        house.orchestrator.retry(run_id, session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
    else:
        st.toast(f"{run_id} is tried again.", icon=":material/autorenew:")


def _stopped(house: Services, now: OrchestratorNow) -> None:
    """Every run that a defect stopped: its sentence, and a button."""
    why_not = house.orchestrator.why_not(session.asker()) if now.stopped else None
    for one in now.stopped:
        with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(
                f":red[:material/error:] **{one.run_id}** {words.plain(one.defect)}",
                width="stretch",
            )
            pressed = st.button(
                "Retry",
                key=f"orchestrator.retry.{one.run_id}",
                icon=":material/autorenew:",
                disabled=why_not is not None,
                help="It is tried every 30 s anyway." if why_not is None else why_not.sentence,
            )
        if pressed:
            _retry(house, one.run_id)


session.services()
st.title("Orchestrator", anchor=False)
st.markdown(orchestrator_models.EXPLAINED)


@st.fragment(run_every=_LOOK_EVERY_S, key="orchestrator.live")
def draw() -> None:
    """Reads what worker and store have in memory."""
    house = session.services(used=False)
    now, now_us = house.orchestrator.look(), house.clock.now_us()
    st.markdown(f":gray[{words.plain(orchestrator_models.summary(now))}]")
    wrong = orchestrator_models.trouble(now)
    if wrong:
        st.error(words.plain(wrong), icon=":material/report:")
    _stopped(house, now)
    if now.runs:
        evidence_parts.ledger(
            orchestrator_models.runs(now, now_us),
            orchestrator_models.RUNS,
            key="orchestrator.runs",
            caption="Open runs, those that need somebody first",
        )
    else:
        st.info(orchestrator_models.NO_RUNS, icon=":material/inbox:")
    st.subheader("Environments", anchor=False)
    evidence_parts.ledger(
        orchestrator_models.places(now.places),
        orchestrator_models.PLACES,
        key="orchestrator.places",
        caption="Who holds each environment, and who is next",
    )
    st.subheader("Jobs", anchor=False)
    evidence_parts.ledger(
        orchestrator_models.jobs(now.jobs, now_us),
        orchestrator_models.JOBS,
        key="orchestrator.jobs",
        caption="Jobs, when they ran last and run next",
    )


draw()
