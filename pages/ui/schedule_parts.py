"""What the page Schedule draws: the form of a new one, and one as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from data import queries
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.errors import ReleaselineError
from engine.core.local_time import WEEKDAYS
from engine.core.preconditions import KINDS, Mode, Precondition
from engine.core.run import Run
from engine.core.schedule_events import Timing
from engine.core.schedules import Schedule
from engine.core.statemachine import RunStatus
from engine.live_text import moment
from engine.scheduling import Wish, said
from engine.services import Services
from engine.time_zones import names, offset_at
from pages.ui import evidence_parts, session, words
from pages.ui import schedule_models as models

_TICKS = 50
_PREVIEW = 5
_DAY_US = 86_400_000_000


def link(run: Run) -> None:
    """From a run to the schedule that made it, or to one for its bundle."""
    ours = run.request.schedule
    st.page_link(
        "releases/schedule.py",
        label=f"Open {ours}" if ours else "Schedule this bundle",
        icon=":material/event:",
        query_params={"schedule": ours} if ours else {"run": run.run_id},
    )


def form(house: Services, run: Run | None) -> None:
    """Choose what, where and when; see what would come of it; make it."""
    st.title("Schedule promotion", anchor=False)
    st.markdown(models.EXPLAINED)
    rows = queries.bundles_list(house.store.cursor()).to_dicts()
    if not rows:
        st.info("There is no bundle yet to be scheduled.", icon=":material/inbox:")
        return
    labels = {f"{row['name']} {row['version']} · {row['digest'][7:19]}": row for row in rows}
    digests = [row["digest"] for row in labels.values()]
    places = sorted(house.settings.environments)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        ours = str(run.bundle) if run is not None else ""
        index = digests.index(ours) if ours in digests else 0
        label = st.selectbox("Bundle", list(labels), index=index, key="schedule.bundle", width=380)
        index = places.index(run.environment) if run is not None else 0
        place = st.selectbox("To", places, index=index, key="schedule.to", width=200)
    timing = _timing(house)
    st.markdown("**Preconditions**")
    required = _preconditions(house, place, timing)
    st.markdown(f":gray[:small[{models.ALWAYS}]]")
    try:
        found = house.scheduling.preview(timing, count=_PREVIEW)
    except ReleaselineError as error:
        st.warning(words.plain(str(error)), icon=":material/event_busy:")
        found = ()
    if found:
        st.markdown(f"**{words.plain(said(timing))}** :gray[· next firings]")
        now_us = house.clock.now_us()
        st.markdown(f":gray[{words.plain(models.countdown(found, now_us))}]")
        evidence_parts.ledger(
            models.preview(found, timing.zone, offset_at(timing.zone)),
            models.PREVIEW,
            key="schedule.preview",
            caption="When it would fire next",
        )
    reason = st.text_input("Reason (optional)", key="schedule.reason")
    why_not = house.scheduling.why_not_promote(session.asker(), place)
    if st.button(
        "Create schedule",
        key="schedule.create",
        type="primary",
        icon=":material/event_available:",
        disabled=not found or why_not is not None,
        help=None if why_not is None else why_not.sentence,
    ):
        _create(
            house,
            Wish(
                bundle=Digest.parse(labels[label]["digest"]),
                environment=place,
                timing=timing,
                preconditions=required,
                reason=reason,
            ),
        )


def once(key: str, *, day: str, time: str, minutes: int = 15) -> Timing:
    """Day, time, zone and window, as people mean them.

    Args:
        day, time: what the form begins with; `minutes`: between the times that it lists.
    """
    zones = list(names())
    here = st.context.timezone or "UTC"
    date = st.date_input("Day", value=day, key=f"{key}.day", width=150)
    at = st.time_input("Time", value=time, key=f"{key}.time", step=minutes * 60, width=120)
    index = zones.index(here) if here in zones else zones.index("UTC")
    zone = st.selectbox("Time zone", zones, index=index, key=f"{key}.zone", width=240)
    window = st.selectbox("Window", list(models.WINDOWS), index=3, key=f"{key}.window", width=120)
    return Timing(
        zone=zone, first=f"{date:%Y-%m-%d}", time=f"{at:%H:%M}", window_s=models.WINDOWS[window]
    )


def _timing(house: Services) -> Timing:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        tomorrow = moment(house.clock.now_us() + _DAY_US)
        timing = once("schedule", day=f"{tomorrow:%Y-%m-%d}", time="02:00")
        repeat = st.selectbox("Repeat", list(models.REPEATS), key="schedule.repeat", width=170)
        days: list[str] = []
        text = ""
        if repeat == models.WEEKLY:
            days = st.multiselect("On", list(WEEKDAYS), key="schedule.days", width=260)
        elif repeat == models.OTHER:
            text = st.text_input("RRULE", "FREQ=MONTHLY;BYDAY=-1FR", key="schedule.rule", width=280)
    return replace(timing, rule=models.rule_of(repeat, days, text))


def _preconditions(house: Services, place: str, timing: Timing) -> tuple[Precondition, ...]:
    """One line each: how strictly, which limit, and what past days say of it."""
    modes: dict[str, str] = {}
    limits: dict[str, int] = {}
    told: dict[str, Any] = {}
    for name, kind in KINDS.items():
        mode, limit_s = models.DEFAULTS.get(name, (Mode.OFF, 0))
        what, how, which = st.columns([3, 2, 1.2], vertical_alignment="center", gap="small")
        told[name] = what.empty()
        modes[name] = how.segmented_control(
            kind.title,
            [one.value for one in Mode],
            default=mode.value,
            key=f"schedule.{name}",
            label_visibility="collapsed",
            required=True,
        )
        if kind.limited:
            options = list(models.LIMITS)
            index = list(models.LIMITS.values()).index(limit_s)
            chosen = which.selectbox(
                f"{kind.title}: limit",
                options,
                index=index,
                key=f"schedule.{name}.limit",
                label_visibility="collapsed",
            )
            limits[name] = models.LIMITS[chosen]
    required = models.wanted(modes, limits)
    known = house.scheduling.history.forecasts(required, place, timing, now_us=house.clock.now_us())
    for one in required:
        head = f"**{KINDS[one.name].title}** :gray[:small[{models.ASKS[one.name]}]]"
        past = "" if one.mode is Mode.OFF else _past(known, one.name, timing)
        told[one.name].markdown(f"{head}{past}")
    return required


def _past(known: Mapping[str, Any], name: str, timing: Timing) -> str:
    told = models.forecast(known.get(name), timing.time)
    return f"  \n:small[:material/history: {words.plain(told)}]"


def _create(house: Services, wish: Wish) -> None:
    try:
        made = house.scheduling.create(wish, session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.query_params.clear()
    st.query_params["schedule"] = made.id
    st.rerun()


def one(house: Services, schedule_id: str) -> None:
    """A schedule as it stands: next window, preconditions now, and what became of its firings."""
    try:
        found = house.scheduling.schedule(schedule_id)
    except ReleaselineError as error:
        st.title("Schedule", anchor=False)
        st.error(words.plain(str(error)), icon=":material/search_off:")
        return
    st.title(found.id, anchor=False)
    now_us = house.clock.now_us()
    zone = found.made.timing.zone
    next_ones = house.scheduling.coming(found, count=_PREVIEW)
    with st.container(border=True, gap="xsmall"):
        look = words.SCHEDULE[found.status]
        when = models.countdown(next_ones, now_us)
        st.markdown(f"{look.badge} **{words.plain(when)}**")
        lines = [f"**{label}** {words.plain(text)}" for label, text in models.facts(
            found, said(found.made.timing)
        )]  # fmt: skip
        st.markdown("  \n".join(lines))
        with st.container(horizontal=True, gap="small"):
            if found.run:
                st.page_link(
                    "releases/run.py",
                    label=f"Open {found.run}",
                    icon=":material/timeline:",
                    query_params={"run": found.run},
                )
            st.page_link(
                "operations/scheduler_runs.py",
                label="Open scheduler runs",
                icon=":material/schedule:",
                query_params={"schedule": found.id},
            )
    if found.waits:
        _now(house, found, house.store.run(found.run))
    if next_ones:
        st.markdown("**Next firings**")
        evidence_parts.ledger(
            models.preview(next_ones, zone, offset_at(zone)),
            models.PREVIEW,
            key="schedule.next",
            caption="When it fires next",
        )
    ticks = queries.scheduler_ticks(house.store.cursor(), schedule=found.id, limit=_TICKS)
    st.markdown("**What became of its firings**")
    if ticks.is_empty():
        st.markdown(f":gray[{models.NO_TICKS}]")
    else:
        evidence_parts.ledger(
            models.tick_rows(ticks.to_dicts()),
            models.TICKS,
            key="schedule.ticks",
            caption="What became of its firings",
        )
    _cancelling(house, found)


def _now(house: Services, found: Schedule, run: Run) -> None:
    """The preconditions as they are at this moment, and another window for this firing."""
    if run.status is not RunStatus.SCHEDULED:
        return
    checked, timing = house.runner.starter.rows(run), found.made.timing
    known = house.scheduling.history.forecasts(
        run.request.preconditions, run.environment, timing, now_us=house.clock.now_us()
    )
    st.markdown(f"**Preconditions of {run.run_id} now** :gray[· looked at for this page]")
    st.markdown(words.plain(models.verdict(checked)))
    evidence_parts.ledger(
        models.now_rows(checked, known, timing.time),
        models.NOW,
        key="schedule.now",
        caption="Preconditions as they are now",
    )
    with st.expander(f"Reschedule {run.run_id}", icon=":material/update:"):
        wanted = _timing(house)
        states = house.service.allowed(run.run_id, session.asker())
        state = next(one for one in states if one.action is Action.RESCHEDULE)
        why_not = state.why_not or None
        if st.button("Reschedule", key="schedule.reschedule", disabled=not state.ok, help=why_not):
            _reschedule(house, run, wanted)


def _reschedule(house: Services, run: Run, timing: Timing) -> None:
    try:
        window = house.scheduling.window(timing)
        reason = "asked for on the page"
        asked = Command(action=Action.RESCHEDULE, reason=reason, window=window)
        house.service.ask(run.run_id, asked, session.asker())
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.rerun()


def _cancelling(house: Services, found: Schedule) -> None:
    asker = session.asker()
    why_not = house.scheduling.why_not_cancel(found, asker)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        reason = st.text_input("Reason (required, goes on record)", key="schedule.why", width=380)
        pressed = st.button(
            "Cancel schedule",
            key="schedule.cancel",
            icon=":material/event_busy:",
            disabled=why_not is not None,
            help=None if why_not is None else why_not.sentence,
        )
    if pressed:
        try:
            house.scheduling.cancel(found.id, asker, reason=reason)
        except ReleaselineError as error:
            st.error(words.plain(str(error)), icon=":material/block:")
            return
        st.rerun()
