"""People and their roles, tokens and sessions: who is let in, and how that ends."""

from __future__ import annotations

import streamlit as st

from engine import admitting
from engine.services import Services
from pages.ui import access_models, access_parts, evidence_parts, session


def _tokens(house: Services) -> None:
    tokens = admitting.tokens(house, session.asker())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.header("Tokens", anchor=False)
        st.button(
            "New token…",
            icon=":material/add:",
            key="tokens.new",
            on_click=access_parts.open_new_token,
        )
    access_parts.new_token(house)
    if not tokens:
        st.info(access_models.NO_TOKENS, icon=":material/key_off:")
        return
    evidence_parts.ledger(
        access_models.token_rows(tokens, house.clock.now_us()),
        access_models.TOKENS,
        key="tokens.list",
        caption="Tokens in force, the newest first",
    )
    chosen, reason = access_parts.choice(
        "token", {access_models.token_label(t): t.token_id for t in tokens}
    )
    if st.button(
        "Revoke the token", icon=":material/block:", key="tokens.end", disabled=not chosen
    ):
        access_parts.attempt(
            lambda: admitting.revoke_token(house, session.asker(), chosen, reason=reason),
            f"Token {chosen} is revoked.",
        )


def _sessions(house: Services) -> None:
    here = session.asker().key
    found = admitting.sessions(house, session.asker())
    st.header("Sessions" if admin else "Your sessions", anchor=False)
    evidence_parts.ledger(
        access_models.session_rows(found, here, house.clock.now_us()),
        access_models.SESSIONS,
        key="sessions.list",
        caption="Open sessions, the newest first",
    )
    named = {access_models.session_label(one, here): one.session_id for one in found}
    chosen, reason = access_parts.choice("session", named)
    if st.button(
        "End the session", icon=":material/logout:", key="sessions.end", disabled=not chosen
    ):
        access_parts.attempt(
            lambda: admitting.end_session(house, session.asker(), chosen, reason=reason),
            f"Session {chosen} is ended.",
        )


def _people(house: Services) -> None:
    settings = house.settings
    places = list(settings.environments)
    st.header("People", anchor=False)
    evidence_parts.ledger(
        access_models.people_rows(
            (one.user, one.email, [settings.roles_of(one.user, place) for place in places])
            for one in settings.people.values()
        ),
        access_models.people_columns(places),
        key="people.list",
        caption="People of the settings and their roles by environment",
    )
    st.markdown(":gray[:small[They stand under `people` in the settings; a change counts from the "
                "next start.]]")  # fmt: skip


house = session.services()
admin = admitting.is_admin(house, session.asker())
st.title("People & tokens", anchor=False)
st.markdown(
    "A session ends after 30 minutes without a click and after 12 hours. A token gives the roles "
    "of its person, or less. What is ended here works no more at the next click or request."
)
if admin:
    _tokens(house)
_sessions(house)
if admin:
    _people(house)
