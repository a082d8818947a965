"""Freezes: when each environment is closed, by what and whose, and setting or ending that."""

from __future__ import annotations

import streamlit as st

from pages.ui import (
    charts,
    evidence_parts,
    freezes_chart,
    freezes_models,
    freezes_parts,
    session,
    words,
)
from pages.ui.freezes_models import Lane

_DAY_US = 86_400_000_000

house = session.services()
room, now_us, zone = house.freezing, house.clock.now_us(), freezes_parts.viewer_zone()
end_us = now_us + freezes_models.DAYS * _DAY_US
lanes = [
    Lane(environment=place.environment, closed=room.closures(place, now_us, end_us))
    for place in room.places()
]
st.title("Freezes", anchor=False)
st.markdown(freezes_models.EXPLAINED)
told = words.plain(freezes_models.summary(lanes, now_us, zone))
if any(one.start_us <= now_us for lane in lanes for one in lane.closed):
    st.warning(told, icon=":material/ac_unit:")
else:
    st.markdown(f":gray[{told}]")
freezes_parts.buttons(house)
freezes_parts.dialog(house, zone)
charts.show(
    freezes_chart.calendar(lanes, now_us, end_us, zone, dark=st.context.theme.type == "dark"),
    key="freezes.calendar",
    alt=freezes_models.picture_text(lanes, zone),
)
freezes = room.in_force()
if not freezes:
    st.info(freezes_models.EMPTY, icon=":material/event_available:")
    st.stop()
evidence_parts.ledger(
    [freezes_models.row(one, room.covered(one), room.window(one), now_us, zone) for one in freezes],
    freezes_models.COLUMNS,
    key="freezes.list",
    caption="Freezes that nobody has ended",
)
freezes_parts.ending(house)
with st.expander("The calendar as a table"):
    rows = freezes_models.closed_rows(lanes, zone, end_us)
    if rows:
        evidence_parts.ledger(
            rows, freezes_models.CLOSED, key="freezes.closed", caption="When what is closed"
        )
    else:
        st.markdown(freezes_models.OPEN)
