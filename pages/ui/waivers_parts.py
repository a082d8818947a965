"""Asking for a waiver and deciding about one, from the page. Drawing only; the engine decides."""

from __future__ import annotations

from functools import partial
from typing import Final

import streamlit as st

from engine.core.digest import Digest
from engine.core.errors import ReleaselineError
from engine.core.run import Run
from engine.core.scopes import GRANT_WAIVER, REFUSE_WAIVER, REVOKE_WAIVER
from engine.core.waiver_rules import WaiverWish
from engine.core.waivers import Waiver, WaiverState
from engine.findings import snapshot
from engine.services import Services
from pages.ui import access_parts, session, waivers_models, words
from pages.ui.waivers_models import Shown

_OPEN: Final = "waivers.open"
_DEEDS: Final = (
    (GRANT_WAIVER, "Grant", "verified", "granted"),
    (REFUSE_WAIVER, "Refuse", "block", "refused"),
    (REVOKE_WAIVER, "Revoke", "undo", "revoked"),
)


def shown(house: Services) -> list[Shown]:
    """Every waiver as whoever looks is to see it."""
    return [_shown(house, one) for one in house.waiving.all()]


def _shown(house: Services, one: Waiver) -> Shown:
    state = house.waiving.state(one)
    waits = state is WaiverState.REQUESTED
    may = house.waiving.may_judge(one) if waits else ()
    mine = waits and house.waiving.why_not(one, session.asker(), GRANT_WAIVER) is None
    return Shown(waiver=one, state=state, may=may, mine=mine, runs=house.waiving.rests_on(one))


def asking(house: Services, run: Run | None) -> None:
    """The button, off with the reason for who may in no environment; and the form behind it.

    Args:
        run: whose findings are offered; None = any may be named.
    """
    room, asker = house.waiving, session.asker()
    refused = {name: room.why_not_request(asker, (name,)) for name in house.settings.environments}
    may = [name for name, why_not in refused.items() if why_not is None]
    why_not = "" if may else next((r.sentence for r in refused.values() if r is not None), "")
    st.button(
        "Ask for a waiver…",
        key="waivers.ask",
        icon=":material/add:",
        type="primary",
        disabled=not may,
        help=why_not or None,
        on_click=_opened,
    )
    if why_not:
        st.markdown(f":gray[:small[{words.plain(why_not)}]]")
    if st.session_state.get(_OPEN):
        title = "Ask for a waiver"
        titled = st.dialog(title, width="medium", icon=":material/rule:", on_dismiss=_closed)
        titled(_form)(house, may, run)


def _opened() -> None:
    st.session_state[_OPEN] = True


def _closed() -> None:
    st.session_state.pop(_OPEN, None)


def _form(house: Services, may: list[str], run: Run | None) -> None:
    finding, purl = _named(house, run)
    here = [run.environment] if run is not None and run.environment in may else []
    places = st.multiselect(
        "Environments (none: every one)", may, default=here, key="waiver.places"
    )
    bundle = None
    if run is not None and st.toggle(f"Only for {run.label}", key="waiver.only"):
        bundle = run.bundle
    longest = house.settings.waivers.days_max
    days = st.number_input(
        f"Days until it ends (at most {longest})", 1, longest, min(30, longest), key="waiver.days"
    )
    reason = st.text_input("Reason (required, goes on record)", key="waiver.reason")
    ticket = st.text_input("Ticket (optional)", key="waiver.ticket", placeholder="SEC-1234")
    wish = WaiverWish(
        finding=finding,
        purl=purl,
        reason=reason,
        days=int(days),
        environments=tuple(places),
        bundle=bundle,
        ticket=ticket,
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Back", key="waiver.back"):
            _closed()
            st.rerun()
        if st.button("Ask for it", key="waiver.do", type="primary"):
            access_parts.attempt(lambda: _ask(house, wish), "Asked; a second person has to grant.")


def _ask(house: Services, wish: WaiverWish) -> None:
    house.waiving.request(wish, session.asker())
    _closed()


def _named(house: Services, run: Run | None) -> tuple[str, str]:
    """The finding and the package: chosen among those of the run, or typed."""
    known = {} if run is None or run.verdict is None else _of_run(house, run.verdict.capsule)
    if known:
        chosen = st.selectbox("Finding", list(known), key="waiver.finding.of_run")
        return known[str(chosen)]
    finding = st.text_input("Finding", key="waiver.finding", placeholder="CVE-2024-3651")
    purl = st.text_input(
        "Package, as the gate names it", key="waiver.purl", placeholder="pkg:pypi/idna@3.6"
    )
    return finding, purl


def _of_run(house: Services, capsule: Digest) -> dict[str, tuple[str, str]]:
    try:
        found = snapshot(house.store.blobs, house.outside.desk, capsule)
    except ReleaselineError:
        return {}
    return waivers_models.failing(found.rows)


def deciding(house: Services, every: list[Shown]) -> None:
    """Grant, refuse or revoke one of those that are open, with a reason."""
    named = {
        waivers_models.label(one.waiver): one
        for one in (*waivers_models.waiting(every), *waivers_models.in_force(every))
    }
    if not named:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        label = st.selectbox(
            "Decide about",
            list(named),
            index=None,
            placeholder="Choose a waiver",
            key="waivers.chosen",
            width=460,
        )
        reason = st.text_input("Reason (required, goes on record)", key="waivers.why", width=320)
        chosen = named.get(str(label))
        pressed = [
            (verb, done)
            for verb, text, icon, done in _DEEDS
            if _button(house, chosen, verb, text, icon)
        ]
    for verb, done in pressed:
        assert chosen is not None  # or the button was off
        act = partial(house.waiving.act, verb, chosen.waiver.id, session.asker(), reason=reason)
        access_parts.attempt(act, f"{chosen.waiver.id} is {done}.")


def _button(house: Services, chosen: Shown | None, verb: str, text: str, icon: str) -> bool:
    why = "Choose a waiver first." if chosen is None else ""
    if chosen is not None:
        refused = house.waiving.why_not(chosen.waiver, session.asker(), verb)
        why = "" if refused is None else refused.sentence
        if not why and verb != REVOKE_WAIVER and chosen.state is not WaiverState.REQUESTED:
            why = f"{chosen.waiver.id} is {chosen.state.value}."
    return st.button(
        text,
        icon=f":material/{icon}:",
        key=f"waivers.{verb}",
        disabled=bool(why),
        help=why or None,
    )
