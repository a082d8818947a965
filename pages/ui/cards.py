"""The cards beside the timeline: data health, approval, evidence, story. Drawing only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import streamlit as st

from data import queries
from engine.core.data_health import DataHealth, Level
from engine.core.digest import Digest
from engine.core.run import Run
from engine.core.spec import StepKind
from engine.core.state import StepState
from engine.services import Services
from engine.story import tell
from pages.ui import (
    approvals_models,
    approvals_parts,
    evidence_card,
    health,
    models,
    parts,
    people_models,
    session,
    stage_models,
    words,
)
from pages.ui.evidence_card import EvidenceItem
from pages.ui.step_models import Fact

_COUNT_FOR_US: Final = 10_000_000


def crumbs(*places: tuple[str, str, dict[str, str]], here: str) -> None:
    """The way back: (page, label, parameters) and where we are."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xxsmall"):
        for page, label, parameters in places:
            st.page_link(page, label=label, query_params=parameters)
            st.markdown(":gray[/]", width="content")
        st.markdown(f":gray[{here}]", width="content")


def data_health_of(house: Services, environment: str) -> DataHealth:
    """Of what decisions about this environment rest on."""
    return house.health.now(environment)


def data_health(found: DataHealth) -> None:
    """Every source that the run decides on, the odd ones first."""
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Data health** {health.look(found.level).badge}")
        for source in found.odd or found.sources:
            mark = health.look(source.level)
            sign = f":{mark.colour}[:material/{mark.material}:]"
            st.markdown(f"{sign} {words.plain(source.text)}")
        if found.odd and len(found.odd) < len(found.sources):
            fine = ", ".join(s.text for s in found.sources if s.level is Level.OK)
            st.markdown(f":gray[:small[In order: {words.plain(fine)}]]")
        with st.container(horizontal=True, gap="small"):
            st.page_link("operations/feeds.py", label="Feeds", icon=":material/rss_feed:")
            st.page_link("operations/integrations.py", label="Integrations", icon=":material/hub:")


def evidence(house: Services, run: Run) -> None:
    found = evidence_card.card(run)
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Evidence** {found.badges}")
        st.markdown(f":gray[:small[{words.plain(found.text)}]]")
        st.page_link(
            "evidence/timeline.py",
            label="Item by item",
            icon=":material/verified_user:",
            query_params={"run": run.run_id},
        )
        export(house, run)


def export(house: Services, run: Run) -> None:
    """The pack comes straight from the API, streamed; nothing of it is kept in a session."""
    states = house.service.exports(run.run_id, session.asker())
    button = evidence_card.export_button(run, states)
    st.link_button(
        button.label,
        button.offer.href,
        icon=":material/download:",
        disabled=bool(button.offer.why_not),
        help=button.offer.why_not or None,
    )


def approval(run: Run) -> None:
    card = models.approval_card(run)
    if card is None:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**Approval** :violet-badge[:material/how_to_reg: {card.given}]")
        if card.shortage:
            st.markdown(f":red[:material/person_off:] {words.plain(card.shortage)}")
        for person, decision, note in card.decisions:
            st.markdown(
                f"**{words.plain(person)}** {decision}  \n:gray[:small[{words.plain(note)}]]"
            )
        text = f"Requested by {card.requester}. Bound to {card.binding_short}."
        st.markdown(f":gray[:small[{words.plain(text)}]]")
        st.page_link(
            "releases/approval.py",
            label=card.link,
            icon=":material/how_to_reg:",
            query_params={"run": run.run_id},
        )


def duties_link(run: Run) -> None:
    st.page_link(
        "releases/duties.py",
        label="Separation of duties",
        icon=":material/hub:",
        query_params={"run": run.run_id},
    )


def story(house: Services, run: Run, *, last: int = 6) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Story** :gray[· newest first, each sentence cites its event]")
        rows = models.story_rows(tell(house.store.load(run.run_id)), last=last)
        for at, text, event in rows:
            st.markdown(
                f":gray[:small[{at} · {event}]]  \n{words.with_verdicts(words.plain(text))}"
            )


def after_care(house: Services, run: Run) -> None:
    """Reviews that wait for somebody, and the hold on the bundle; nothing when there is neither."""
    held = house.service.hold_on(run)
    lines = people_models.after_care(run, held, house.clock.now_us())
    if not lines:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**To be looked at**")
        for colour, text in lines:
            st.markdown(f":{colour}[:material/rate_review:] {words.plain(text)}")
        st.page_link(
            "releases/rollback.py",
            label="Rollback / Re-run",
            icon=":material/undo:",
            query_params={"run": run.run_id},
        )


