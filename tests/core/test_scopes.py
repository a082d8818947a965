"""What a token may do at most: every verb has its scope, and no limit ever adds anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import scopes
from engine.core.commands import Action
from engine.core.scopes import PIPELINE, Limits, Scope, allows, limits_of, refusal

# Written down apart from the code: which scope is needed for what.
NEEDED = {
    "create_bundle": {"bundles"},
    "import_attestation": {"attest"},
    "promote": {"promote"},
    "rerun": {"promote"},
    "comment": {"promote", "operate", "approve"},
    "pause": {"operate"},
    "resume": {"operate"},
    "continue": {"operate"},
    "retry_step": {"operate"},
    "rerun_step": {"operate"},
    "mark_step_failed": {"operate"},
    "rollback": {"operate"},
    "retry_rollback": {"operate"},
    "rollback_promotion": {"operate"},
    "cancel": {"operate"},
    "close_failed": {"operate"},
    "start_now": {"operate"},
    "reschedule": {"operate"},
    "schedule_step": {"operate"},
    "unschedule_step": {"operate"},
    "break_glass": {"approve"},
    "lift_hold": {"operate"},
    "freeze": {"operate"},
    "probe_integration": {"operate"},
    "approve": {"approve"},
    "reject": {"approve"},
    "withdraw": {"approve"},
    "review": {"approve"},
    "override": {"approve"},
    "drop_override": {"approve"},
    "export": {"evidence"},
    "drill": {"evidence"},
    "annotate_addendum": {"evidence"},
    "replay": {"evidence"},
    "read_audit": {"evidence"},
    "check_audit": {"evidence"},
    "publish_policy": {"policies"},
    "request_waiver": {"policies"},
    "grant_waiver": {"approve"},
    "refuse_waiver": {"approve"},
    "revoke_waiver": {"approve", "policies"},
    "sync_feeds": {"feeds"},
    "rescan": {"feeds"},
    "retry_run": {"operate"},
    "schedule": {"promote"},
    "list_tokens": {"admin"},
    "revoke_token": {"admin"},
    "list_sessions": {"admin"},
    "sign_out": {"admin"},
    "release_account": {"admin"},
    "fsck": {"admin"},
    "set_webhook": {"admin"},
    "remove_webhook": {"admin"},
    "test_webhook": {"admin"},
    "redeliver": {"admin"},
    "retention": {"admin"},
    "backup": {"admin"},
    "create_link": set(),
    "create_token": set(),
}
VERBS = st.sampled_from(sorted(NEEDED))
SCOPES = st.frozensets(st.sampled_from(list(Scope)))
PLACES = st.sampled_from(["eu-stage", "eu-prod", "us-prod"])


@pytest.mark.parametrize("verb", sorted(NEEDED))
def test_each_verb_is_in_the_scopes_that_it_should_be_in(verb: str) -> None:
    assert {scope.value for scope in Scope if allows({scope}, verb)} == NEEDED[verb]


def test_every_action_of_a_run_and_every_named_verb_has_a_scope() -> None:
    named = {v for k, v in vars(scopes).items() if k.isupper() and isinstance(v, str)}
    assert {action.value for action in Action} | named == set(NEEDED)


def test_a_pipeline_neither_operates_nor_approves() -> None:
    may = {verb for verb in NEEDED if allows(PIPELINE, verb)}
    assert may == {"create_bundle", "import_attestation", "promote", "schedule", "rerun", "comment"}


@given(VERBS, SCOPES, st.frozensets(PLACES), PLACES)
def test_a_limit_is_kept_and_says_why(
    verb: str, held: frozenset[Scope], places: frozenset[str], where: str
) -> None:
    why = refusal(Limits(scopes=held, environments=places), "ci", verb, where)
    if held and not NEEDED[verb] & set(held):
        assert why is not None and why.code == "scope" and verb.replace("_", " ") in why.sentence
    elif places and where not in places:
        assert why is not None and why.code == "environment" and where in why.sentence
    else:
        assert why is None


@given(SCOPES, st.frozensets(PLACES))
def test_what_stands_on_record_is_read_back(held: frozenset[Scope], places: frozenset[str]) -> None:
    limits = limits_of([scope.value for scope in held], places)
    assert limits == Limits(scopes=held, environments=places)


def test_a_token_of_a_newer_version_stays_limited() -> None:
    assert limits_of(["teleport"], []) == Limits(scopes=frozenset({Scope.READ}))
    assert limits_of(["teleport", "promote"], []).scopes == {Scope.PROMOTE}


def test_a_token_for_one_place_does_not_administer_the_house() -> None:
    limits = Limits(environments=frozenset({"eu-prod"}))
    why = refusal(limits, "dora", "backup")
    assert why is not None and "the whole house" in why.sentence
    assert refusal(limits, "ci", "create_bundle") is None
