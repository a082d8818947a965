"""Deploy stage: is it all right, how close is a rollback, what may be done; then why, in detail."""

from __future__ import annotations

import streamlit as st

from pages.ui import actions, cards, session, stage_models, stage_parts, timeline

house = session.services()
run = session.run_or_stop(house)
step = session.step_or_stop(run, default=stage_models.default_step(run))
snapshot = house.live.snapshot(run.run_id)
now_ms = house.clock.now_us() // 1000
seen = house.live.stage(run, step)

cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here=step.spec.name,
)
head = stage_models.header(run, step, seen)
stage_parts.title(step, head)
actions.recorded(run)
if seen is None:
    st.info(head.waiting, icon=":material/hourglass_empty:")
else:
    timeline.stage(run, snapshot, now_ms=now_ms, step=step.id, frozen=head.frozen)
with st.container(horizontal=True, gap="small", vertical_alignment="center"):
    actions.row(house, run, only=stage_models.actions_for(run, step))
    stage_parts.links(run, step)


@st.fragment(run_every=head.refresh_s if head.live else None, key="stage.charts")
def draw_charts() -> None:
    session.services(used=False)  # who was signed out since sees no more of it
    stage_parts.charts(house, run.run_id, step.id, dark=st.context.theme.type == "dark")


draw_charts()

st.header(f"Targets ({run.request.region} / {run.environment})", anchor=False)
result = timeline.targets(
    run,
    snapshot,
    now_ms=now_ms,
    rows=stage_models.target_rows(run, step, seen, house.live.under_way(run)),
    settled=not head.live,
)
actions.dialog(house, run)
if result.open:
    st.switch_page(
        "releases/step.py",
        query_params={"run": run.run_id, "step": step.id, "target": result.open},
    )
