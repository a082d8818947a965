"""One replay: what was asked, both answers side by side, where they differ, why, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from data import queries_replays
from engine.core.errors import NotFound
from engine.services import Services
from pages.ui import (
    cards,
    evidence_parts,
    replay_detail,
    replay_models,
    replay_parts,
    session,
    words,
)


def _head(document: Mapping[str, Any]) -> None:
    view = replay_detail.head(document)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.title(view.title, anchor=False, width="content")
        st.markdown(view.badge, width="content")
    draw, icon = {
        "OK": (st.success, "verified"),
        "INFO": (st.info, "hourglass_top"),
        "WARN": (st.warning, "warning"),
        "FAIL": (st.error, "crisis_alert"),
    }[view.level]
    draw(words.plain(view.sentence), icon=f":material/{icon}:")
    if view.means:
        left, right = st.columns(2, gap="medium")
        with left.container(border=True, gap="xsmall", height="stretch"):
            st.markdown("**What it means**")
            st.markdown(view.means)
        with right.container(border=True, gap="xsmall", height="stretch"):
            st.markdown("**What to do**")
            st.markdown(view.do)


def _asked(document: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    left, right = st.columns([1.2, 1], gap="medium")
    with left.container(border=True, gap="xsmall", height="stretch"):
        st.markdown("**What was asked**")
        cards.fact_list("replay.one.asked", replay_detail.asked(document, request))
    with right.container(border=True, gap="xsmall", height="stretch"):
        st.markdown("**Ask it again**")
        st.code(
            replay_detail.command(
                scope=replay_models.scope_of(str(document["subject"])),
                mode=str(document["mode"]),
                depth=str(document["depth"]),
            ),
            language=None,
        )
        place = replay_models.decision_place(str(document["run_id"]), str(document["subject"]))
        st.page_link(
            "evidence/replay_run.py",
            label="Request another replay of it",
            icon=":material/replay:",
            query_params=place,
        )
        page, parameters = replay_models.explained_at(
            str(document["run_id"]), str(document["subject"])
        )
        st.page_link(
            page, label="The step that decided", icon=":material/receipt_long:",
            query_params=parameters,
        )  # fmt: skip


def _sides(document: Mapping[str, Any]) -> None:
    st.header("The two answers", anchor=False)
    for column, side in zip(
        st.columns(2, gap="medium"), replay_detail.sides(document), strict=True
    ):
        with column.container(border=True, gap="xsmall", height="stretch"):
            look = side.look
            badge = (
                f":gray[{side.word}]"
                if look is None
                else f":{look.colour}-badge[:material/{look.material}: {words.plain(side.word)}]"
            )
            st.markdown(f"**{side.name}** {badge}")
            cards.fact_list(f"replay.one.{side.name}", side.facts)
            if look is None:
                st.markdown(f":gray[{replay_detail.NOT_ASKED}]")
            for level, about, detail in side.results:
                st.markdown(
                    f":{level.colour}[:material/{level.material}:] **{words.plain(about)}**  \n"
                    f":gray[{words.plain(detail)}]"
                )


def _difference(document: Mapping[str, Any]) -> None:
    gate = replay_detail.is_gate(document)
    rows = replay_detail.gate_difference(document) if gate else replay_detail.difference(document)
    st.header("Difference", anchor=False)
    if rows:
        evidence_parts.ledger(
            rows,
            replay_detail.GATE_DIFFERENCE if gate else replay_detail.DIFFERENCE,
            key="replay.one.difference",
            caption="Fields that differ, by JSON pointer",
        )
    else:
        st.markdown(f":gray[{replay_detail.no_difference(document)}]")
    lines = replay_detail.found_out(document)
    tried = replay_detail.bisected(document)
    if not (lines or tried):
        return
    st.header(replay_detail.tried_title(document), anchor=False)
    for line in lines:
        st.markdown(f":material/chevron_right: {words.plain(line)}")
    if tried:
        evidence_parts.ledger(
            tried, replay_detail.BISECT, key="replay.one.bisect", caption="What was exchanged"
        )


def _parts(document: Mapping[str, Any]) -> None:
    rows = replay_detail.parts(document)
    if not rows:
        return
    st.header("What the decision rests on", anchor=False)
    with st.container(border=True):
        cards.fact_list("replay.one.parts", rows)


def _outcomes(house: Services, request: Mapping[str, Any]) -> None:
    """Of a request with several outcomes: how far it has come, and each of them."""
    name, running = str(request["name"]), request["status"] in replay_models.OPEN

    @st.fragment(run_every=replay_parts.LOOK_EVERY_S if running else None, key="replay.one.live")
    def draw() -> None:
        session.services(used=False)  # who was signed out since sees no more of it
        now = queries_replays.replay_requests(house.store.cursor(), n=int(request["n"])).to_dicts()[
            0
        ]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.title(name, anchor=False, width="content")
            st.markdown(words.REPLAY[str(now["status"])].badge, width="content")
        st.markdown(words.plain(replay_models.request_text(now)))
        if now["status"] in replay_models.OPEN:
            st.progress(int(now["done"]) / max(1, int(now["total"])))
        st.markdown(words.plain(replay_models.counts_text(now)))
        shown = queries_replays.replays(house.store.cursor(), n=int(now["n"]), limit=200).to_dicts()
        replay_parts.listed(
            [row for row in shown if row["idx"]], key="replay.one.list", caption="Outcomes"
        )
        if running and now["status"] not in replay_models.OPEN:
            st.rerun()

    draw()


house = session.services()
name = st.query_params.get("name", "")
cards.crumbs(("evidence/replay.py", "Replay/Verify", {}), here=name or "?")
number = replay_models.number_of(name)
found = (
    queries_replays.replay_requests(house.store.cursor(), n=number[0]).to_dicts() if number else []
)
if number is None or not found:
    replay_parts.lost(
        f"There is no replay {name!r} here.", "It needs `?name=rr-001` behind the address."
    )
else:
    request, index = found[0], number[1] or (1 if int(found[0]["total"]) == 1 else 0)
    try:
        document = house.replaying.detail(number[0], index) if index else None
    except NotFound:
        document = None
    if document is None:
        _outcomes(house, request)
    else:
        _head(document)
        _asked(document, request)
        if not replay_detail.is_gate(document):
            _sides(document)
        _difference(document)
        _parts(document)
