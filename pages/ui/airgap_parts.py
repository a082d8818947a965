"""The section of the page Feeds & jobs for homes that no network reaches. Drawing only."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.feeds_read import who
from engine.services import Services
from pages.ui import airgap_models, session, words


def section(house: Services) -> None:
    """The snapshots in force as one signed file, and taking one in."""
    st.subheader("Without a network", anchor=False)
    st.markdown(airgap_models.EXPLAINED)
    person = who(house.settings, session.asker())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.link_button("Export", "/api/v1/feeds/export", icon=":material/download:")
        with st.popover("Key of this home", icon=":material/key:"):
            st.markdown(airgap_models.KEY)
            st.code(house.feed_files.key, language=None)
        with st.popover("Import…", icon=":material/upload_file:"):
            given = st.file_uploader("Signed file", type=["gz"], key="airgap.file")
            accept = st.checkbox(airgap_models.ACCEPT, key="airgap.accept")
            why_not = house.feed_files.why_not(person, accept_loss=accept)
            if st.button(
                "Check and take in",
                key="airgap.take",
                type="primary",
                disabled=given is None or why_not is not None,
                help=None if why_not is None else why_not.sentence,
            ):
                assert given is not None  # the button is off without a file
                _take(house, given.name, given.getvalue(), accept=accept)
            if why_not is not None:
                st.markdown(f":gray[:small[{words.plain(why_not.sentence)}]]")


def _take(house: Services, name: str, content: bytes, *, accept: bool) -> None:
    try:
        person = who(house.settings, session.asker())
        done = house.feed_files.take_in(content, person, name=name, accept_loss=accept)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.success(words.plain(airgap_models.told(done)), icon=":material/check_circle:")
