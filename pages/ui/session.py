"""Who looks at a page, and at which run: the only file that knows the running house.

Every page begins with `services()`; every action asks `asker()` again, because a session may have
been revoked since the page was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st

from engine.api.cookies import COOKIE
from engine.asker import Asker, asker_of
from engine.core.errors import NotFound, Unauthenticated
from engine.core.run import Run
from engine.core.state import StepState
from engine.services import Services
from engine.trail.asking import from_now_on, new_request_id
from engine.wiring import running

# Set while a page is drawn because the run changed, and not because somebody clicked.
_BY_ITSELF: Final = "rl.drawn-by-itself"


def by_itself() -> None:
    """Callback of a part that asks for a new drawing: something changed, nobody clicked."""
    st.session_state[_BY_ITSELF] = True


@contextmanager
def drawing() -> Iterator[None]:
    """Around the drawing of a page; what made it be drawn is forgotten afterwards."""
    try:
        yield
    finally:
        st.session_state.pop(_BY_ITSELF, None)


def _clicked() -> bool:
    return _BY_ITSELF not in st.session_state


def services(*, used: bool = True) -> Services:
    """The running house, for somebody who is signed in; for others the page ends here.

    Args:
        used: False where a page draws a part of itself again. That keeps no session alive, nor
            does a page that is drawn because its run changed; neither shows anything to a session
            that has ended.
    """
    try:
        house = running()
    except RuntimeError:
        st.error("The engine is not running in this process. Start it with `./run serve`.")
        st.stop()
    try:
        house.identity.session(cookie(), used=used and _clicked())
    except Unauthenticated as error:
        oidc = house.settings.oidc
        _signed_out(str(error), provider="" if oidc is None else oidc.name)
    return house


def asker() -> Asker:
    """Who asks, checked now. Raises `Unauthenticated`."""
    return _asker(running())


def _asker(house: Services) -> Asker:
    principal = house.identity.session(cookie(), used=_clicked())
    from_now_on(principal, new_request_id())
    return asker_of(principal)


def cookie() -> str:
    """The session's secret as the browser sent it; empty when it sent none."""
    return st.context.cookies.get(COOKIE, "")


def roles_text(house: Services, user: str) -> str:
    """Every role of the person, in words, over all environments."""
    held = {
        role.value
        for environment in house.settings.environments
        for role in house.settings.roles_of(user, environment)
    }
    return ", ".join(sorted(role.replace("_", " ") for role in held)) or "no role"


def run_or_stop(house: Services) -> Run:
    """The run that the address names; for an unknown one the page says so and ends."""
    run_id = st.query_params.get("run", "")
    if not run_id:
        _lost("This address names no run.", "It needs `?run=run-1` behind it.")
    try:
        return house.service.run(run_id)
    except NotFound:
        _lost(f"There is no run {run_id!r} here.", "It may belong to another home.")
    raise AssertionError("the page has ended")


def step_or_stop(run: Run, *, default: str = "") -> StepState:
    """The step that the address names; for an unknown one the page says so and ends."""
    step_id = st.query_params.get("step", "") or default
    for step in run.steps:
        if step.id == step_id:
            return step
    names = ", ".join(f"`{step.id}`" for step in run.steps)
    _lost(f"Run {run.run_id} has no step {step_id!r}.", f"Its steps are {names}.")
    raise AssertionError("the page has ended")


def _lost(head: str, text: str) -> None:
    with st.container(border=True):
        st.header(head, anchor=False)
        st.markdown(text)
        st.page_link("releases/promotions.py", label="All promotions", icon=":material/arrow_back:")
    st.stop()


def _signed_out(why: str, *, provider: str) -> None:
    with st.container(border=True):
        st.header("You are not signed in", anchor=False)
        if provider:
            st.link_button(f"Sign in with {provider}", "/sign-in/oidc", icon=":material/login:")
        st.markdown(
            f"{why} Open the one-time link that was printed when the server started, or make a "
            "new one on that machine:"
        )
        st.code("./run admin link --user YOUR.NAME", language=None)
    st.stop()
