"""Health-gate back-test: move a limit, and see what it would have done to every past stage."""

from __future__ import annotations

import streamlit as st

from data import queries
from engine.backtest import RUNS_MAX, backtest_runs
from engine.core.backtest import Outcome, sentence
from engine.core.errors import ReleaselineError
from pages.ui import backtest_chart, backtest_models, charts, session, words

house = session.services()
st.title("Health-gate back-test", anchor=False)
st.markdown(
    "Move a limit and see what the gate would have done to past stages. Their **stored ticks** are "
    "judged again; nothing is simulated, and where a recording ends before the changed gate would "
    "have decided, the table says so."
)


@st.cache_data(ttl=300, max_entries=32, show_spinner="Judging the stored ticks again")
def _judged(
    home: str, run_ids: tuple[str, ...], changes: tuple[tuple[str, str], ...], _newest: int
) -> tuple[Outcome, ...]:
    return backtest_runs(house.store, run_ids, dict(changes))


with st.container(border=True, gap="small"):
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        environment = st.selectbox(
            "Environment",
            [backtest_models.ANY, *sorted(house.settings.environments)],
            key="environment",
            bind="query-params",
            width=220,
        )
        limit = st.number_input(
            "Newest runs", 1, RUNS_MAX, 20, key="runs", bind="query-params", width=140
        )
    columns = st.columns(3, gap="medium")
    chosen = {
        knob.name: columns[i % 3].select_slider(
            knob.label,
            knob.stops,
            value=backtest_models.RECORDED,
            key=f"backtest.{knob.name}",
            help=knob.help,
        )
        for i, knob in enumerate(backtest_models.KNOBS)
    }

changes = backtest_models.changes_of(chosen)
run_ids = queries.watched_runs(
    house.store.cursor(),
    environment="" if environment == backtest_models.ANY else str(environment),
    limit=int(limit),
)["run_id"].to_list()
if not changes:
    st.info("Nothing is moved yet: every gate speaks as it did.", icon=":material/tune:")
    st.stop()
try:
    outcomes = _judged(
        str(house.home), tuple(run_ids), tuple(changes.items()), house.store.last_run_number()
    )
except ReleaselineError as error:
    st.warning(words.plain(str(error)), icon=":material/block:")
    st.stop()

for column, figure in zip(
    st.columns(4, gap="small"), backtest_models.figures(outcomes), strict=True
):
    with column.container(border=True, gap="xxsmall", height="stretch"):
        st.metric(figure.label, figure.value)
        st.markdown(f":gray[:small[{figure.note}]]")
st.markdown(sentence(outcomes))
with st.container(border=True, gap="xsmall"):
    st.markdown("**When each gate spoke** :gray[· ring = recorded, dot = with these limits]")
    charts.show(
        backtest_chart.when_decided(outcomes, dark=st.context.theme.type == "dark"),
        key="backtest.when",
        alt=backtest_models.picture_text(outcomes),
    )
st.dataframe(backtest_models.table(outcomes), hide_index=True, key="backtest.table")
