"""Rollback / Re-run: choose, see what it would do to each target, say why, do it."""

from __future__ import annotations

import streamlit as st

from engine.core.commands import Action, Command
from engine.core.rollback_preview import RollbackPreview
from engine.core.run import Run
from engine.services import Services
from pages.ui import actions, cards, rollback_models, session, timeline, words
from pages.ui.rollback_models import BY_NAME, Choice

_SHOWN = "rollback.shown"


def _preview(
    house: Services, run: Run, action: Action, targets: tuple[str, ...], *, anew: bool
) -> RollbackPreview:
    """What was shown stays shown until somebody looks again: that is what they decide on."""
    asked, shown = (run.run_id, action, targets), st.session_state.get(_SHOWN)
    if anew or shown is None or shown[0] != asked:
        found = (
            house.service.promotion_preview(run.run_id)
            if action is Action.ROLLBACK_PROMOTION
            else house.service.rollback_preview(run.run_id, targets)
        )
        st.session_state[_SHOWN] = shown = (asked, found)
    preview: RollbackPreview = shown[1]
    return preview


def _impact(house: Services, run: Run, choice: Choice) -> tuple[RollbackPreview | None, bool]:
    """Draw the preview. Returns it, and whether enough is chosen."""
    if not choice.goes_back:
        st.markdown(choice.caption)
        return None, True
    targets: tuple[str, ...] = ()
    if choice.key == BY_NAME:
        targets = tuple(
            st.multiselect("Targets to send back", run.touched_targets, key="rollback.targets")
        )
        if not targets:
            st.markdown(":gray[Choose at least one of the targets that this run has set.]")
            return None, False
    anew = st.button("Look again", key="rollback.look", icon=":material/refresh:", type="tertiary")
    preview = _preview(house, run, choice.action, targets, anew=anew)
    for line in rollback_models.impact(preview):
        st.markdown(f":material/chevron_right: {words.plain(line)}")
    for warning in preview.warnings:
        st.warning(words.plain(warning), icon=":material/warning:")
    st.dataframe(
        rollback_models.table(preview),
        hide_index=True,
        key="rollback.table",
        column_config={
            name: st.column_config.TextColumn(width=width)
            for name, width in rollback_models.WIDTHS_PX.items()
        },
    )
    st.markdown(f":gray[:small[{rollback_models.observed(preview)}]]")
    return preview, True


def _form(house: Services, run: Run, choice: Choice, preview: RollbackPreview | None) -> None:
    needed = choice.action not in {Action.RETRY_ROLLBACK}
    reason = st.text_area(
        "Reason (required, goes on record)" if needed else "Reason (optional)",
        key="rollback.reason",
        placeholder="incident #1234: elevated latency",
        height=80,
    )
    wanted = rollback_models.ticket_label(run, choice)
    ticket = st.text_input(wanted, key="rollback.ticket", placeholder="INC-1234", width=420)
    with st.container(horizontal=True, gap="small"):
        if st.button(choice.button, key="rollback.do", type="primary", icon=":material/bolt:"):
            command = Command(
                action=choice.action,
                reason=reason,
                ticket=ticket,
                targets=() if preview is None else preview.targets,
                plan=None if preview is None else preview.digest,
            )
            st.session_state.pop(_SHOWN, None)
            actions.do(house, run.run_id, command)
        if st.button("Cancel", key="rollback.back"):
            st.session_state.pop(_SHOWN, None)
            st.switch_page("releases/run.py", query_params={"run": run.run_id})


house = session.services()
run = session.run_or_stop(house)
snapshot = house.live.snapshot(run.run_id)
now_ms = house.clock.now_us() // 1000

cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here="Rollback / Re-run",
)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title("Rollback / Re-run", anchor=False, width="content")
    st.markdown(words.RUN[run.status].badge, width="content")
step = run.current_step
at = "" if step is None or run.terminal else f" · current step: **{step.spec.name}**"
st.markdown(f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}{at}")
actions.recorded(run)
level, said = rollback_models.result_line(run)
if said:
    {"OK": st.success, "WARN": st.warning, "FAIL": st.error}[level](words.plain(said))

found = rollback_models.choices(house.service.allowed(run.run_id, session.asker()), run)
left, right = st.columns([1, 1.5], gap="medium")
with left.container(border=True, gap="small"):
    st.markdown("**Choose what to do**")
    index = rollback_models.first(found, st.query_params.get("do", ""))
    number = (
        st.radio(
            "What to do",
            range(len(found)),
            index=index,
            format_func=lambda i: found[i].label,
            captions=[choice.caption for choice in found],
            key=f"rollback.choice.{run.status.value}",
            label_visibility="collapsed",
        )
        if found
        else None
    )
    if number is None:
        st.markdown(
            ":gray[Nothing can be rolled back or run again while the run is in this state.]"
        )
with right.container(border=True, gap="small"):
    st.markdown("**What it would do**")
    if number is None:
        st.markdown(":gray[–]")
    elif not found[number].ok:
        st.info(words.plain(found[number].caption), icon=":material/lock:")
    else:
        shown, enough = _impact(house, run, found[number])
        if enough:
            _form(house, run, found[number], shown)

held = house.service.hold_on(run)
if held is not None:
    with left.container(border=True, gap="xsmall"):
        st.markdown("**Hold on this bundle** :orange-badge[:material/front_hand: held]")
        st.markdown(words.plain(rollback_models.hold_text(held)))
        why = st.text_input("Reason for lifting it", key="rollback.lift_reason")
        if st.button("Lift the hold", key="rollback.lift", icon=":material/lock_open:"):
            actions.lift_hold(house, run, reason=why)

way = rollback_models.ready(run)
with left.container(border=True, gap="xsmall"):
    look = words.DATA_HEALTH[way.level]
    st.markdown(
        f"**Rollback readiness** :{look.colour}-badge[:material/{look.material}: {way.head}]"
    )
    for line in way.lines:
        st.markdown(f":gray[:small[{words.plain(line)}]]")
if run.ways_back:
    st.header("Ways back taken", anchor=False)
    st.dataframe(rollback_models.ways(run), hide_index=True, key="rollback.ways")
timeline.watcher(run, snapshot, now_ms=now_ms, step="" if step is None else step.id)
