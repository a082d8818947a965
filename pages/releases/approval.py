"""One approval: what would be let through, decided right here; or what somebody saw back then."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.core.run import Run
from engine.services import Services
from pages.ui import actions, approval_models, approval_parts, cards, session, timeline, words


def _head(run: Run, title: str) -> None:
    cards.crumbs(
        ("releases/approvals.py", "Approvals", {}),
        ("releases/run.py", run.run_id, {"run": run.run_id}),
        here="Approval",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(words.plain(title), anchor=False, width="content")
        st.markdown(words.RUN[run.status].badge, width="content")
    place = f"{run.request.region} / {run.environment}"
    st.markdown(f"**{words.plain(run.label)}** → {place}, requested by **{run.requested_by}**")


def _then(house: Services, run: Run, number: int) -> None:
    """The very document that was shown for a decision, whatever has changed since."""
    given = run.approvals[number - 1]
    try:
        shown = house.views.then(given.view)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/report:")
        return
    st.info(words.plain(approval_models.saw_text(given)), icon=":material/history:")
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        approval_parts.reasons(shown)
    with right:
        approval_parts.quorum(shown)
        approval_parts.digests(given.view, shown)
    approval_parts.draw(shown, key="then")


def _now(house: Services, run: Run) -> None:
    shown = approval_parts.opened(house, run)
    left, right = st.columns([1.9, 1], gap="medium")
    with right:
        approval_parts.decision(house, run, shown)
        approval_parts.quorum(shown.document)
        approval_parts.digests(shown.digest, shown.document)
    with left:
        approval_parts.reasons(shown.document)
    approval_parts.draw(shown.document, key="now")


house = session.services()
run = session.run_or_stop(house)
number = approval_models.chosen(run, st.query_params.get("decision", ""))
_head(run, approval_models.title(run, number))
if number:
    _then(house, run, number)
elif approval_models.asked(run):
    actions.recorded(run)
    _now(house, run)
else:
    actions.recorded(run)
    st.info(approval_models.closed_text(run), icon=":material/how_to_reg:")
approval_parts.decided(run)
snapshot = house.live.snapshot(run.run_id)
timeline.watcher(run, snapshot, now_ms=house.clock.now_us() // 1000, step="")
