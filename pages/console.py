"""The main script of the console: page settings, the menu, who is signed in, the banner.

It lies in `pages/`, not beside it: with a main script next to a `pages` folder a cold deep link
would run a page without this frame and its sign-in. A page is registered here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui import cards, session

_STATIC = Path(__file__).parent / "static"
_BANNER_EVERY_S = 30.0  # reads what the engine keeps in memory, and asks nobody

st.set_page_config(
    page_title="Releaseline",
    page_icon=str(_STATIC / "mark.svg"),
    layout="wide",
    initial_sidebar_state="auto",
)
_dark = st.context.theme.type == "dark"
st.logo(
    str(_STATIC / ("logo-dark.svg" if _dark else "logo-light.svg")),
    icon_image=str(_STATIC / "mark.svg"),
    size="medium",
)
_promotions = st.Page(
    "releases/promotions.py", title="Promotions", icon=":material/rocket_launch:", default=True
)
_approvals = st.Page(
    "releases/approvals.py", title="Approvals", icon=":material/how_to_reg:", url_path="approvals"
)
_environments = st.Page(
    "releases/environments.py",
    title="Environments",
    icon=":material/dns:",
    url_path="environments",
)
_reviews = st.Page(
    "releases/reviews.py", title="Reviews", icon=":material/rate_review:", url_path="reviews"
)
_insights = [
    st.Page(
        "insights/policies.py",
        title="Policies",
        icon=":material/gavel:",
        url_path="policies",
    ),
    st.Page("insights/waivers.py", title="Waivers", icon=":material/rule:", url_path="waivers"),
    st.Page(
        "insights/determinism.py",
        title="Determinism",
        icon=":material/repeat:",
        url_path="determinism",
    ),
    st.Page(
        "insights/backtest.py",
        title="Gate back-test",
        icon=":material/science:",
        url_path="backtest",
    ),
]
_evidence = [
    st.Page(
        "evidence/packets.py",
        title="Packets",
        icon=":material/inventory_2:",
        url_path="evidence-packets",
    ),
    st.Page(
        "evidence/proof_chains.py",
        title="Proof chains",
        icon=":material/link:",
        url_path="proof-chains",
    ),
    st.Page(
        "evidence/replay.py",
        title="Replay & verify",
        icon=":material/replay:",
        url_path="replay",
    ),
    st.Page(
        "evidence/findings.py",
        title="Findings",
        icon=":material/security:",
        url_path="findings",
    ),
    st.Page(
        "evidence/exports.py", title="Export centre", icon=":material/download:", url_path="exports"
    ),
    st.Page("evidence/audit.py", title="Audit trail", icon=":material/policy:", url_path="audit"),
    st.Page(
        "evidence/auditor.py",
        title="Auditor bundle",
        icon=":material/work:",
        url_path="auditor-bundle",
    ),
    st.Page(
        "evidence/drill.py", title="Break-it drill", icon=":material/bug_report:", url_path="drill"
    ),
]
_explained = [
    st.Page(
        "evidence/timeline.py",
        title="Evidence timeline",
        url_path="evidence",
        visibility="hidden",
    ),
    st.Page(
        "evidence/item.py", title="Evidence item", url_path="evidence-item", visibility="hidden"
    ),
    st.Page(
        "evidence/replay_run.py",
        title="Replay/Verify of a run",
        url_path="replay-run",
        visibility="hidden",
    ),
    st.Page(
        "evidence/replay_one.py",
        title="Replay request",
        url_path="replay-request",
        visibility="hidden",
    ),
]
_operations = [
    st.Page(
        "operations/orchestrator.py",
        title="Orchestrator",
        icon=":material/account_tree:",
        url_path="orchestrator",
    ),
    st.Page(
        "operations/freezes.py", title="Freezes", icon=":material/ac_unit:", url_path="freezes"
    ),
    st.Page(
        "operations/scheduler_runs.py",
        title="Scheduler runs",
        icon=":material/schedule:",
        url_path="scheduler-runs",
    ),
    st.Page(
        "operations/feeds.py", title="Feeds & jobs", icon=":material/rss_feed:", url_path="feeds"
    ),
    st.Page(
        "operations/integrations.py",
        title="Integrations",
        icon=":material/hub:",
        url_path="integrations",
    ),
    st.Page(
        "operations/platform_health.py",
        title="Platform health",
        icon=":material/monitor_heart:",
        url_path="platform-health",
    ),
    st.Page(
        "operations/dead_letter.py",
        title="Dead Letter",
        icon=":material/outgoing_mail:",
        url_path="dead-letter",
    ),
    st.Page(
        "operations/people.py",
        title="People & tokens",
        icon=":material/badge:",
        url_path="people",
    ),
]
_page = st.navigation(
    {
        "Releases": [
            _promotions,
            _environments,
            _approvals,
            _reviews,
            st.Page(
                "releases/approval.py", title="Approval", url_path="approval", visibility="hidden"
            ),
            st.Page("releases/run.py", title="Run", url_path="run", visibility="hidden"),
            st.Page("releases/step.py", title="Step", url_path="step", visibility="hidden"),
            st.Page(
                "releases/stage.py", title="Deploy stage", url_path="stage", visibility="hidden"
            ),
            st.Page(
                "releases/blocked.py",
                title="What would have blocked this",
                url_path="what-would-have-blocked",
                visibility="hidden",
            ),
            st.Page(
                "releases/duties.py",
                title="Separation of duties",
                url_path="duties",
                visibility="hidden",
            ),
            st.Page(
                "releases/schedule.py",
                title="Schedule promotion",
                url_path="schedule",
                visibility="hidden",
            ),
            st.Page(
                "releases/rollback.py",
                title="Rollback / Re-run",
                url_path="rollback",
                visibility="hidden",
            ),
        ],
        "Evidence": [*_evidence, *_explained],
        "Insights": [
            *_insights,
            st.Page(
                "insights/policy_pull_request.py",
                title="Policy pull request",
                url_path="policy-pull-request",
                visibility="hidden",
            ),
        ],
        "Operations": _operations,
    },
    position="hidden",  # the menu is drawn by hand, with the open runs in it
)


@st.fragment(run_every=_BANNER_EVERY_S)
def _banner() -> None:
    cards.banner(session.services(used=False))


_releases = (_promotions, _environments, _approvals, _reviews)
with session.drawing():
    cards.menu(session.services(), _releases, _evidence, _insights, _operations)
    _banner()
    _page.run()
