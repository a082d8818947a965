"""What the replay pages draw alike: the request form's parts, the list, facts. Drawing only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.core.replays import ReplayAsk, replay_name
from engine.services import Services
from pages.ui import evidence_parts, replay_models, session, words

# A list with something under way is looked at this often; one without is not.
LOOK_EVERY_S: Final = 1.0
_RECORDED: Final = "replay.recorded"


def listed(found: Sequence[Mapping[str, Any]], *, key: str, caption: str) -> None:
    evidence_parts.ledger(
        replay_models.rows(found), replay_models.COLUMNS, key=key, caption=caption
    )


def reason(key: str) -> str:
    """Ask why: a choice and words of one's own. Empty = not given yet."""
    choice_column, more_column = st.columns([1, 1.2], gap="small", vertical_alignment="bottom")
    choice = choice_column.selectbox(
        "Reason (required)",
        replay_models.REASONS,
        index=None,
        placeholder="Choose a reason",
        key=f"{key}.reason",
        help="It goes on record with the request.",
    )
    more = more_column.text_input(
        "In your own words",
        key=f"{key}.more",
        placeholder="audit 2026-Q1, ticket AUD-12",
        label_visibility="collapsed",
    )
    return replay_models.reason(choice, more or "")


def button(house: Services, scope: str, *, key: str) -> bool:
    """[Request replay], on or off with the reason. Returns whether it was pressed."""
    why_not = house.replaying.why_not(scope, session.asker())
    pressed = st.button(
        "Request replay",
        key=f"{key}.do",
        type="primary",
        icon=":material/replay:",
        disabled=why_not is not None,
        help=None if why_not is None else why_not.sentence,
    )
    if why_not is not None:
        st.markdown(f":gray[:small[{words.plain(why_not.sentence)}]]")
    return pressed


def request(house: Services, ask: ReplayAsk) -> None:
    """Ask for it, remember what is on record now, and draw the page anew; a refusal is said."""
    problem = replay_models.reason_problem(ask.reason)
    if problem:
        st.error(problem, icon=":material/edit:")
        return
    try:
        made = house.replaying.request(ask, session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.session_state[_RECORDED] = {"scope": ask.scope, "name": replay_name(made.n)}
    st.rerun()


def recorded(scopes: Sequence[str] | None = None) -> None:
    """What this person asked for last, when it is about one of `scopes`; None = about anything."""
    said = st.session_state.get(_RECORDED)
    if not said or (scopes is not None and said["scope"] not in scopes):
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.success(
            f"**{said['name']}** asks about {replay_models.subject_text(said['scope'])}.",
            icon=":material/task_alt:",
            title="On record",
        )
        st.page_link(
            "evidence/replay_one.py",
            label=f"Open {said['name']}",
            icon=":material/open_in_new:",
            query_params={"name": said["name"]},
        )


def asked_before() -> str:
    """Name of the last request of this session: a part of keys, so that a form begins anew."""
    said = st.session_state.get(_RECORDED)
    return said["name"] if said else "first"


def lost(head: str, text: str) -> None:
    """The address names nothing that is here: say so, offer the list, end the page."""
    with st.container(border=True):
        st.header(head, anchor=False)
        st.markdown(text)
        st.page_link(
            "evidence/replay.py", label="All replay requests", icon=":material/arrow_back:"
        )
    st.stop()