def banner(house: Services) -> None:
    """What is not in order, on every page; nothing when everything is."""
    found = health.banner(house.health.now(), now_us=house.clock.now_us())
    if found is None:
        return
    icon = f":material/{health.look(found.level).material}:"
    told = st.error if found.level is Level.FAIL else st.warning
    told(found.markdown, icon=icon, title=found.title)


def damaged(house: Services, run: Run) -> None:
    """What is stored of the run and not what it was; nothing when all of it is whole."""
    found = house.integrity.log().of_run(run.run_id)
    if found:
        files = "1 stored file is" if len(found) == 1 else f"{len(found)} stored files are"
        told = health.damaged(found, now_us=house.clock.now_us())
        st.error(told, icon=":material/broken_image:", title=f"{files} damaged")


def stage_link(run: Run) -> None:
    step = stage_models.default_step(run)
    if step and run.step(step).attempts:
        st.page_link(
            "releases/stage.py",
            label="Charts and targets of the stage",
            icon=":material/monitor_heart:",
            query_params={"run": run.run_id, "step": step},
        )


def detail_link(run: Run, step: StepState) -> None:
    st.page_link(
        "releases/step.py",
        label="Step detail",
        icon=":material/receipt_long:",
        query_params={"run": run.run_id, "step": step.id},
    )


def step_links(house: Services, run: Run, step: StepState) -> None:
    """From a step's page to what explains it further."""
    if step.spec.gate:
        st.page_link(
            "releases/stage.py",
            label="Deploy stage",
            icon=":material/monitor_heart:",
            query_params={"run": run.run_id, "step": step.id},
        )
    replay_link(run, step)
    export(house, run)


def attempt_of(step: StepState) -> int:
    """The attempt that the page shows: the newest, or the one chosen; 0 before the first."""
    numbers = [attempt.number for attempt in step.attempts]
    if len(numbers) < 2:
        return numbers[0] if numbers else 0
    chosen = st.segmented_control(
        "Attempt",
        numbers,
        default=numbers[-1],
        format_func=lambda number: f"Attempt {number}",
        key=f"step.attempt.{step.id}.{numbers[-1]}",
        label_visibility="collapsed",
    )
    return int(chosen or numbers[-1])


def facts(house: Services, inputs: Sequence[Fact], outputs: Sequence[Fact]) -> None:
    left, right = st.columns(2, gap="medium")
    for column, name, found in ((left, "Inputs", inputs), (right, "Outputs", outputs)):
        with column.container(border=True, gap="xsmall", height="stretch"):
            st.markdown(f"**{name}**")
            fact_list(f"step.{name}", [_fact(house, fact) for fact in found])


def fact_list(key: str, rows: Sequence[Mapping[str, str]], *, none: str = "None yet.") -> None:
    parts.draw(
        parts.FACTS,
        key=key,
        live={"end": True},
        now_ms=0,
        shape=json.dumps(rows),
        facts=list(rows),
        fetch="Download",
        none=none,
    )


def _fact(house: Services, fact: Fact) -> dict[str, str]:
    kept = fact.digest and house.store.blobs.has(Digest.parse(fact.digest))
    href = f"/api/v1/blobs/{fact.digest}" if kept else ""
    return {
        "name": fact.name,
        "text": fact.text,
        "digest": fact.digest,
        "href": href,
        "page": fact.page,
    }


def attempts(rows: Sequence[Mapping[str, str]]) -> None:
    if not rows:
        st.markdown(":gray[No attempt yet.]")
        return
    st.table({name: [row[name] for row in rows] for name in rows[0]}, border="horizontal")


def notes(lines: Sequence[str]) -> None:
    for line in lines:
        st.markdown(f":gray[:material/chevron_right:] {words.with_verdicts(words.plain(line))}")


