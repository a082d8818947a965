"""The buttons of a run and the dialogs behind them. What may be done is decided by the engine.

A dialog stays open while the page redraws itself around it: which one is open is remembered until
it is closed, and what was typed belongs to its own widgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from engine.core.commands import Action, Command, Window
from engine.core.errors import Conflict, ReleaselineError
from engine.core.heirs import NEW_RUN
from engine.core.run import Run
from engine.services import Services
from engine.story import tell
from pages.ui import models, people_models, session, step_time_parts, words

_OPEN: Final = "actions.open"
_RECORDED: Final = "actions.recorded"
_EXAMPLE: Final = {Action.COMMENT: "what others should know about this run"}
# What these would do, or let through, is shown before they are done: that needs a page of its own.
_BACK: Final = "releases/rollback.py"
_APPROVAL: Final = "releases/approval.py"
_OWN_PAGE: Final = {
    Action.APPROVE: _APPROVAL,
    Action.REJECT: _APPROVAL,
    Action.ROLLBACK: _BACK,
    Action.RETRY_ROLLBACK: _BACK,
    **dict.fromkeys(NEW_RUN, _BACK),
}


def row(house: Services, run: Run, *, only: Sequence[Action] = ()) -> None:
    """Draw the action bar. A button that is off says why; nothing is hidden for that.

    Args:
        only: restrict the bar to these; what is left out has its place on the run's page.
    """
    states = house.service.allowed(run.run_id, session.asker())
    offered = models.offers(states, run)
    first = [o for o in offered if (o.action in only if only else o.first)]
    more = [] if only else [o for o in offered if not o.first]
    for offer in first:
        clicked = st.button(
            f"{offer.label}…",
            key=f"actions.{offer.key}",
            icon=offer.icon,
            type="primary" if offer.primary else "secondary",
            disabled=not offer.ok,
            help=offer.why_not or None,
        )
        if clicked:
            _open(run, offer)
    if more:
        with st.popover("More", icon=":material/more_horiz:"):
            for offer in more:
                clicked = st.button(
                    f"{offer.label}…",
                    key=f"actions.{offer.key}",
                    icon=offer.icon,
                    disabled=not offer.ok,
                    width="stretch",
                )
                if offer.why_not:
                    st.markdown(f":gray[:small[{words.plain(offer.why_not)}]]")
                if clicked:
                    _open(run, offer)


def recorded(run: Run) -> None:
    """What the last action of this person amounts to: the event itself, not a hope."""
    said = st.session_state.get(_RECORDED)
    if not said or said["run"] != run.run_id:
        return
    with st.container(key="actions.recorded"):
        st.success("  \n".join(said["lines"]), icon=":material/task_alt:", title="On record")


def dialog(house: Services, run: Run) -> None:
    """Draw the dialog that is open, if one is."""
    opened = st.session_state.get(_OPEN)
    if not opened or opened[0] != run.run_id:
        return
    action = Action(opened[1])
    button = words.ACTION[action]
    titled = st.dialog(
        f"{button.label}: {words.plain(run.label)}",
        width="small",
        icon=f":material/{button.icon}:",
        on_dismiss=_close,
    )
    titled(_body)(house, run.run_id, action, overriding=opened[2])


def _open(run: Run, offer: models.Offer) -> None:
    if offer.action in _OWN_PAGE:
        st.switch_page(
            _OWN_PAGE[offer.action], query_params={"run": run.run_id, "do": offer.action.value}
        )
    overriding = offer.override is not None
    st.session_state[_OPEN] = (run.run_id, offer.action.value, overriding)
    st.session_state.pop(_RECORDED, None)


def _close() -> None:
    st.session_state.pop(_OPEN, None)


def _body(house: Services, run_id: str, action: Action, *, overriding: bool) -> None:
    run = house.service.run(run_id)
    label = words.ACTION[action].label
    ticket, confirm, step = "", "", ""
    window: Window | None = None
    match action:
        case Action.SCHEDULE_STEP:
            step, window = step_time_parts.choose(house, run)
        case Action.UNSCHEDULE_STEP:
            step = step_time_parts.timed(run)
        case Action.PAUSE:
            st.markdown(models.pause_after_text(run))
        case Action.CLOSE_FAILED:
            changed = len(run.changed_targets)
            st.markdown(f"{changed} of {len(run.targets)} targets stay on the new bundle, as now.")
            confirm = st.text_input(f"Type {run_id} to confirm", key="actions.confirm")
        case _:
            pass
    states = house.service.allowed(run_id, session.asker()) if overriding else ()
    offer = people_models.override_of(states, action)
    if offer is not None:
        notice = people_models.override_notice(offer, glass=action is Action.BREAK_GLASS)
        st.warning(words.plain(notice), icon=":material/group:")
        label = people_models.override_label(action, offer)
    if action is Action.REVIEW:
        st.markdown(words.plain(people_models.review_text(run)))
    reason = st.text_area(
        _reason_label(action, overriding=overriding),
        key="actions.reason",
        placeholder=_EXAMPLE.get(action, "incident #1234: elevated latency"),
        height=80,
    )
    if action is Action.REVIEW or overriding:
        ticket = st.text_input(_ticket_label(action), key="actions.ticket", placeholder="INC-1234")
    command = Command(
        action=action,
        reason=reason,
        ticket=ticket,
        confirm=confirm,
        override=overriding,
        window=window,
        step=step,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Back", key="actions.back"):
            _close()
            st.rerun()
        if st.button(label, key="actions.do", type="primary"):
            do(house, run_id, command)


def do(house: Services, run_id: str, command: Command) -> None:
    """Do it, remember what it caused for `recorded`, and draw the page anew; a refusal is said.

    A command that makes a new run goes to that run's page.
    """
    try:
        events = house.service.ask(run_id, command, session.asker())
    except Conflict as error:
        st.error(f"{error}. Somebody was faster.", icon=":material/sync_problem:")
        return
    except ReleaselineError as error:
        st.error(str(error), icon=":material/block:")
        return
    lines = [
        f"event {line.seq} `{line.hash[:12]}`: {words.plain(line.text)}" for line in tell(events)
    ] or [f"event {event.seq} `{event.hash.hex[:12]}`" for event in events]
    st.session_state[_RECORDED] = {"run": events[0].stream, "lines": lines}
    _close()
    if command.action in NEW_RUN:
        st.switch_page("releases/run.py", query_params={"run": events[0].stream})
    st.rerun()


def lift_hold(house: Services, run: Run, *, reason: str) -> None:
    """Let the run's bundle be promoted to its environment again; a refusal is said."""
    try:
        house.service.lift_hold(run.environment, run.bundle, session.asker(), reason=reason)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.session_state[_RECORDED] = {
        "run": run.run_id,
        "lines": [f"The hold on {words.plain(run.label)} in {run.environment} is lifted."],
    }
    st.rerun()


def _ticket_label(action: Action) -> str:
    match action:
        case Action.REVIEW:
            return "Ticket, when something is left to do"
        case Action.BREAK_GLASS:
            return "Incident id (required)"
        case _:
            return "Ticket (optional)"


def _reason_label(action: Action, *, overriding: bool) -> str:
    if overriding:
        return "Reason (required, goes on record)"
    if action is Action.COMMENT:
        return "Comment"
    optional = {Action.RESUME, Action.CONTINUE, Action.WITHDRAW, Action.START_NOW}
    optional |= {Action.SCHEDULE_STEP, Action.UNSCHEDULE_STEP}
    return "Reason (optional)" if action in optional else "Reason (required, goes on record)"
