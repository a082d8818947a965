"""How an approval view is drawn: the same way now and as it was shown then. Drawing only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import streamlit as st

from engine.approving import telling
from engine.approving.telling import Document
from engine.core.commands import Action, Command
from engine.core.digest import Digest
from engine.core.run import Run
from engine.services import Services
from pages.ui import actions, approval_models, evidence_parts, session, words
from pages.ui.words import Look

_OPENED: Final = "approval.opened"


def reasons(shown: Document) -> None:
    """What to look at first: what the policy said, on which data, and whether it can go back."""
    look = approval_models.verdict_look(shown)
    _box("Verdict", look, telling.verdict_word(shown), approval_models.warnings(shown))
    health = approval_models.health_look(shown)
    _box("Data health", health, health.word, telling.health_lines(shown))
    back = approval_models.rollback_look(shown)
    _box("Way back", back, back.word, telling.rollback_lines(shown))


def draw(shown: Document, *, key: str) -> None:
    """All the rest of the view, from the document and from nothing else.

    Args:
        key: of its widgets; two views never stand on one page.
    """
    _findings(shown, key)
    _targets(shown, key)
    left, right = st.columns([1.9, 1], gap="medium")
    with left:
        _plain("Plan", telling.plan_lines(shown))
        _policy(shown, key)
    with right:
        _plain("People", telling.people_lines(shown))


def quorum(shown: Document) -> None:
    """What was there and what was missing when this was shown."""
    _plain("Approvals", telling.quorum_lines(shown))


def digests(digest: Digest, shown: Document) -> None:
    """Under which digest this view is signed, and what it is bound to."""
    view, bound = f"sha256:{digest.short}", telling.short(shown["binding"])
    st.markdown(
        f":gray[:small[View `{view}`, bound to `{bound}`. Should anything in it change, a decision "
        "on it is refused.]]"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The view that is on the screen. `stale`: what is another now; empty while it is current."""

    document: Document
    digest: Digest
    stale: str


def opened(house: Services, run: Run) -> Opened:
    """What was shown stays shown until somebody looks again: that is what they decide on.

    Only for who has the form before them; everybody else sees what stands there now.
    """
    now = house.views.now(run)
    before = st.session_state.get(_OPENED)
    if before is None or before[0] != run.run_id or _comment(run) not in st.session_state:
        before = (run.run_id, now.document, now.digest)
    st.session_state[_OPENED] = before
    if before[2] == now.digest:
        return Opened(document=now.document, digest=now.digest, stale="")
    changed = approval_models.changed_text(before[1], now.document)
    return Opened(document=before[1], digest=before[2], stale=changed)


def decision(house: Services, run: Run, shown: Opened) -> None:
    """Approve, reject or withdraw, as far as this person may; else why they may not."""
    states = {one.action: one for one in house.service.allowed(run.run_id, session.asker())}
    with st.container(border=True, gap="xsmall", key="approval.decision"):
        st.markdown("**Your decision**")
        if states[Action.WITHDRAW].ok:
            _withdraw(house, run)
        elif not states[Action.APPROVE].ok:
            st.markdown(f":material/lock: {words.plain(states[Action.APPROVE].why_not)}")
        else:
            _form(house, run, shown)


def _form(house: Services, run: Run, shown: Opened) -> None:
    with st.container():  # always there, so that what follows keeps its place
        if shown.stale:
            st.warning(words.plain(shown.stale), icon=":material/sync_problem:")
            if st.button("Show it as it is now", key="approval.look", icon=":material/refresh:"):
                del st.session_state[_OPENED]
                st.rerun()
    comment = st.text_area(
        approval_models.comment_label(shown.document),
        key=_comment(run),
        placeholder="why this is all right, or what has to change first",
        height=90,
    )
    with st.container(horizontal=True, gap="small"):
        for action in (Action.APPROVE, Action.REJECT):
            button = words.ACTION[action]
            pressed = st.button(
                button.label,
                key=f"approval.{action.value}",
                icon=f":material/{button.icon}:",
                type="primary" if button.primary else "secondary",
                disabled=bool(shown.stale),
            )
            if pressed:
                _decide(house, run, shown, action, comment)


