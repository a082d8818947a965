"""What the policy pages draw alike: a candidate against recorded verdicts. Drawing only."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.core.digest import Digest
from engine.core.errors import NotFound, Refused, ReleaselineError
from engine.core.replays import ALL, ReplayAsk, ReplayMode
from engine.policy.flips import PullRequest, markdown, sentence
from engine.services import Services
from pages.ui import evidence_parts, flips_models, session, words

_LOOK_EVERY_S = 1.0


def why_not(house: Services) -> str:
    """Why this person may not ask every recorded verdict again; empty when they may."""
    refused = house.replaying.why_not(ALL, session.asker())
    return "" if refused is None else refused.sentence


def ask(house: Services, candidate: Callable[[], Digest], reason: str) -> None:
    """Ask every recorded verdict about the candidate; the address then names the request."""
    try:
        made = house.replaying.request(
            ReplayAsk(scope=ALL, mode=ReplayMode.WHAT_IF, policy=candidate(), reason=reason),
            session.asker(),
        )
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.query_params["asked"] = str(made.n)
    st.rerun()


def asked(key: str, house: Services) -> None:
    """What came of the request that the address names, followed while it is under way."""
    number = st.query_params.get("asked", "")
    if not number:
        return
    try:
        progress = house.replaying.progress(int(number) if number.isdecimal() else 0)
    except NotFound as error:
        st.warning(words.plain(str(error)), icon=":material/search_off:")
        return
    if not progress.ended:
        _follow(house, progress.n)
        return
    try:
        found = house.replaying.pull_request(progress.n)
    except (NotFound, Refused) as error:
        st.warning(words.plain(str(error)), icon=":material/block:")
        return
    _result(found, key)


def _follow(house: Services, n: int) -> None:
    @st.fragment(run_every=_LOOK_EVERY_S)
    def look() -> None:
        session.services(used=False)  # who was signed out since sees no more of it
        progress = house.replaying.progress(n)
        share = progress.done / progress.total if progress.total else 0.0
        st.progress(min(share, 1.0), text=flips_models.progress_text(progress))
        if progress.ended:
            st.rerun()

    look()


def _result(found: PullRequest, key: str) -> None:
    draw, icon = {
        "same": (st.success, "task_alt"),
        "flips": (st.warning, "swap_horiz"),
        "unproven": (st.error, "crisis_alert"),
    }[found.answer]
    draw(words.plain(sentence(found)), icon=f":material/{icon}:")
    for column, figure in zip(st.columns(4, gap="small"), flips_models.figures(found), strict=True):
        with column.container(border=True, gap="xxsmall", height="stretch"):
            st.metric(figure.label, figure.value)
            st.markdown(f":gray[:small[{figure.note}]]")
    st.download_button(
        "Download the report (Markdown)",
        markdown(found),
        file_name=flips_models.file_name(found),
        mime="text/markdown",
        icon=":material/download:",
        key=f"{key}.report",
    )
    if found.unproven:
        st.markdown("**Not proven** :gray[· the candidate is not asked about these]")
        evidence_parts.ledger(
            flips_models.unproven_rows(found.unproven),
            flips_models.UNPROVEN_COLUMNS,
            key=f"{key}.unproven",
            caption="Verdicts that did not come out again",
        )
    for head, flips in flips_models.groups(found):
        st.markdown(f"**{head}** :gray[· {len(flips)}]")
        evidence_parts.ledger(
            flips_models.rows(flips),
            flips_models.COLUMNS,
            key=f"{key}.{head}",
            caption=f"{head}, live ones first",
        )
        more = flips_models.more_text(len(flips))
        if more:
            st.markdown(f":gray[:small[{more}]]")
