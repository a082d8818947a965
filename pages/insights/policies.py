"""Policies: every version, what differs between two, its tests, lint, and its blast radius."""

from __future__ import annotations

import streamlit as st

from engine.core.digest import Digest
from engine.core.errors import ReleaselineError
from engine.core.policy_versions import Version
from engine.policy.cases import Outcome, no_files, read_cases, run_cases, summary
from engine.policy.lint import lint
from engine.policy.model import Policy, policy_from_blob
from engine.policy.policy_diff import policy_diff
from engine.services import Services
from pages.ui import evidence_parts, policy_models, policy_parts, session, words


def _policy(house: Services, digest: Digest) -> Policy:
    return policy_from_blob(house.store.blobs.get(digest), where=f"policy {digest.short}")


@st.cache_data(ttl=3600, max_entries=32, show_spinner="Asking the policy its tests")
def _outcomes(_home: str, policy: str, tests: str) -> tuple[Outcome, ...]:
    house = session.services()
    compiled = house.outside.desk.compiled(Digest.parse(policy))
    cases = read_cases(house.store.blobs.get(Digest.parse(tests)), no_files)
    return run_cases(compiled, cases)


def _versions(versions: tuple[Version, ...]) -> None:
    evidence_parts.ledger(
        policy_models.rows(versions),
        policy_models.COLUMNS,
        key="policies.versions",
        caption="Policies by environment, newest first",
    )


def _rules(policy: Policy) -> None:
    evidence_parts.ledger(
        policy_models.rule_rows(policy),
        policy_models.RULE_COLUMNS,
        key="policies.rules",
        caption="Rules of this policy, in the order in which they are written",
    )
    st.markdown("**Limits**")
    st.json(dict(policy.config), expanded=2)


def _difference(house: Services, found: tuple[policy_models.Known, ...], n: int) -> None:
    others = [one for i, one in enumerate(found) if i != n]
    if not others:
        st.markdown(f":gray[{policy_models.FIRST}]")
        return
    before = found[n].before
    default = next((i for i, one in enumerate(others) if one.policy == before), 0)
    against = st.selectbox(
        "Compared with",
        range(len(others)),
        index=default,
        format_func=lambda i: others[i].label,
        key=f"policies.against.{found[n].policy.short}",
    )
    lines = policy_diff(_policy(house, others[against].policy), _policy(house, found[n].policy))
    st.markdown(policy_models.diff_text(lines))
    if lines:
        st.dataframe(policy_models.diff_rows(lines), hide_index=True, key="policies.diff")


def _tests(house: Services, one: policy_models.Known) -> None:
    if one.tests is None:
        st.markdown(f":gray[{policy_models.NO_TESTS}]")
        return
    outcomes = _outcomes(str(house.home), str(one.policy), str(one.tests))
    good = all(outcome.ok for outcome in outcomes)
    draw, icon = (st.success, "task_alt") if good else (st.error, "cancel")
    draw(summary(outcomes), icon=f":material/{icon}:")
    st.dataframe(policy_models.case_rows(outcomes), hide_index=True, key="policies.tests")


def _lint(policy: Policy) -> None:
    problems = lint(policy)
    if not problems:
        st.success(
            "Sound: no expression can differ between engines, or hide an error.",
            icon=":material/task_alt:",
        )
    for problem in problems:
        st.error(words.plain(str(problem)), icon=":material/report:")


def _blast(house: Services, one: policy_models.Known) -> None:
    st.markdown(
        "Every recorded verdict asked again under this version: first its own policy has to give "
        "it again, then this one is asked about the same frozen facts."
    )
    refused = policy_parts.why_not(house)
    if st.button(
        "Ask all recorded verdicts",
        key="policies.ask",
        icon=":material/swap_horiz:",
        disabled=bool(refused),
        help=refused or None,
    ):
        st.query_params["policy"] = one.policy.hex
        policy_parts.ask(
            house,
            lambda: house.replaying.candidate_of(one.policy),
            f"blast radius of {one.name} {one.version}",
        )
    policy_parts.asked("policies", house)


def _first_tab(found: tuple[policy_models.Known, ...]) -> str:
    return "What changed" if len(found) > 1 else "Rules"


def _version(house: Services, found: tuple[policy_models.Known, ...]) -> None:
    named = st.query_params.get("policy", "")
    index = policy_models.chosen(found, named)
    n = st.selectbox(
        "Version",
        range(len(found)),
        index=index,
        format_func=lambda i: found[i].label,
        key=f"policies.version.{named}",
    )
    one = found[n]
    if n != index:  # what was asked about the former one is not about this one
        st.query_params.from_dict({"policy": one.policy.hex})
        st.rerun()  # the box follows the address: without it the next choice would be lost
    policy = _policy(house, one.policy)
    difference, rules, tests, checks, blast = st.tabs(
        ["What changed", "Rules", "Tests", "Lint", "Blast radius"],
        key="policies.tab",
        default="Blast radius" if st.query_params.get("asked") else _first_tab(found),
        on_change="rerun",
    )
    if difference.open:
        with difference:
            _difference(house, found, n)
    if rules.open:
        with rules:
            _rules(policy)
    if tests.open:
        with tests:
            _tests(house, one)
    if checks.open:
        with checks:
            _lint(policy)
    if blast.open:
        with blast:
            _blast(house, one)


house = session.services()
st.title("Policies", anchor=False)
st.markdown(policy_models.EXPLAINED)
st.page_link(
    "insights/policy_pull_request.py",
    label="Try a candidate against every recorded verdict",
    icon=":material/merge:",
)
recorded = house.policies.versions()
if not recorded:
    st.info(policy_models.NOTHING_YET, icon=":material/inbox:")
    st.stop()
_versions(recorded)
st.header("One version", anchor=False)
try:
    _version(house, policy_models.known(recorded))
except ReleaselineError as error:
    st.error(words.plain(str(error)), icon=":material/report:")
