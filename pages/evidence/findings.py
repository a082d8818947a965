"""Findings: the security snapshot that a promotion's verdict rested on."""

from __future__ import annotations

import streamlit as st

from data import queries_replays
from engine.core.errors import ReleaselineError
from engine.findings import snapshot
from pages.ui import cards, evidence_parts, findings_models, session, words

house = session.services()
if not st.query_params.get("run"):
    newest = queries_replays.verdicts(house.store.cursor(), limit=1)
    if newest.is_empty():
        st.title("Findings", anchor=False)
        st.info(findings_models.NO_RUNS, icon=":material/inbox:")
        st.stop()
    st.query_params["run"] = newest["run_id"][0]
run = session.run_or_stop(house)
cards.crumbs(
    ("releases/promotions.py", "Promotions", {}),
    ("releases/run.py", run.run_id, {"run": run.run_id}),
    here="Findings",
)
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.title(f"Findings of {run.run_id}", anchor=False, width="content")
    st.markdown(words.RUN[run.status].badge, width="content")
st.markdown(f"**{words.plain(run.label)}** → {run.request.region} / {run.environment}")
if run.verdict is None:
    st.info(findings_models.NO_VERDICT, icon=":material/hourglass_empty:")
    st.stop()
try:
    found = snapshot(house.store.blobs, house.outside.desk, run.verdict.capsule)
except ReleaselineError as error:
    st.error(words.plain(str(error)), icon=":material/report:", title="The snapshot can't be read")
    st.stop()

st.markdown(f"### {words.plain(findings_models.headline(found))}")
with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    st.markdown(findings_models.decision(found).badge, width="content")
    line = words.with_verdicts(words.plain(findings_models.verdict_line(found)))
    st.markdown(line, width="content")
    st.page_link(
        "releases/step.py",
        label="Gate step",
        icon=":material/receipt_long:",
        query_params={"run": run.run_id, "step": run.verdict.step},
    )
    st.page_link(
        "insights/waivers.py",
        label="Waivers",
        icon=":material/rule:",
        query_params={"run": run.run_id},
    )
st.markdown(f":gray[:small[{findings_models.EXPLAINED}]]")
not_looked_at = findings_models.gaps(found)
if not_looked_at:
    lines = "\n".join(f"- {words.plain(gap)}" for gap in not_looked_at)
    st.warning(
        lines,
        icon=":material/visibility_off:",
        title="Not everything was looked at, and what was not is not known to be clean",
    )
for column, figure in zip(st.columns(6, gap="small"), findings_models.figures(found), strict=True):
    with column.container(border=True, gap="xxsmall", height="stretch"):
        st.metric(figure.label, figure.value)
        st.markdown(f":gray[:small[{words.plain(figure.note)}]]")
with st.expander(f"Every source and how completely it was read ({len(found.scans)})"):
    st.markdown(words.plain(findings_models.feeds_line(found)))
    st.table(
        {
            "Source": [words.plain(one[0]) for one in findings_models.sources(found)],
            "State": [one[1] for one in findings_models.sources(found)],
            "What it gave": [words.plain(one[2]) for one in findings_models.sources(found)],
        },
        border="horizontal",
    )
if not found.rows:
    st.stop()

known = findings_models.choices(found)
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    severity, exploited, reach, vex, against = (
        st.selectbox(
            label, [findings_models.ANY, *options], key=name, bind="query-params", width=150
        )
        for label, name, options in (
            ("Severity", "severity", known.severities),
            ("Exploited", "exploited", findings_models.EXPLOITED),
            ("Reachability", "reach", known.reaches),
            ("VEX", "vex", known.vex),
            ("Baseline", "against", findings_models.AGAINST),
        )
    )
    text = st.text_input(
        "Search",
        key="q",
        bind="query-params",
        placeholder="Flaw, package, component or rule",
        icon=":material/search:",
        width=270,
    )
fitting = findings_models.matching(
    found.rows,
    severity=severity,
    exploited=exploited,
    reach=reach,
    vex=vex,
    against=against,
    text=text or "",
)
if not fitting:
    st.info(findings_models.NO_MATCH, icon=":material/filter_alt_off:")
    st.stop()
pages = -(-len(fitting) // findings_models.PAGE)
page = st.pagination(pages, key="findings.page") if pages > 1 else 1
first = (page - 1) * findings_models.PAGE
shown = fitting[first : first + findings_models.PAGE]
evidence_parts.ledger(
    findings_models.rows(shown),
    findings_models.COLUMNS,
    key="findings.list",
    caption="Findings, the worst first",
)
counted = findings_models.count_text(len(shown), len(fitting), len(found.rows))
st.markdown(f":gray[:small[{counted}]]")