def _decide(house: Services, run: Run, shown: Opened, action: Action, comment: str) -> None:
    """What is meant is the view on the screen, whatever stands here by now."""
    before = st.session_state.pop(_OPENED)
    command = Command(
        action=action,
        reason=comment,
        binding=Digest.parse(shown.document["binding"]),
        view=shown.digest,
    )
    actions.do(house, run.run_id, command)
    st.session_state[_OPENED] = before  # it was refused: what is on the screen stays there


def _comment(run: Run) -> str:
    return f"approval.comment.{run.run_id}"


def _withdraw(house: Services, run: Run) -> None:
    st.markdown("You have approved this. You may take it back until the last approval is there.")
    reason = st.text_input("Reason (optional)", key="approval.withdraw_reason")
    button = words.ACTION[Action.WITHDRAW]
    if st.button(button.label, key="approval.withdraw", icon=f":material/{button.icon}:"):
        actions.do(house, run.run_id, Command(action=Action.WITHDRAW, reason=reason))


def decided(run: Run) -> None:
    """Every decision so far, each with the way to what was shown for it."""
    found = approval_models.decisions(run)
    if not found:
        return
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Decisions**")
        for one in found:
            st.markdown(f"{one.look.badge} {words.plain(one.text)}")
            if one.number:
                st.page_link(
                    "releases/approval.py",
                    label="As they saw it",
                    icon=":material/visibility:",
                    query_params={"run": run.run_id, "decision": str(one.number)},
                )


def _box(title: str, look: Look, word: str, lines: Sequence[str]) -> None:
    with st.container(border=True, gap="xsmall"):
        _titled(title, look, word)
        _sentences(lines)


def _plain(title: str, lines: Sequence[str]) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{title}**")
        _sentences(lines)


def _titled(title: str, look: Look, word: str) -> None:
    st.markdown(f"**{title}** :{look.colour}-badge[:material/{look.material}: {word}]")


def _sentences(lines: Sequence[str]) -> None:
    st.markdown("  \n".join(words.with_verdicts(words.plain(line)) for line in lines))


def _findings(shown: Document, key: str) -> None:
    found = shown["findings"]
    with st.container(border=True, gap="xsmall"):
        look = approval_models.findings_look(shown)
        _titled("New findings", look, approval_models.findings_word(shown))
        if not found["known"]:
            _sentences(telling.findings_lines(shown))
            return
        _sentences((telling.findings_head(shown),))
        for gap in found["gaps"]:
            st.markdown(
                f":orange[:material/visibility_off:] {words.plain(gap['source'])} is "
                f"{gap['status']}: {words.plain(gap['detail'])}"
            )
        _flaws(found["added"], f"{key}.added", "New findings, the worst first")
        if found["gone"]:
            counts = approval_models.counts_text(found["gone"])
            with st.expander(f"Gone: {counts}"):
                _flaws(found["gone"], f"{key}.gone", "Findings that are gone")


def _flaws(found: Sequence[dict[str, Any]], key: str, caption: str) -> None:
    if not found:
        return
    rows = approval_models.finding_rows(found)
    evidence_parts.ledger(rows, approval_models.FINDINGS, key=key, caption=caption)
    more = approval_models.more_text(found)
    if more:
        st.markdown(f":gray[:small[{more}]]")


def _targets(shown: Document, key: str) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown("**What it changes**")
        _sentences(telling.target_lines(shown))
        with st.expander("Target by target", expanded=len(shown["targets"]) <= 4):
            evidence_parts.ledger(
                approval_models.target_rows(shown),
                approval_models.TARGETS,
                key=f"{key}.targets",
                caption="Targets, those that cannot go back first",
            )


def _policy(shown: Document, key: str) -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown("**Policy**")
        _sentences(telling.policy_lines(shown)[:1])
        rows = approval_models.policy_rows(shown)
        if rows:
            st.dataframe(rows, hide_index=True, key=f"{key}.policy")
