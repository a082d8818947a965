"""Replay/Verify: any decision asked again, by any of the three questions; every request."""

from __future__ import annotations

import streamlit as st

from data import queries_replays
from engine.core.errors import ReleaselineError
from engine.core.replays import PROCESSES_MAX, Depth, ReplayAsk, ReplayMode
from engine.services import Services
from pages.ui import (
    replay_candidate,
    replay_filters,
    replay_find,
    replay_meaning,
    replay_models,
    replay_parts,
    replay_words,
    session,
    words,
)


def _ask(house: Services) -> None:
    """What, by which question, how deep, why; then the button."""
    key = f"replay.ask.{replay_parts.asked_before()}"
    left, right = st.columns(2, gap="large")
    with left:
        text = st.text_input(
            "Verdict, run, bundle digest or image reference",
            key="find",
            bind="query-params",
            placeholder="verdict-42, run-42, run-42/canary-10, sha256:…, Platform Release 1.3.0",
            icon=":material/search:",
        )
        found = replay_find.find(house, text or "")
        if not found:
            said = replay_meaning.no_match(text) if text else replay_models.NO_VERDICTS
            st.info(said, icon=":material/search_off:")
            return
        subject = found[
            st.selectbox(
                "Decision",
                range(len(found)),
                format_func=lambda i: found[i].label,
                key=f"replay.ask.what.{text}.{len(found)}",
            )
        ]
    with right:
        mode, depth = _question(key, gate=replay_models.is_gate_scope(subject.scope))
    with left:
        why = replay_parts.reason(key)
    with right:
        crosscheck, processes = _proof(key, mode)
        chosen = replay_candidate.choose(house, key=key) if mode is ReplayMode.WHAT_IF else None
    with left:
        if replay_parts.button(house, subject.scope, key=key):
            try:
                policy = chosen.digest(house) if chosen else None
            except ReleaselineError as error:
                st.error(words.plain(str(error)), icon=":material/rule:")
                return
            ask = ReplayAsk(
                scope=subject.scope,
                reason=why,
                mode=mode,
                depth=depth,
                policy=policy,
                crosscheck=crosscheck,
                processes=processes,
            )
            replay_parts.request(house, ask)


def _question(key: str, *, gate: bool) -> tuple[ReplayMode, Depth]:
    """The mode and the depth; the mode can come with the address (`ask=WHAT_IF`)."""
    modes = [ReplayMode.VERIFY.value] if gate else [mode.value for mode in ReplayMode]
    wanted = st.query_params.get("ask", "")
    mode = ReplayMode(
        st.segmented_control(
            "Question",
            modes,
            default=wanted if wanted in modes else modes[0],
            format_func=lambda name: replay_words.MODES[name].label,
            key=f"{key}.mode.{gate}",
        )
        or modes[0]
    )
    st.markdown(f":gray[:small[{replay_words.MODES[mode].help}]]")
    depths = replay_models.depths(mode, gate=gate)
    depth = Depth(
        st.segmented_control(
            "Depth",
            depths,
            default=depths[0],
            format_func=lambda name: replay_words.DEPTHS[name].label,
            key=f"{key}.depth.{mode}.{gate}",
        )
        or depths[0]
    )
    st.markdown(f":gray[:small[{replay_words.DEPTHS[depth].help}]]")
    return mode, depth


def _proof(key: str, mode: ReplayMode) -> tuple[bool, int]:
    """How much more is asked of a verification: the second engine, fresh processes."""
    if mode is not ReplayMode.VERIFY:
        return False, 0
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        crosscheck = st.checkbox(
            "Ask the second engine too",
            key=f"{key}.crosscheck",
            help="An independent implementation evaluates the same question. It is slow.",
        )
        processes = st.number_input(
            "Fresh processes",
            0,
            PROCESSES_MAX,
            0,
            key=f"{key}.processes",
            width=150,
            help="Each evaluates once, with its own order of maps; they have to agree.",
        )
    return crosscheck, int(processes)


def _filters(house: Services) -> replay_filters.Filters:
    any_, anywhere = replay_filters.ANY, replay_filters.ANYWHERE
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = {
            name: st.selectbox(label, [first, *options], key=name, bind="query-params", width=width)
            for name, label, first, options, width in (
                ("result", "Result", any_, replay_filters.RESULTS, 125),
                ("cause", "Cause", any_, replay_filters.CAUSES, 180),
                ("environment", "Environment", anywhere, sorted(house.settings.environments), 160),
                ("mode", "Question", any_, replay_filters.MODES, 115),
                ("progress", "Status", any_, replay_filters.STATUSES, 125),
                ("since", "Since", any_, tuple(replay_filters.SINCE_US), 90),
            )
        }
    found = replay_filters.filters(st.query_params.to_dict(), **chosen)
    if found.narrowed:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            said = " · ".join(f"{what} **{words.plain(text)}**" for what, text in found.narrowed)
            st.markdown(f":material/filter_alt: Only {said}", width="content")
            st.page_link(
                "evidence/replay.py", label="Show all", query_params=found.without_narrowing()
            )
    return found


house = session.services()
st.title("Replay/Verify", anchor=False)
st.markdown(f":gray[{replay_words.LEGACY}.] {replay_words.ASKED_AGAIN}")
replay_parts.recorded()
with st.container(border=True, gap="small"):
    _ask(house)

st.header("Every request", anchor=False)
asked = _filters(house)
before = replay_filters.before(st.query_params.to_dict())


def requests() -> list[dict[str, object]]:
    frame = queries_replays.replays(
        house.store.cursor(),
        limit=replay_filters.PAGE,
        before=before,
        **asked.query(house.clock.now_us()),
    )
    return frame.to_dicts()


under_way = replay_models.under_way(requests())


@st.fragment(run_every=replay_parts.LOOK_EVERY_S if under_way else None, key="replay.live")
def draw_requests() -> None:
    """Looked at again by itself while something is under way."""
    session.services(used=False)  # who was signed out since sees no more of it
    shown = requests()
    if not shown:
        nothing = replay_filters.NO_MATCH if asked.asked else replay_filters.EMPTY
        st.info(nothing, icon=":material/inbox:")
        return
    replay_parts.listed(shown, key="replay.list", caption="Replays, newest first")
    if len(shown) == replay_filters.PAGE:
        st.page_link(
            "evidence/replay.py",
            label="Older",
            icon=":material/arrow_forward:",
            query_params={**asked.asked, "before": str(shown[-1]["key"])},
        )
    if under_way and not replay_models.under_way(shown):
        st.rerun()  # everything has ended: draw once more, without looking again


draw_requests()
