"""Deploy stage: targets, health against its limits, the trigger, and what may be done."""

from __future__ import annotations

import streamlit as st

from pages.ui import actions, cards, charts, session, stage_models, timeline

house = session.services()
run = session.run_or_stop(house)
step = session.step_or_stop(run, default=stage_models.default_step(run))
snapshot = house.live.snapshot(run.run_id)
now_ms = house.clock.now_us() // 1000
data = stage_models.read(house.store, run, step)

cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here=step.spec.name,
)
head = stage_models.header(run, step, data)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title(step.spec.name, anchor=False, width="content")
    st.markdown(head.badge, width="content")
st.markdown(head.line)
actions.recorded(run)
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    actions.row(house, run, only=stage_models.actions_for(run, step))
    cards.detail_link(run, step)

if head.frozen is None and not head.live:
    st.info(head.waiting, icon=":material/hourglass_empty:")
else:
    timeline.stage_card(
        run,
        snapshot,
        now_ms=now_ms,
        key="stage.numbers",
        wide=True,
        step=step.id,
        frozen=head.frozen,
    )


@st.fragment(run_every="5s" if head.live else None, key="stage.charts")
def draw_charts() -> None:
    shown = stage_models.read(house.store, house.service.run(run.run_id), step)
    dark = st.context.theme.type == "dark"
    left, right = st.columns(2, gap="small")
    with left.container(border=True, gap="xsmall"):
        st.markdown(head.error_title)
        charts.show(charts.errors(shown, dark=dark), key="stage.errors", alt=head.error_alt)
    with right.container(border=True, gap="xsmall"):
        st.markdown(head.latency_title)
        charts.show(charts.latency(shown, dark=dark), key="stage.latency", alt=head.latency_alt)


draw_charts()

st.header(f"Targets ({run.request.region} / {run.environment})", anchor=False)
result = timeline.targets(
    run,
    snapshot,
    now_ms=now_ms,
    rows=stage_models.target_rows(run, step, data),
    settled=not head.live,
)
cards.clock_history(stage_models.restarts(data))
actions.dialog(house, run)
if result.open:
    st.switch_page(
        "releases/step.py",
        query_params={"run": run.run_id, "step": step.id, "target": result.open},
    )
