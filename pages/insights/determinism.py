"""Determinism: do recorded decisions come out again, how many were asked, and where they don't."""

from __future__ import annotations

import streamlit as st

from engine.core.determinism import Determinism
from pages.ui import (
    charts,
    determinism_charts,
    determinism_models,
    evidence_parts,
    replay_filters,
    replay_words,
    session,
    words,
)

house = session.services()
st.title("Determinism", anchor=False)
st.markdown(f":gray[{replay_words.ASKED_AGAIN}]")
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    environment = st.selectbox(
        "Environment",
        [replay_filters.ANYWHERE, *sorted(house.settings.environments)],
        key="environment",
        bind="query-params",
        width=200,
    )
    since = st.selectbox(
        "Replayed since",
        [replay_filters.ANY, *replay_filters.SINCE_US],
        key="since",
        bind="query-params",
        width=160,
    )
asked = determinism_models.Asked(
    environment="" if environment == replay_filters.ANYWHERE else str(environment),
    since="" if since == replay_filters.ANY else str(since),
)
found: Determinism = house.replaying.determinism(
    environment=asked.environment,
    since_us=replay_filters.since_us(asked.since, house.clock.now_us()),
)


def _nothing() -> None:
    st.info(determinism_models.EMPTY, icon=":material/inbox:", title="Nothing is known yet")
    with st.container(border=True, gap="small"):
        st.markdown(f"**What to do** :gray[· {determinism_models.TO_DO}]")
        st.page_link("evidence/replay.py", label="Ask for replays", icon=":material/replay:")
        st.markdown(":gray[:small[Or from a shell:]]")
        st.code(determinism_models.COMMAND, language=None)


def _numbers() -> None:
    st.markdown(f"### {determinism_models.worst(found)}")
    figures = determinism_models.figures(found, asked)
    for column, figure in zip(st.columns(len(figures), gap="small"), figures, strict=True):
        with column.container(border=True, gap="xxsmall", height="stretch"):
            st.metric(figure.label, figure.value)
            st.markdown(f":gray[:small[{figure.note}]]")
            if figure.leads is not None:
                st.page_link(
                    "evidence/replay.py",
                    label="List",
                    icon=":material/list:",
                    query_params=figure.leads,
                )
    st.markdown(f":gray[:small[{words.plain(found.sentence())}. {replay_words.COUNTED}]]")


def _proof() -> None:
    left, right = st.columns(2, gap="small")
    with left.container(border=True, gap="xxsmall", height="stretch"):
        share, said = determinism_models.coverage_lines(found.coverage)
        st.metric("Coverage", share)
        st.markdown(f":gray[:small[{said}]]")
    with right.container(border=True, gap="xxsmall", height="stretch"):
        share, said = determinism_models.cross_lines(found.cross)
        st.metric("The two engines agree", share)
        st.markdown(f":gray[:small[{said}]]")


def _days() -> None:
    dark = st.context.theme.type == "dark"
    for column, name, shares in zip(
        st.columns(2, gap="small"),
        ("Day of decision", "Day of replay"),
        (found.by_decided_day, found.by_replayed_day),
        strict=True,
    ):
        with column.container(border=True, gap="xsmall", height="stretch"):
            st.markdown(f"**{name}** :gray[· UTC]")
            charts.show(
                determinism_charts.by_day(shares, dark=dark),
                key=f"determinism.{name}",
                alt=determinism_charts.picture_text(shares, name.lower()),
            )
            with st.expander("As a table"):
                evidence_parts.ledger(
                    determinism_models.shares(name, shares, asked),
                    determinism_models.columns(name),
                    key=f"determinism.table.{name}",
                    caption=name,
                )


def _tables() -> None:
    if found.by_cause:
        st.header("Why decisions did not replay", anchor=False)
        evidence_parts.ledger(
            determinism_models.causes(found.by_cause, asked),
            determinism_models.CAUSES,
            key="determinism.causes",
            caption="Causes of mismatches",
        )
    st.header("By what decided", anchor=False)
    for name, shares in (
        ("Policy version", found.by_policy),
        ("Engine", found.by_engine),
        ("Environment", found.by_environment),
        ("Form of evaluation", found.by_form),
        ("Kind of decision", found.by_kind),
    ):
        evidence_parts.ledger(
            determinism_models.shares(name, shares, asked),
            determinism_models.columns(name),
            key=f"determinism.{name}",
            caption=name,
        )


if determinism_models.is_empty(found):
    _nothing()
else:
    _numbers()
    _proof()
    _days()
    _tables()
