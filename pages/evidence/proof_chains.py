"""Proof chains: which there are, and of one run who signed what from what."""

from __future__ import annotations

import time

import streamlit as st

from data import queries
from engine.audit_proofs import proof_chain, verify_sealed
from engine.core.errors import ReleaselineError
from engine.core.run import Run
from engine.services import Services
from pages.ui import cards, evidence_chain, evidence_parts, session, words

_VERIFIED = "proofs.verified"


def _all(house: Services) -> None:
    st.title("Proof chains", anchor=False)
    frame = queries.runs_list(house.store.cursor(), limit=200)
    rows = evidence_chain.list_rows(frame.iter_rows(named=True))
    if not rows:
        st.info(evidence_chain.EMPTY, icon=":material/inbox:")
        return
    st.markdown(evidence_chain.EXPLAINED)
    evidence_parts.ledger(
        rows, evidence_chain.COLUMNS, key="proofs.list", caption="Proof chains, newest run first"
    )


def _verify(house: Services, run: Run) -> None:
    """Verify the sealed pack here and now, and say what that came to."""
    pressed = st.button(
        "Verify the sealed pack now",
        key="proofs.verify",
        icon=":material/fact_check:",
        disabled=run.chain is None or not run.terminal,
        help=None if run.chain is not None else "Opens when the run is sealed.",
    )
    if pressed:
        started = time.monotonic()
        try:
            report = verify_sealed(house, run)
        except ReleaselineError as error:
            st.session_state[_VERIFIED] = (run.run_id, None, str(error))
        else:
            took_ms = round((time.monotonic() - started) * 1000)
            said = evidence_chain.verified(report, took_ms=took_ms)
            st.session_state[_VERIFIED] = (run.run_id, said, "")


def _said(run: Run) -> None:
    run_id, said, trouble = st.session_state.get(_VERIFIED, ("", None, ""))
    if run_id != run.run_id:
        return
    if said is None:
        st.error(words.plain(trouble), icon=":material/gpp_bad:")
    elif said.ok:
        st.success(said.head, icon=":material/verified:")
    else:
        st.error(
            "  \n".join([said.head, *map(words.plain, said.lines)]),
            icon=":material/gpp_bad:",
            title="The sealed pack does NOT verify",
        )


def _one(house: Services, run: Run) -> None:
    cards.crumbs(
        ("evidence/proof_chains.py", "Proof chains", {}),
        ("releases/run.py", run.run_id, {"run": run.run_id}),
        here="Proof chain",
    )
    found = proof_chain(house, run)
    view = evidence_chain.view(found, run)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(f"Proof chain of {run.run_id}", anchor=False, width="content")
        st.markdown(f"{view.badge} {words.RUN[run.status].badge}", width="content")
    st.markdown(f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}")
    st.markdown(words.plain(view.sentence))
    for broken in view.broken:
        st.error(words.plain(broken), icon=":material/link_off:", title="The chain is broken")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _verify(house, run)
        for page, label, icon in (
            ("evidence/packets.py", "Packets of the run", "inventory_2"),
            ("evidence/exports.py", "Exports", "download"),
            ("evidence/drill.py", "Break-it drill", "bug_report"),
        ):
            st.page_link(
                page, label=label, icon=f":material/{icon}:", query_params={"run": run.run_id}
            )
    _said(run)
    if not view.rows:
        st.info(evidence_chain.EMPTY, icon=":material/inbox:")
        return
    evidence_parts.chain(view, key="proofs.graph")
    st.markdown(f":gray[:small[{evidence_chain.LEGEND}]]")
    for line in evidence_chain.added(found.addenda):
        st.markdown(f":material/note_add: {words.plain(line)}")


house = session.services()
if st.query_params.get("run"):
    _one(house, session.run_or_stop(house))
else:
    _all(house)
