"""Replay/Verify of a promotion: ask for its decisions again, and see what came of it before."""

from __future__ import annotations

import streamlit as st

from data import queries_replays
from engine.core.replays import Depth, ReplayAsk, ReplayMode
from engine.core.run import Run
from engine.services import Services
from pages.ui import cards, evidence_parts, replay_models, replay_parts, replay_words, session
from pages.ui import words as plain_words

_SHOWN = 10  # the newest; the canonical page has all of them


def _form(house: Services, run: Run, found: tuple[replay_models.Subject, ...]) -> None:
    verdict, step = st.query_params.get("verdict", ""), st.query_params.get("step", "")
    key = f"replay.run.{replay_parts.asked_before()}"
    facts, form = st.columns([1.1, 1], gap="large")
    with form:
        index = st.selectbox(
            "Decision",
            range(len(found)),
            index=replay_models.chosen(found, verdict=verdict, step=step),
            format_func=lambda i: found[i].label,
            key=f"replay.run.what.{run.run_id}.{verdict}.{step}",
        )
        subject = found[index]
        gate = replay_models.is_gate_scope(subject.scope)
        depth = st.segmented_control(
            "Depth",
            replay_models.depths(ReplayMode.VERIFY, gate=gate),
            default=Depth.SHALLOW.value,
            format_func=lambda name: replay_words.DEPTHS[name].label,
            key=f"{key}.depth.{gate}",
            help=replay_words.DEPTHS_HELP,
        )
        why = replay_parts.reason(key)
        if replay_parts.button(house, subject.scope, key=key):
            ask = ReplayAsk(scope=subject.scope, reason=why, depth=Depth(depth or Depth.SHALLOW))
            replay_parts.request(house, ask)
    with facts:
        rows = [replay_models.decision_fact(subject), *replay_models.prefilled(run)]
        cards.fact_list("replay.run.facts", rows)


house = session.services()
run = session.run_or_stop(house)
evidence_parts.crumbs(run.run_id, "Replay/Verify")
st.title("Replay/Verify — for this promotion", anchor=False)
st.markdown(f":gray[{replay_words.LEGACY}]")
st.markdown(f"**{plain_words.plain(run.label)}** → {run.request.region} / {run.environment}")

verdicts = queries_replays.verdicts(house.store.cursor(), run_id=run.run_id).to_dicts()
found = replay_models.subjects(run, verdicts)
unknown = replay_models.unknown_verdict(found, st.query_params.get("verdict", ""))
if unknown:
    st.warning(unknown, icon=":material/search_off:")
replay_parts.recorded([run.run_id, *(one.scope for one in found)])
with st.container(border=True, gap="small"):
    st.markdown(f"**Pre-filled replay request** :gray[· {replay_words.ASKED_AGAIN}]")
    if found:
        _form(house, run, found)
    else:
        st.markdown(f":gray[{replay_models.NO_DECISION}]")


def requests() -> list[dict[str, object]]:
    frame = queries_replays.replays(house.store.cursor(), run_id=run.run_id, limit=_SHOWN)
    return frame.to_dicts()


under_way = replay_models.under_way(requests())


@st.fragment(run_every=replay_parts.LOOK_EVERY_S if under_way else None, key="replay.run.live")
def draw_requests() -> None:
    """The list and the numbers; looked at again by itself while something is under way."""
    session.services(used=False)  # who was signed out since sees no more of it
    shown = requests()
    st.markdown("**Recent replay requests (for this promotion)** :gray[· UTC, newest first]")
    if shown:
        replay_parts.listed(
            shown, key="replay.run.list", caption=f"Replay requests of {run.run_id}, newest first"
        )
    else:
        st.markdown(f":gray[{replay_models.NOTHING_YET}]")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        said = house.replaying.determinism(run_id=run.run_id).sentence()
        st.markdown(f"**Determinism:** {said}", width="content")
        st.page_link(
            "evidence/replay.py",
            label="Open canonical Replay/Verify screen",
            icon=":material/open_in_new:",
            query_params={"find": run.run_id, "run": run.run_id},
        )
    st.markdown(f":gray[:small[{replay_words.COUNTED}]]")
    if under_way and not replay_models.under_way(shown):
        st.rerun()  # everything has ended: draw once more, without looking again


draw_requests()
