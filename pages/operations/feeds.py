"""Feeds: the snapshots that the gate decides on, their age against the limits, and their syncs."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.feeds_read import Feeds, history, look, who
from engine.feeds_sync import Wish
from engine.services import Services
from pages.ui import airgap_parts, evidence_parts, feeds_models, rescans_parts, session, words

_LOOK_EVERY_S = 1.0


def _look(house: Services) -> Feeds:
    now_s = house.clock.now_us() // 1_000_000
    return look(house.feeds, house.outside.desk, house.settings, now_s=now_s)


def _wish(name: str) -> Wish:
    return Wish(names=() if name == feeds_models.ALL else (name,))


def _sync(house: Services, name: str) -> None:
    try:
        person = who(house.settings, session.asker())
        house.feeds.sync(_wish(name), person)
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.rerun()


def _choose(names: list[str]) -> str:
    """The feed that the address names; changing it changes the address."""
    named = st.query_params.get("feed", "").upper()
    options = [feeds_models.ALL, *names]
    index = options.index(named) if named in options else 0
    chosen = str(st.selectbox("Feed", options, index=index, key=f"feeds.{named}", width=220))
    if chosen != options[index]:
        if chosen == feeds_models.ALL:
            st.query_params.pop("feed", None)
        else:
            st.query_params["feed"] = chosen
        st.rerun()
    return chosen


house = session.services()
st.title("Feeds & jobs", anchor=False)
rescans_first = st.query_params.get("job", "") == "rescans"  # the banner leads here
if rescans_first:
    rescans_parts.section(house)
    st.subheader("Feeds", anchor=False)
st.markdown(feeds_models.EXPLAINED)
found = _look(house)
if found.trouble:
    st.error(
        words.plain(found.trouble),
        icon=":material/report:",
        title="The snapshots cannot be read. The gate cannot decide before this is mended.",
    )
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    name = _choose([one.name for one in found.rows])
    why_not = house.feeds.why_not(_wish(name), who(house.settings, session.asker()))
    pressed = st.button(
        "Sync now",
        key="feeds.sync",
        type="primary",
        icon=":material/sync:",
        disabled=why_not is not None,
        help=None if why_not is None else why_not.sentence,
    )
if pressed:
    _sync(house, name)
if why_not is not None:
    st.markdown(f":gray[:small[{words.plain(why_not.sentence)}]]")
under_way = bool(house.feeds.running())


@st.fragment(run_every=_LOOK_EVERY_S if under_way else None, key="feeds.live")
def draw() -> None:
    """Looked at again by itself while a sync is under way."""
    session.services(used=False)  # who was signed out since sees no more of it
    now = _look(house)
    shown = now
    if name != feeds_models.ALL:
        shown = Feeds(rows=tuple(one for one in now.rows if one.name == name))
    st.markdown(f":gray[{words.plain(feeds_models.summary(now))}]")
    evidence_parts.ledger(
        feeds_models.rows(shown, house.clock.now_us()),
        feeds_models.COLUMNS,
        key="feeds.list",
        caption="Feeds and their age against the limits",
    )
    _details(shown)
    _history()
    if under_way and not house.feeds.running():
        st.rerun()  # every sync has ended: draw once more, without looking again


def _details(shown: Feeds) -> None:
    if name == feeds_models.ALL:
        return
    for one in shown.rows:
        lines = [f"**{label}** {words.plain(text)}" for label, text in feeds_models.facts(one)]
        with st.container(border=True, gap="xsmall"):
            st.markdown("  \n".join(lines))
            for problem in one.problems:
                st.markdown(f":orange[:material/warning:] {words.plain(problem)}")


def _history() -> None:
    st.subheader("History", anchor=False)
    tried = history(house.feeds, "" if name == feeds_models.ALL else name)
    if not tried:
        st.info(feeds_models.EMPTY, icon=":material/inbox:")
        return
    rows = feeds_models.tries(tried)
    evidence_parts.ledger(
        rows, feeds_models.HISTORY, key="feeds.history", caption="Syncs, newest first"
    )
    st.markdown(f":gray[:small[{feeds_models.count_text(len(rows), len(tried))}]]")


draw()
if not rescans_first:
    rescans_parts.section(house)
airgap_parts.section(house)
