"""Dead Letter: what webhooks should have been told and were not, why, and sending it once more."""

from __future__ import annotations

from typing import Any

import streamlit as st

from data import queries
from engine.core.errors import ReleaselineError
from engine.hooks.desk import REDELIVER_MAX
from engine.hooks.reading import hook_document
from engine.services import Services
from pages.ui import evidence_parts, hook_models, session, words

_LOOK_EVERY_S = 2.0


def _hooks(house: Services) -> list[dict[str, Any]]:
    frame = queries.webhook_counts(house.store.cursor())
    counts = {row["hook"]: row for row in frame.iter_rows(named=True)}
    return [hook_document(one, counts.get(one.id)) for one in house.hooks.desk.hooks()]


def _deliveries(
    house: Services, *, limit: int = hook_models.SHOWN + 1, **asked: Any
) -> list[dict[str, Any]]:
    return queries.deliveries(house.store.cursor(), limit=limit, **asked).to_dicts()


def _again(house: Services, chosen: list[dict[str, Any]]) -> None:
    try:
        messages = [hook_models.ref(one) for one in chosen]
        house.hooks.desk.redeliver(messages, session.asker(), reason="asked for on the page")
    except ReleaselineError as error:
        st.error(words.plain(str(error)), icon=":material/block:")
        return
    st.rerun()


def _choose(names: list[str]) -> str:
    """The webhook that the address names; changing it changes the address."""
    named = st.query_params.get("webhook", "")
    options = [hook_models.ALL, *names]
    index = options.index(named) if named in options else 0
    chosen = str(st.selectbox("Webhook", options, index=index, key=f"hooks.{named}", width=260))
    if chosen != options[index]:
        st.query_params.clear()
        if chosen != hook_models.ALL:
            st.query_params["webhook"] = chosen
        st.rerun()
    return chosen


def _button(label: str, chosen: list[dict[str, Any]], why: str, *, key: str) -> None:
    pressed = st.button(
        label,
        key=key,
        type="primary",
        icon=":material/forward_to_inbox:",
        disabled=bool(why) or not chosen,
        help=why or None,
    )
    if pressed:
        _again(house, chosen)


house = session.services()
st.title("Dead Letter", anchor=False)
st.markdown(hook_models.EXPLAINED)
hooks = _hooks(house)
if not hooks:
    st.info(hook_models.NO_HOOKS, icon=":material/inbox:")
why_not = house.hooks.desk.why_not(session.asker())
refused = "" if why_not is None else why_not.sentence
with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
    name = _choose([one["name"] for one in hooks])
    view = st.segmented_control(
        "Show", list(hook_models.VIEWS), default=hook_models.DEAD, key="hooks.view", width="content"
    )
    asked: dict[str, Any] = (
        {} if name == hook_models.ALL else {"hook": house.hooks.desk.hook(name).id}
    )
    dead = _deliveries(house, limit=REDELIVER_MAX, dead=True, **asked)
    sendable = [one for one in dead if not hook_models.why_not_again(one)]
    _button(hook_models.all_label(len(sendable)), sendable, refused, key="hooks.all")
if refused:
    st.markdown(f":gray[:small[{words.plain(refused)}]]")
moving = bool(house.store.waiting_hooks())


@st.fragment(run_every=_LOOK_EVERY_S if moving else None, key="hooks.live")
def draw() -> None:
    """Looked at again by itself while something is on its way."""
    session.services(used=False)  # who was signed out since sees no more of it
    now_us = house.clock.now_us()
    now = _hooks(house)
    oldest = min((one["ts_us"] for one in dead), default=None)
    sentence = hook_models.summary(now, oldest, now_us)
    look = st.error if hook_models.dead_count(now) else st.success
    icon = "error" if hook_models.dead_count(now) else "check_circle"
    if now:
        look(words.plain(sentence), icon=f":material/{icon}:")
    _message(now_us)
    found = _deliveries(house, **hook_models.VIEWS[view or hook_models.DEAD], **asked)
    shown = found[: hook_models.SHOWN]
    if shown:
        evidence_parts.ledger(
            hook_models.rows(shown, now_us),
            hook_models.COLUMNS,
            key="hooks.list",
            caption="Messages to webhooks",
        )
        st.markdown(f":gray[:small[{hook_models.count_text(len(shown), len(found) > len(shown))}]]")
    elif now:
        st.info(hook_models.EMPTY[view or hook_models.DEAD], icon=":material/inbox:")
    if now:
        st.subheader("Webhooks", anchor=False)
        evidence_parts.ledger(
            hook_models.hook_rows(now, now_us),
            hook_models.HOOKS,
            key="hooks.hooks",
            caption="Who is told what",
        )
    if moving and not house.store.waiting_hooks():
        st.rerun()  # everything has settled: draw once more, without looking again


def _message(now_us: int) -> None:
    """The message that the address names: what it says, and every try."""
    place = hook_models.place_of(st.query_params.get("message", ""))
    if place is None or not asked:
        return
    gseq, idx = place
    one = next(iter(_deliveries(house, gseq=gseq, idx=idx, **asked)), None)
    if one is None:
        return
    frame = queries.delivery_tries(house.store.cursor(), hook=one["hook"], gseq=gseq, idx=idx)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(hook_models.headline(one), width="stretch")
            _button("Send again", [one], refused or hook_models.why_not_again(one), key="hooks.one")
        st.markdown(words.plain(hook_models.says(house.hooks.letters, one)))
        evidence_parts.ledger(
            hook_models.tries(frame.to_dicts(), now_us),
            hook_models.TRIES,
            key="hooks.tries",
            caption="Tries at this message",
        )


draw()
