"""What would have blocked this: the smallest single changes, and the good runs they would cost."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.core.errors import ReleaselineError
from pages.ui import blocked_models, cards, evidence_parts, session, words

house = session.services()
run = session.run_or_stop(house)


@st.cache_data(ttl=600, max_entries=32, show_spinner="Asking the frozen verdict under other limits")
def _answer(_home: str, run_id: str, _newest: int) -> dict[str, Any]:
    return house.blocking.document(run_id)


cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here="What would have blocked this",
)
st.title("What would have blocked this", anchor=False)
st.markdown(
    f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}  \n"
    + blocked_models.EXPLAINED
)
unknown = house.blocking.why_not(run)
if unknown:
    st.info(words.plain(unknown), icon=":material/hourglass_top:")
    st.stop()
try:
    answer = _answer(str(house.home), run.run_id, house.store.last_run_number())
except ReleaselineError as error:
    st.error(words.plain(str(error)), icon=":material/report:")
    st.stop()
level, sentence = blocked_models.headline(answer)
draw, icon = {
    "OK": (st.success, "verified"),
    "INFO": (st.info, "info"),
    "WARN": (st.warning, "front_hand"),
}[level]
draw(words.plain(sentence), icon=f":material/{icon}:")
if answer["blockers"]:
    evidence_parts.ledger(
        blocked_models.rows(answer),
        blocked_models.COLUMNS,
        key="blocked.list",
        caption="Changes that would have blocked this run, the smallest first",
    )
    st.markdown(f":gray[:small[{blocked_models.SIZES}]]")
for note in blocked_models.notes(answer):
    st.markdown(f":gray[:material/info: {note}]")
with st.container(horizontal=True, gap="small"):
    st.page_link(
        "releases/step.py",
        label="Gate step",
        icon=":material/receipt_long:",
        query_params={"run": run.run_id, "step": "gate-eval"},
    )
    st.page_link(
        "insights/policy_pull_request.py",
        label="Try it as a candidate policy",
        icon=":material/merge:",
    )
