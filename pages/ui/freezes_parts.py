"""Setting and ending a freeze from the page. Drawing only; the engine decides."""

from __future__ import annotations

from typing import Final

import streamlit as st

from engine.core.errors import Malformed
from engine.core.freeze_events import FreezeKind
from engine.core.freeze_rules import FreezeWish
from engine.services import Services
from engine.time_zones import offset_at
from pages.ui import access_parts, freezes_models, session, words
from pages.ui.freezes_models import Zone

_OPEN: Final = "freezes.open"
_STOP, _WINDOW = "stop", "window"


def viewer_zone() -> Zone:
    """The browser's; UTC where it names none that this machine knows."""
    name = st.context.timezone or "UTC"
    try:
        return Zone(name=name, offset_at=offset_at(name))
    except Malformed:
        return Zone(name="UTC", offset_at=offset_at("UTC"))


def buttons(house: Services) -> None:
    """Stop the line, or set a window; off, with the reason, for who may in no environment."""
    asker = session.asker()
    refused = {
        place.environment: house.freezing.why_not(asker, (place.environment,), what="set a freeze")
        for place in house.freezing.places()
    }
    may = freezes_models.may_in(refused)
    why_not = next((r.sentence for r in refused.values() if r is not None), "") if not may else ""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for what, text, icon in (
            (_STOP, "Stop the line…", "front_hand"),
            (_WINDOW, "New window…", "add"),
        ):
            st.button(
                text,
                key=f"freezes.{what}",
                icon=f":material/{icon}:",
                type="primary" if what == _STOP else "secondary",
                disabled=not may,
                help=why_not or None,
                on_click=_opened,
                args=(what,),
            )
    if why_not:
        st.markdown(f":gray[:small[{words.plain(why_not)}]]")


def _opened(what: str) -> None:
    st.session_state[_OPEN] = what


def _closed() -> None:
    st.session_state.pop(_OPEN, None)


def dialog(house: Services, zone: Zone) -> None:
    """The form that is open, if one is."""
    what = st.session_state.get(_OPEN)
    if not what:
        return
    title = "Stop the line" if what == _STOP else "New freeze window"
    titled = st.dialog(title, width="medium", icon=":material/ac_unit:", on_dismiss=_closed)
    titled(_form)(house, zone, stop=what == _STOP)


def _form(house: Services, zone: Zone, *, stop: bool) -> None:
    if stop:
        st.markdown("Nothing starts there from now on, until somebody ends it.")
    kind = FreezeKind.DENY
    if not stop:
        kind = st.radio(
            "What it does",
            list(FreezeKind)[::-1],
            format_func=lambda one: words.FREEZE_KIND[one.value],
            key="freeze.kind",
        )
    name = st.text_input("Name", value="stop the line" if stop else "", key="freeze.name")
    environments = st.multiselect(
        "Environments (none: every one)", list(house.settings.environments), key="freeze.places"
    )
    regions = st.multiselect(
        "Regions (none: every one)",
        sorted({place.region for place in house.freezing.places()}),
        key="freeze.regions",
    )
    begins, ends, weekly, time_zone = ("", "", "", zone.name) if stop else _times(zone)
    hotfix = st.toggle("Hotfixes may pass, with one more approval", key="freeze.hotfix")
    people = list(house.settings.people)
    me = session.asker().user
    owner = st.selectbox(
        "Owner, who answers for it",
        people,
        index=people.index(me) if me in people else 0,
        key="freeze.owner",
    )
    reason = st.text_area("Reason (required, goes on record)", key="freeze.reason", height=80)
    ticket = st.text_input("Ticket (optional)", key="freeze.ticket", placeholder="INC-1234")
    wish = FreezeWish(
        kind=kind,
        name=name,
        reason=reason,
        owner=owner,
        environments=tuple(environments),
        regions=tuple(regions),
        begins=begins,
        ends=ends,
        weekly=weekly,
        time_zone=time_zone,
        hotfix=hotfix,
        ticket=ticket,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Back", key="freeze.back"):
            _closed()
            st.rerun()
        label = "Stop the line" if stop else "Set the window"
        if st.button(label, key="freeze.do", type="primary"):
            access_parts.attempt(lambda: _set(house, wish), f"{name} is set and on record.")


def _set(house: Services, wish: FreezeWish) -> None:
    house.freezing.add(wish, session.asker())
    _closed()


def _times(zone: Zone) -> tuple[str, str, str, str]:
    """From, until, weekly window and time zone, as they were typed."""
    hint = "2026-12-24 18:00"
    with st.container(horizontal=True):
        begins = st.text_input("From (empty: now)", placeholder=hint, key="freeze.begins")
        ends = st.text_input("Until (empty: no end)", placeholder=hint, key="freeze.ends")
    with st.container(horizontal=True):
        weekly = st.text_input(
            "Every week (empty: all the time)",
            placeholder="FR 18:00-MO 08:00 or MO-FR 09:00-17:00",
            key="freeze.weekly",
        )
        time_zone = st.text_input("Time zone", value=zone.name, key="freeze.zone")
    return begins, ends, weekly, time_zone


def ending(house: Services) -> None:
    """End one of those that are in force, with a reason."""
    named = {freezes_models.label(one): one for one in house.freezing.in_force()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox(
            "End a freeze",
            list(named),
            index=None,
            placeholder="Choose a freeze",
            key="freezes.chosen",
            width=420,
        )
        reason = st.text_input("Reason (required, goes on record)", key="freezes.why", width=420)
        chosen = named.get(str(label))
        why_not = None
        if chosen is not None:
            why_not = house.freezing.why_not(
                session.asker(), house.freezing.covered(chosen), what="end a freeze"
            )
        pressed = st.button(
            "End it",
            icon=":material/lock_open:",
            key="freezes.end",
            disabled=chosen is None or why_not is not None,
            help=None if why_not is None else why_not.sentence,
        )
    if pressed and chosen is not None:
        access_parts.attempt(
            lambda: house.freezing.end(chosen.id, session.asker(), reason=reason),
            f"{chosen.fact.name} has ended.",
        )