def log_head(run: Run, step: StepState, number: int, shown: int, target: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        of = f" of {words.plain(target)}" if target else ""
        st.markdown(f"**{shown} lines{of}** :gray[· attempt {number}, UTC]", width="content")
        st.link_button(
            "Download",
            f"/api/v1/runs/{run.run_id}/steps/{step.id}/logs?attempt={number}&format=text",
            icon=":material/download:",
        )
        if target:
            st.page_link(
                "releases/step.py",
                label="All targets",
                query_params={"run": run.run_id, "step": step.id},
            )


def artifacts(house: Services, found: Sequence[Fact]) -> None:
    fact_list("step.artifacts", [_fact(house, fact) for fact in found])


def evidence_items(run: Run, items: Sequence[EvidenceItem]) -> None:
    fact_list("step.evidence", [item.document() for item in items])
    with st.container(horizontal=True, gap="small"):
        for one in items:
            if one.item:
                st.page_link(
                    "evidence/item.py",
                    label=f"Open item {one.item}",
                    icon=":material/receipt_long:",
                    query_params={"run": run.run_id, "item": str(one.item)},
                )
        for page, label, icon in (
            ("evidence/timeline.py", "Evidence of the run", "verified_user"),
            ("evidence/proof_chains.py", "Proof chain", "link"),
        ):
            st.page_link(
                page, label=label, icon=f":material/{icon}:", query_params={"run": run.run_id}
            )


def replay(run: Run) -> None:
    """To the page on which the run's decisions are asked again; off until there is one."""
    verdict = run.verdict
    pressed = st.button(
        "Replay policy",
        key="run.replay",
        icon=":material/replay:",
        disabled=verdict is None,
        help="Opens when the policy gate has spoken." if verdict is None else None,
    )
    if pressed and verdict is not None:
        st.switch_page(
            "evidence/replay_run.py",
            query_params={"run": run.run_id, "verdict": verdict.verdict_id},
        )


def replay_link(run: Run, step: StepState) -> None:
    """From a step that decided to the page on which that very decision is asked again."""
    what = {"step": step.id} if step.gate is not None else {}
    if step.spec.kind is StepKind.GATE_EVAL and run.verdict is not None:
        what = {"verdict": run.verdict.verdict_id}
    if what:
        st.page_link(
            "evidence/replay_run.py",
            label="Replay/Verify",
            icon=":material/replay:",
            query_params={"run": run.run_id, **what},
        )


@lru_cache(maxsize=4)
def _reviews_open(_home: str, _now: int) -> int:
    """Counted once in a while for everybody: the menu is drawn with every page."""
    return queries.reviews(session.services().store.cursor(), open_only=True).height


def menu(
    house: Services,
    releases: Sequence[Any],
    evidence: Sequence[Any],
    insights: Sequence[Any],
    operations: Sequence[Any],
) -> None:
    """The sidebar: where to go, what is open right now, who is signed in.

    Args:
        releases: promotions, environments, approvals, reviews.
    """
    promotions, environments, approvals, reviews = releases
    with st.sidebar:
        st.markdown(":gray[:small[Releases]]")
        st.page_link(promotions, label="Promotions", icon=":material/rocket_launch:")
        with st.container(gap=None):
            for run in reversed(house.store.runs_open()[-5:]):
                _open_run(run)
        st.page_link(environments, label=environments.title, icon=environments.icon)
        mine = sum(one.mine for one in approvals_parts.waiting(house))
        st.page_link(
            approvals, label=approvals_models.menu_label(mine), icon=":material/how_to_reg:"
        )
        waiting = _reviews_open(str(house.home), house.clock.now_us() // _COUNT_FOR_US)
        label = f"Reviews ({waiting} open)" if waiting else "Reviews"
        st.page_link(reviews, label=label, icon=":material/rate_review:")
        st.markdown(":gray[:small[Evidence]]")
        for page in evidence:
            st.page_link(page, label=page.title, icon=page.icon)
        st.markdown(":gray[:small[Insights]]")
        for page in insights:
            st.page_link(page, label=page.title, icon=page.icon)
        st.markdown(":gray[:small[Operations]]")
        for page in operations:
            st.page_link(page, label=page.title, icon=page.icon)
        st.space("stretch")
        user = session.asker().user
        st.markdown(f":gray[Signed in as] **{user}**  \n:gray[{session.roles_text(house, user)}]")
        st.link_button("Sign out", "/sign-out", icon=":material/logout:", type="tertiary")


def _open_run(run: Run) -> None:
    look = words.RUN[run.status]
    clicked = st.button(
        f"{run.run_id} · {run.request.bundle_version}",
        key=f"menu.{run.run_id}",
        icon=f":material/{look.material}:",
        type="tertiary",
        help=f"{run.label}: {look.word} in {run.environment}",
    )
    if clicked:
        st.switch_page("releases/run.py", query_params={"run": run.run_id})
