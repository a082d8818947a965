"""Reviews: what one person did alone, or two against a gate, and nobody else has looked at yet."""

from __future__ import annotations

import streamlit as st

from data import queries
from pages.ui import people_models, session

house = session.services()
st.title("Reviews", anchor=False)
st.markdown(
    "A rollback needs one person; an override, or breaking the glass, two. Somebody else looks at "
    "each afterwards: within 24 hours of a rollback, within 72 of the others."
)
which = st.segmented_control(
    "Show", ["Open", "All"], default="Open", key="which", label_visibility="collapsed"
)
frame = queries.reviews(house.store.cursor(), open_only=which != "All")
rows = people_models.review_rows(frame.iter_rows(named=True), house.clock.now_us())
if not rows:
    st.info("Nothing waits for a review.", icon=":material/task_alt:")
    st.stop()
chosen = st.dataframe(
    rows, hide_index=True, key="reviews.table", on_select="rerun", selection_mode="single-row"
)
st.markdown(":gray[:small[Choose a row to open its run; the review is closed there.]]")
if chosen.selection.rows:
    st.switch_page("releases/run.py", query_params={"run": rows[chosen.selection.rows[0]]["Run"]})
