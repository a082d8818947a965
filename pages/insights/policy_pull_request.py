"""Policy pull request: a candidate against every recorded verdict, each proven first."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.policy.lint import lint
from engine.policy.model import load_policy
from engine.policy.policy_diff import policy_diff
from engine.services import Services
from pages.ui import cards, policy_models, policy_parts, session, words

_UPLOAD, _PASTE = "Upload two files", "Paste"


def _candidate() -> tuple[bytes, bytes]:
    """Rules and limits as given; empty while there are none."""
    how = st.segmented_control("The candidate", [_UPLOAD, _PASTE], default=_UPLOAD, key="pull.how")
    left, right = st.columns(2, gap="medium")
    if how == _PASTE:
        rules = left.text_area("Rules (YAML)", key="pull.rules", height=220) or ""
        limits = right.text_area("Limits (JSON)", key="pull.limits", height=220) or ""
        return rules.encode(), limits.encode()
    policy = left.file_uploader("Rules (YAML)", type=["yaml", "yml"], key="pull.policy")
    config = right.file_uploader("Limits (JSON)", type=["json"], key="pull.config")
    return (
        b"" if policy is None else policy.getvalue(),
        b"" if config is None else config.getvalue(),
    )


def _checked(house: Services, rules: bytes, limits: bytes) -> Callable[[], Digest] | None:
    """Say what the candidate is and what differs; None when it can't be asked."""
    try:
        policy = load_policy(rules, limits, policy_where="rules", config_where="limits")
    except Malformed as error:
        st.error(words.plain(str(error)), icon=":material/edit:")
        return None
    problems = lint(policy)
    if problems:
        for problem in problems:
            st.error(words.plain(str(problem)), icon=":material/report:")
        return None
    st.markdown(
        f"**{words.plain(policy.name)} {words.plain(policy.version)}** "
        f"`{policy.digest.short}…` :green-badge[:material/task_alt: sound]"
    )
    names = sorted(house.settings.environments)
    against = st.selectbox("Compared with what is in force in", names, key="pull.against")
    now = house.outside.desk.compiled(house.outside.desk.policy_digest(str(against))).policy
    lines = policy_diff(now, policy)
    st.markdown(policy_models.diff_text(lines))
    if lines:
        st.dataframe(policy_models.diff_rows(lines), hide_index=True, key="pull.diff")
    return lambda: house.replaying.candidate(rules, limits)


house = session.services()
cards.crumbs(("insights/policies.py", "Policies", {}), here="Policy pull request")
st.title("Policy pull request", anchor=False)
st.markdown(
    "What would this candidate have decided? Each recorded verdict is first proven under its own "
    "policy, then the candidate is asked about the same frozen facts. It comes into force nowhere."
)
with st.container(border=True, gap="small"):
    rules, limits = _candidate()
    candidate = _checked(house, rules, limits) if rules and limits else None
    refused = policy_parts.why_not(house)
    if st.button(
        "Prove the baseline and compare",
        key="pull.ask",
        type="primary",
        icon=":material/merge:",
        disabled=candidate is None or bool(refused),
        help=refused or ("Give rules and limits first." if candidate is None else None),
    ):
        assert candidate is not None
        policy_parts.ask(house, candidate, "policy pull request")
    st.markdown(
        ":gray[:small[The same on the command line: "
        "`./run replay --all --policy new.yaml --config new.json --report report.md`]]"
    )
policy_parts.asked("pull", house)
