"""What the dialogs about a step's time ask for: which step, and when it may begin."""

from __future__ import annotations

import streamlit as st

from engine.core import step_times, step_wishes
from engine.core.commands import Window
from engine.core.errors import ReleaselineError
from engine.core.local_time import day_text, local, utc_text
from engine.core.run import Run
from engine.core.state import StepState
from engine.live_text import span
from engine.services import Services
from engine.time_zones import offset_at
from pages.ui import schedule_parts, words

_HOUR_US = 3_600_000_000
EXPLAINED = (
    "The step does not begin before. A deploy stage before it stays under its gate until then, and "
    "is rolled back if it has to be. What has not begun when the window closes begins at no other "
    "time by itself: the run pauses."
)


def choose(house: Services, run: Run) -> tuple[str, Window | None]:
    """The step and its window; None where that is none, which is said."""
    st.markdown(f":gray[:small[{EXPLAINED}]]")
    step = _which(run, step_wishes.schedulable(run))
    here = offset_at(st.context.timezone or "UTC")
    day, second = local(house.clock.now_us() + _HOUR_US, here)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        timing = schedule_parts.once(
            "step.time", day=day_text(day), time=f"{second // 3_600:02d}:00", minutes=5
        )
    try:
        window = house.scheduling.window(timing)
    except ReleaselineError as error:
        st.warning(words.plain(str(error)), icon=":material/event_busy:")
        return step, None
    left_us = window.start_us - house.clock.now_us()
    when = f"in {span(left_us)}" if left_us > 0 else "which has passed"
    told = f"Opens {window.local} {window.time_zone} ({utc_text(window.start_us)}), {when}."
    st.markdown(f"**{words.plain(told)}** {words.plain(window.note)}")
    st.page_link(
        "operations/scheduler_runs.py",
        label="Open scheduler runs",
        icon=":material/schedule:",
        query_params={"run": run.run_id},
    )
    return step, window


def timed(run: Run) -> str:
    """The step whose time is taken away."""
    found = tuple(step for step in run.steps if step_times.wish(step) is not None)
    step = _which(run, found)
    for one in found:
        time = step_times.wish(one)
        if one.id == step and time is not None:
            st.markdown(words.plain(f"It opens {time.at}, as {time.by} wished."))
    return step


def _which(run: Run, steps: tuple[StepState, ...]) -> str:
    """The step of the page, where it is one of these; else the last of them is offered first."""
    names = {step.spec.name: step.id for step in steps}
    ids = list(names.values())
    here = st.query_params.get("step", "")
    deploys = [s.id for s in steps if s.spec.share_bp == 10_000]
    first = here if here in ids else (deploys or ids or [""])[0]
    chosen = st.selectbox(
        "Step", list(names), index=ids.index(first) if first in ids else None, key="step.time.step"
    )
    return names.get(chosen or "", "")
