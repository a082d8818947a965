"""Export centre: take a pack, see who took which, and ask whether a file is one of ours."""

from __future__ import annotations

import streamlit as st

from engine.audit_exports import exported, known
from engine.core.errors import Malformed
from engine.services import Services
from pages.ui import evidence_exports, evidence_parts, session, words

_GIVEN = "exports.given"


def _make(house: Services) -> None:
    """Every kind of pack of one run, each with what it holds or why it can't be had."""
    with st.container(border=True, gap="small", height="stretch"):
        st.markdown("**Take a pack**")
        runs = evidence_parts.runs_with_evidence(house)
        if not runs:
            st.markdown(f":gray[{evidence_exports.NO_RUNS}]")
            return
        run_id = evidence_parts.choose_run(runs, key="exports.run")
        states = house.service.exports(run_id, session.asker())
        for offer in evidence_exports.offers(run_id, states):
            button, said = st.columns([1.25, 1.7], gap="small", vertical_alignment="center")
            button.link_button(
                offer.name,
                offer.href,
                icon=":material/download:",
                disabled=bool(offer.why_not),
                help=offer.why_not or None,
                width="stretch",
            )
            said.markdown(f"`{offer.file}`  \n:gray[:small[{words.plain(offer.said)}]]")


def _compare(house: Services) -> None:
    with st.container(border=True, gap="small", height="stretch"):
        st.markdown(f"**{evidence_exports.OURS}**")
        chosen = evidence_parts.hasher(key="exports.hasher")
        if chosen:
            st.session_state[_GIVEN] = chosen
            st.session_state["exports.digest"] = f"sha256:{chosen.split()[0]}"
        text = st.text_input(
            "Or its SHA-256, as `sha256sum FILE` prints it",
            key="exports.digest",
            placeholder="sha256:…",
        )
        if not text:
            return
        given = st.session_state.get(_GIVEN, "")
        try:
            found = known(house, text)
        except Malformed as error:
            st.warning(words.plain(str(error)), icon=":material/edit:")
            return
        same = given and found.digest == f"sha256:{given.split()[0]}"
        said = evidence_exports.answer(found, given=given.partition(" ")[2] if same else "")
        draw, icon = {
            "OK": (st.success, "verified"),
            "INFO": (st.info, "info"),
            "WARN": (st.warning, "gpp_maybe"),
        }[said.level]
        lines = "".join(f"  \n{words.plain(line)}" for line in said.lines)
        draw(f"**{words.plain(said.head)}**{lines}", icon=f":material/{icon}:")


house = session.services()
st.title("Export centre", anchor=False)
st.markdown(evidence_exports.EXPLAINED)
left, right = st.columns(2, gap="medium")
with left:
    _make(house)
with right:
    _compare(house)

st.header("Every export", anchor=False)
found = exported(house)
if not found:
    st.info(evidence_exports.EMPTY, icon=":material/inbox:")
    st.stop()
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    which = st.segmented_control(
        "Show",
        [evidence_exports.ALL, evidence_exports.HANDED, evidence_exports.MADE],
        default=evidence_exports.ALL,
        key="exports.which",
        label_visibility="collapsed",
    )
    st.button("Look again", key="exports.again", icon=":material/refresh:", type="tertiary")
shown = evidence_exports.narrowed(found, which=which or evidence_exports.ALL, run="")
if not shown:
    st.info(evidence_exports.EMPTY, icon=":material/inbox:")
    st.stop()
evidence_parts.ledger(
    evidence_exports.rows(shown),
    evidence_exports.COLUMNS,
    key="exports.list",
    caption="Exports, newest first",
)
st.markdown(f":gray[:small[{evidence_exports.count_text(found)}]]")
