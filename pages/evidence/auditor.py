"""Auditor bundle: what to hand over, the fingerprint to compare, and what to type, one by one."""

from __future__ import annotations

import streamlit as st

from engine.audit_proofs import proof_chain
from engine.audit_trust import trust
from engine.core.exporting import AUDIT_PACK
from engine.services import Services
from pages.ui import evidence_auditor, evidence_exports, evidence_parts, session, words


def _take(house: Services, run_id: str) -> None:
    """The pack and its signature, or why they can't be had."""
    states = house.service.exports(run_id, session.asker())
    offer = next(o for o in evidence_exports.offers(run_id, states) if o.kind == AUDIT_PACK)
    with st.container(horizontal=True, gap="small"):
        for label, address in (
            (offer.file, offer.href),
            (f"{offer.file}.sigstore.json", f"{offer.href}.sigstore.json"),
        ):
            st.link_button(
                label,
                address,
                icon=":material/download:",
                disabled=bool(offer.why_not),
                help=offer.why_not or None,
            )
    if offer.why_not:
        st.markdown(f":gray[:small[{words.plain(offer.why_not)}]]")
    st.markdown(f":gray[:small[{evidence_exports.HOLDS[AUDIT_PACK]}]]")


def _by_hand(house: Services, run_id: str) -> None:
    run = house.service.run(run_id)
    evidence = house.settings.evidence
    signer = evidence_auditor.signer_of(
        proof_chain(house, run).seal, issuer=evidence.issuer, base=evidence.base_uri
    )
    st.header("Check it, one command after the other", anchor=False)
    if signer is None:
        st.info("The commands follow when the run is sealed.", icon=":material/hourglass_empty:")
        return
    st.markdown("For an empty folder with these four files in it. Each can be copied as it stands.")
    for number, command in enumerate(evidence_auditor.commands(root, signer, run_id=run_id), 1):
        st.markdown(
            f"**{number}. {command.title}** :gray-badge[{command.needs}]  \n"
            f":gray[:small[{command.why}]]"
        )
        st.code(command.text, language="bash", wrap_lines=True)
    st.markdown(f":gray[{evidence_auditor.LIMITS}]")


house = session.services()
root = trust(house)
st.title("Auditor bundle", anchor=False)
st.markdown(evidence_auditor.EXPLAINED)
left, right = st.columns(2, gap="medium")
with left.container(border=True, gap="small", height="stretch"):
    st.markdown("**1 · The pack and its signature**")
    runs = evidence_parts.runs_with_evidence(house, sealed=True)
    chosen = evidence_parts.choose_run(runs, key="auditor.run") if runs else ""
    if chosen:
        _take(house, chosen)
    else:
        st.markdown(f":gray[{evidence_auditor.EMPTY}]")
with right.container(border=True, gap="small", height="stretch"):
    st.markdown("**2 · The trusted root, by another way**")
    with st.container(horizontal=True, gap="small"):
        for name, content in root.files:
            st.download_button(
                name,
                content,
                file_name=name,
                mime="application/json",
                icon=":material/download:",
                on_click="ignore",
                key=f"auditor.{name}",
            )
    st.markdown(f":gray[:small[{evidence_auditor.CONFIG}]]")
    st.markdown(":gray[:small[Fingerprint of trusted_root.json to compare, SHA-256]]")
    st.code(evidence_auditor.grouped(root.fingerprint), language=None)
    st.markdown(f":gray[:small[{evidence_auditor.COMPARE}]]")
if chosen:
    _by_hand(house, chosen)

st.header("The log's newest head", anchor=False)
st.markdown(words.plain(evidence_auditor.head_text(root)))
if root.checkpoint:
    st.code(root.checkpoint, language=None, wrap_lines=True)
if root.renewals:
    st.header("Keys that were renewed", anchor=False)
    st.table(evidence_auditor.renewal_rows(root.renewals), border="horizontal")
