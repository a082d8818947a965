"""Audit trail: who attempted what, is the record of it whole, and exports of what is shown."""

from __future__ import annotations

import streamlit as st

from engine.asker import Asker
from engine.core.audit import AuditFilter
from engine.core.errors import NotFound, ReleaselineError
from engine.services import Services
from pages.ui import audit_models, audit_parts, cards, evidence_parts, session, words


def _one(house: Services, who: Asker, event: str) -> None:
    cards.crumbs(("evidence/audit.py", "Audit trail", {}), here=f"Event {event}")
    try:
        record = house.trail.record(int(event), who)
    except (ValueError, NotFound):
        st.title("Audit trail", anchor=False)
        st.info(f"There is no event {event[:20]!r} here.", icon=":material/search_off:")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(f"Event {record['gseq']:,}", anchor=False, width="content")
        st.markdown(words.AUDIT[record["result"]].badge, width="content")
    audit_parts.record(record)


def _check(house: Services) -> None:
    pressed = st.button(
        "Check the chain now", key="audit.check", icon=":material/fact_check:", type="secondary"
    )
    if pressed:
        try:
            house.trail.check(session.asker())
        except ReleaselineError as error:
            st.toast(str(error), icon=":material/block:")


def _list(house: Services, who: Asker) -> None:
    st.title("Audit trail", anchor=False)
    st.markdown(audit_models.EXPLAINED)
    now_us = house.clock.now_us()
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        said = st.empty()
        st.space("stretch")
        _check(house)
    state, sentence = audit_models.chain_text(house.trail.chain(), now_us)
    said.markdown(f"{words.CHAIN[state].badge} {words.plain(sentence)}")
    people, verbs = house.trail.choices(who)
    wish = audit_parts.filters(people, verbs, tuple(house.settings.environments), now_us)
    try:
        asked = audit_models.asked(wish, now_us)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/error:")
        return
    _rows(house, who, asked)


def _rows(house: Services, who: Asker, asked: AuditFilter) -> None:
    before = st.query_params.get("before", "")
    found = house.trail.rows(
        asked,
        who,
        before=int(before) if before.isdecimal() else None,
        limit=audit_models.PAGE + 1,
    )
    shown, more = found[: audit_models.PAGE], len(found) > audit_models.PAGE
    audit_parts.exports(asked, audit_models.count_text(len(shown), more))
    if not shown:
        st.info(audit_models.EMPTY, icon=":material/filter_alt_off:")
    else:
        evidence_parts.ledger(
            audit_models.rows(shown),
            audit_models.COLUMNS,
            key="audit.list",
            caption="Records of the audit trail, newest first",
        )
    audit_parts.pager(before, str(shown[-1]["gseq"]) if more else "")


house = session.services()
asker = session.asker()
why_not = house.trail.why_not(asker)
if why_not:
    st.title("Audit trail", anchor=False)
    st.info(words.plain(why_not), icon=":material/lock:")
elif st.query_params.get("event"):
    _one(house, asker, st.query_params["event"])
else:
    _list(house, asker)
