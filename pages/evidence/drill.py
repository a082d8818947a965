"""Break-it drill: scratch copies of a run's pack, each broken, and the check that saw it."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.drilling import Drilled, drill_run
from engine.services import Services
from pages.ui import drill_models, evidence_drill, evidence_parts, session, words

_DONE = "drill.done"


def _drill(house: Services, run_id: str) -> None:
    try:
        house.service.check_export(run_id, session.asker(), deed="drill")
        with st.spinner("Breaking copies and verifying each …"):
            trusted_root = (house.home / "trusted_root.json").read_bytes()
            st.session_state[_DONE] = drill_run(house.store, trusted_root, run_id)
    except ReleaselineError as error:
        st.session_state.pop(_DONE, None)
        hint = f" `{error.hint}`" if error.hint else ""
        st.error(f"{words.plain(str(error))}{hint}", icon=":material/block:")


def _result(done: Drilled) -> None:
    view = drill_models.view(done)
    if view.ok:
        st.success(words.plain(view.sentence), icon=":material/verified_user:")
    else:
        lines = "".join(f"  \n{words.plain(line)}" for line in evidence_drill.missed(view))
        st.error(
            f"**{words.plain(view.sentence)}**{lines}",
            icon=":material/crisis_alert:",
            title="A BROKEN COPY WAS ACCEPTED. Verification is not to be relied on.",
        )
    st.markdown(f":gray[:small[{words.plain(view.basis)}]]")
    for number, group in enumerate(view.groups):
        with st.expander(f"**{group.caption}**", expanded=evidence_drill.opened(view, number)):
            evidence_parts.ledger(
                evidence_drill.rows(group),
                evidence_drill.COLUMNS,
                key=f"drill.group.{number}",
                caption=group.caption,
            )
    for line in view.left_out:
        st.markdown(f":gray[:small[Not played: {words.plain(line)}]]")


house = session.services()
st.title("Break-it drill", anchor=False)
st.markdown(drill_models.EXPLAINED)
runs = evidence_parts.runs_with_evidence(house)
if not runs:
    st.info(evidence_drill.EMPTY, icon=":material/inbox:")
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    with st.container(width=420):
        run_id = evidence_parts.choose_run(runs, key="drill.run")
    why_not = house.service.why_no_drill(run_id, session.asker())
    pressed = st.button(
        "Break it",
        key="drill.do",
        type="primary",
        icon=":material/bug_report:",
        disabled=why_not is not None,
        help=None if why_not is None else why_not.sentence,
    )
st.markdown(f":gray[:small[{evidence_drill.pack_text(house.service.run(run_id))}]]")
if pressed:
    _drill(house, run_id)
done = st.session_state.get(_DONE)
if done is not None and done.run_id == run_id:
    _result(done)
