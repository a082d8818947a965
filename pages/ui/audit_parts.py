"""What the page of the audit trail draws. Drawing only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.core.audit import AuditFilter
from pages.ui import audit_models, cards
from pages.ui.audit_models import ANY, Wish


def filters(people: Sequence[str], verbs: Sequence[str], names: Sequence[str], now_us: int) -> Wish:
    """The boxes; what they say stands in the address."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        period = _box("When", "period", audit_models.periods(now_us), 170)
        since = until = ""
        if period == audit_models.FROM_TO:
            since = _text("From", "since", "2026-10-01")
            until = _text("To", "until", "2026-12-31")
        who = _box("Who", "who", _options(people, "who"), 170)
        verb = _box("What", "verb", _options(verbs, "verb"), 190)
        environment = _box("Environment", "env", _options(names, "env"), 160)
        run = _text("Run", "run", "run-1")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button(
            f"Overrides and self-approval attempts in {audit_models.quarter(now_us)}",
            key="audit.quarter",
            icon=":material/filter_alt:",
            type="tertiary",
            on_click=_quarter,
            args=(audit_models.quarter(now_us),),
        )
        marks = {
            name: st.toggle(label, key=name, bind="query-params", on_change=_from_the_top)
            for label, name in (
                ("Denied only", "denied"),
                ("Overrides", "overrides"),
                ("Self-approval attempts", "self_approvals"),
                ("With what the engine did", "everything"),
            )
        }
    return Wish(
        who=who,
        verb=verb,
        environment=environment,
        run=run,
        period=period,
        since=since,
        until=until,
        **marks,
    )


def exports(asked: AuditFilter, counted: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":gray[{counted}]", width="content")
        st.space("stretch")
        for label, form in audit_models.FORMATS:
            st.link_button(
                label,
                audit_models.export_address(asked, form),
                icon=":material/download:",
                help="All that the filters ask for, with a manifest. The export goes on record.",
            )


def pager(before: str, older: str) -> None:
    """From page to page, by the place of the last record."""
    with st.container(horizontal=True, gap="small"):
        if before and st.button("Newest", key="audit.newest", icon=":material/first_page:"):
            _from_the_top()
            st.rerun()
        if older and st.button("Older", key="audit.older", icon=":material/chevron_right:"):
            st.query_params["before"] = older
            st.rerun()


def record(found: Mapping[str, Any]) -> None:
    """One record as a whole, with what it leads to."""
    left, right = st.columns([1.4, 1], gap="medium")
    with left.container(border=True, gap="xsmall"):
        st.markdown("**What happened**")
        cards.fact_list("audit.facts", [one.document() for one in audit_models.facts(found)])
    with right.container(border=True, gap="xsmall"):
        st.markdown("**Its place in the chain**")
        cards.fact_list("audit.place", [one.document() for one in audit_models.place(found)])
    with st.container(horizontal=True, gap="small"):
        run = str(found["run_id"])
        if run:
            for page, label, icon in (
                ("releases/run.py", run, "rocket_launch"),
                ("evidence/timeline.py", "Evidence of the run", "verified_user"),
                ("releases/duties.py", "Separation of duties", "hub"),
            ):
                st.page_link(
                    page, label=label, icon=f":material/{icon}:", query_params={"run": run}
                )
        st.page_link(
            "evidence/audit.py",
            label=f"All of {found['actor']}",
            icon=":material/person_search:",
            query_params={"who": str(found["actor"])},
        )
    st.markdown("**What the event says**")
    st.code(audit_models.body_text(found), language="json", wrap_lines=True)


def _quarter(name: str) -> None:
    """The auditor's question, in one click."""
    chosen = {"period": name, "overrides": True, "self_approvals": True, "denied": False}
    st.session_state.update(chosen)
    _from_the_top()


def _from_the_top() -> None:
    """Other filters begin with the newest record again."""
    st.query_params.pop("before", None)


def _options(known: Sequence[str], name: str) -> list[str]:
    return audit_models.options(known, st.query_params.get(name, ""))


def _box(label: str, name: str, options: Sequence[str], width: int) -> str:
    chosen = st.selectbox(
        label,
        options,
        key=name,
        bind="query-params",
        width=width,
        on_change=_from_the_top,
    )
    return str(chosen or ANY)


def _text(label: str, name: str, example: str) -> str:
    found = st.text_input(
        label,
        key=name,
        bind="query-params",
        placeholder=example,
        width=130,
        on_change=_from_the_top,
    )
    return found or ""
