"""Drawing what is done about people: a new token, and the end of a token or session."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine import admitting
from engine.admitting import TokenWish
from engine.core.errors import ReleaselineError
from engine.core.scopes import PIPELINE, Scope
from engine.identity import TOKEN_DAYS, TOKEN_DAYS_MAX
from engine.services import Services
from pages.ui import access_models, session, words

_OPEN = "tokens.open"


def attempt(deed: Callable[[], object], done: str) -> None:
    """Do it and draw the page anew; a refusal is said."""
    try:
        deed()
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.toast(done, icon=":material/task_alt:")
    st.rerun()


def open_new_token() -> None:
    st.session_state[_OPEN] = True


def _closed() -> None:
    st.session_state.pop(_OPEN, None)


def new_token(house: Services) -> None:
    """The form of a new token, while it is open."""
    if st.session_state.get(_OPEN):
        _form(house)


@st.dialog("New token", width="medium", on_dismiss=_closed)
def _form(house: Services) -> None:
    """The token itself is drawn once, and gone with the next click."""
    user = st.selectbox("Whose roles it has", list(house.settings.people), key="token.user")
    service = st.toggle(
        "For a program: it never approves, reviews or confirms", value=True, key="token.service"
    )
    scopes = st.multiselect(
        "What it may at most (none: all that the roles give)",
        [scope.value for scope in Scope],
        default=[scope.value for scope in PIPELINE] if service else [],
        format_func=access_models.scope_text,
        key=f"token.scopes.{service}",
    )
    places = st.multiselect(
        "Where (none: everywhere)", list(house.settings.environments), key="token.places"
    )
    days = st.number_input("Days until it expires", 1, TOKEN_DAYS_MAX, TOKEN_DAYS, key="token.days")
    if not st.button("Create the token", type="primary", key="token.do"):
        return
    wish = TokenWish(
        user=str(user),
        service=service,
        scopes=[Scope(one) for one in scopes],
        environments=places,
        days=int(days),
    )
    try:
        made = admitting.make_token(house, session.asker(), wish)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.success("Shown this once, and kept nowhere: copy it now.", icon=":material/key:")
    st.code(made.token, language=None)


def choice(what: str, named: dict[str, str]) -> tuple[str, str]:
    """What of `named` is to end, by its id, and why; empty while nothing is chosen."""
    with st.container(horizontal=True):
        label = st.selectbox(
            f"End a {what}",
            list(named),
            index=None,
            placeholder=f"Choose a {what}",
            key=f"{what}.chosen",
            width=420,
        )
        reason = st.text_input("Reason, goes on record", key=f"{what}.reason", width=420)
    return named.get(str(label), ""), reason.strip() or "revoked"
