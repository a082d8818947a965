"""The section of SBOM rescans on the page Feeds & jobs. Drawing only."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.rescans_read import look
from engine.services import Services
from pages.ui import evidence_parts, rescans_models, session, words
from pages.ui.health import look as level_look

_LOOK_EVERY_S = 1.0


def section(house: Services) -> None:
    """How the stored SBOMs stand against the feeds, every try, and one on request."""
    st.subheader("SBOM rescans", anchor=False)
    st.markdown(rescans_models.EXPLAINED)
    why_not = house.rescans.why_not(session.asker())
    pressed = st.button(
        "Rescan now",
        key="rescans.now",
        icon=":material/radar:",
        disabled=why_not is not None,
        help=None if why_not is None else why_not.sentence,
    )
    if pressed:
        _ask(house)
    if why_not is not None:
        st.markdown(f":gray[:small[{words.plain(why_not.sentence)}]]")
    under_way = house.rescans.progress() is not None

    @st.fragment(run_every=_LOOK_EVERY_S if under_way else None, key="rescans.live")
    def draw() -> None:
        session.services(used=False)  # who was signed out since sees no more of it
        now = look(house.rescans)
        badge = level_look(now.level).badge
        st.markdown(f"{badge} {words.plain(rescans_models.sentence(now, house.clock.now_us()))}")
        if not now.tries:
            st.info(rescans_models.EMPTY, icon=":material/inbox:")
            return
        found = rescans_models.bundles(now.tries)
        if found:
            evidence_parts.ledger(
                found,
                rescans_models.BUNDLES,
                key="rescans.bundles",
                caption="What the newest rescan found, by bundle",
            )
        evidence_parts.ledger(
            rescans_models.rows(now.tries),
            rescans_models.COLUMNS,
            key="rescans.tries",
            caption="Rescans, newest first",
        )
        st.markdown(f":gray[:small[{rescans_models.count_text(now.tries)}]]")
        if under_way and house.rescans.progress() is None:
            st.rerun()  # it has ended: draw once more, without looking again

    draw()


def _ask(house: Services) -> None:
    try:
        house.rescans.ask(session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.rerun()
