"""Integrations: the servers that promotions depend on, and whether they work."""

from __future__ import annotations

import streamlit as st

from engine.core.errors import ReleaselineError
from engine.integrations.read import look
from engine.services import Services
from pages.ui import evidence_parts, integrations_models, session, words

_LOOK_EVERY_S = 5.0


def _choose(names: list[str]) -> str:
    """The integration that the address names; changing it changes the address."""
    named = st.query_params.get("name", "")
    options = [integrations_models.ALL, *names]
    index = options.index(named) if named in options else 0
    key = f"integrations.{named}"
    chosen = str(st.selectbox("Integration", options, index=index, key=key, width=280))
    if chosen != options[index]:
        if chosen == integrations_models.ALL:
            st.query_params.pop("name", None)
        else:
            st.query_params["name"] = chosen
        st.rerun()
    return chosen


def _probe(house: Services, name: str) -> None:
    """Ask the engine for a look; the answer comes in the background."""
    try:
        house.prober.wake(name, session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")


house = session.services()
st.title("Integrations", anchor=False)
st.markdown(integrations_models.EXPLAINED)
found = look(house)
if not found:
    st.info(integrations_models.EMPTY, icon=":material/inbox:")
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    name = _choose([one.name for one in found])
    one_chosen = name != integrations_models.ALL
    why_not = house.prober.why_not(name, session.asker()) if one_chosen else None
    help_text = None if one_chosen else "Choose an integration first."
    pressed = st.button(
        "Probe now",
        key="integrations.probe",
        type="primary",
        icon=":material/network_ping:",
        disabled=not one_chosen or why_not is not None,
        help=help_text if why_not is None else why_not.sentence,
    )
if pressed:
    _probe(house, name)
if why_not is not None:
    st.markdown(f":gray[:small[{words.plain(why_not.sentence)}]]")


@st.fragment(run_every=_LOOK_EVERY_S, key="integrations.live")
def draw() -> None:
    """What the engine found lately; reads its memory and asks nobody."""
    now = session.services(used=False)
    now_us = now.clock.now_us()
    rows = look(now)
    told = integrations_models.summary(rows, house.prober.every_s)
    st.markdown(f":gray[{words.plain(told)}]")
    shown = [one for one in rows if name in {integrations_models.ALL, one.name}]
    evidence_parts.ledger(
        integrations_models.rows(shown, now_us),
        integrations_models.COLUMNS,
        key="integrations.list",
        caption="Integrations and their state",
    )
    if one_chosen:
        for one in shown:
            facts = integrations_models.facts(one, now_us)
            lines = [f"**{label}** {words.plain(text)}" for label, text in facts]
            with st.container(border=True, gap="xsmall"):
                st.markdown("  \n".join(lines))


draw()
