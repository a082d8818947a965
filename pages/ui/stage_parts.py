"""The parts of a stage's page that Streamlit draws: title, links, charts, lists. Drawing only."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.core.run import Run
from engine.core.state import StepState
from engine.live_stage_reader import Seen
from engine.services import Services
from pages.ui import cards, charts_stage, heatmap, stage_models, words
from pages.ui import charts as shared
from pages.ui.stage_models_heat import STATES

_MAP_PX_MAX = 560


def title(step: StepState, head: stage_models.StageHeader) -> None:
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.title(step.spec.name, anchor=False, width="content")
            st.markdown(head.badge, width="content")
        st.markdown(head.line)
        st.markdown(head.criteria)


def links(run: Run, step: StepState) -> None:
    st.link_button("Open Platform Health", "/api/v1/data-health", icon=":material/monitor_heart:")
    cards.detail_link(run, step)
    cards.replay_link(run, step)


def charts(house: Services, run_id: str, step_id: str, *, dark: bool) -> None:
    """Everything over time, from the newest tick; draws nothing before the first."""
    run = house.service.run(run_id)
    step = run.step(step_id)
    seen = house.live.stage(run, step)
    if seen is None:
        return
    before = _before(house, run, step)
    shown = stage_models.charts(run, step, seen, before, house.store.load(run_id))
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            "**What the gate sees, and how sure it is** "
            ":gray[· UTC · the newest window is tinted, hatched = nothing known there]"
        )
        figure = charts_stage.stage(shown.series, dark=dark)
        shared.show(figure, key="stage.over_time", alt=shown.chart_alt)
        if shown.note:
            st.markdown(f":gray[:small[{shown.note}]]")
    with st.container(border=True, gap="xsmall"):
        st.markdown(
            f"**Targets over time** :gray[· {words.plain(shown.heat_alt)}]  \n"
            + heatmap.legend(STATES)
        )
        tall = heatmap.height_px(shown.heat) > _MAP_PX_MAX
        with st.container(height=_MAP_PX_MAX if tall else "content", border=False):
            figure = heatmap.targets(shown.heat, shown.series.span_us, dark=dark)
            shared.show(figure, key="stage.targets_over_time", alt=shown.heat_alt)
    _told(shown, run_id)


def _before(house: Services, run: Run, step: StepState) -> Sequence[Seen]:
    """Watches of the stages before this one: they count into the environment's budget."""
    earlier = run.steps[: [s.id for s in run.steps].index(step.id)]
    found = [house.live.stage(run, s) for s in earlier if s.spec.gate]
    return [one for one in found if one is not None]


def _told(shown: stage_models.Charts, run_id: str) -> None:
    """What the charts show, in words: resets with their cause, decisions, the proof."""
    left, right = st.columns(2, gap="small")
    with left.container(border=True, gap="xsmall", height=220):
        st.markdown(f"**Clock restarts** :gray[· {len(shown.resets) or 'none so far'}]")
        for at, lost, why in shown.resets:
            st.markdown(f":gray[{at} · after {lost}]  \n{words.plain(why)}")
    with right.container(border=True, gap="xsmall", height=220):
        st.markdown("**The gate's decisions** :gray[· newest first]")
        for at, what, why in shown.decided:
            st.markdown(f":gray[{at}] **{what}**  \n{words.plain(why)}")
    proof = shown.proof
    sign = ":green[:material/verified:]" if proof.same else ":red[:material/report:]"
    st.markdown(
        f"{sign} **Replayed:** {words.plain(proof.sentence())} "
        f":gray[· series {proof.series.short}]  \n"
        f":gray[From a shell:] `./run gate-replay {run_id}`"
    )
