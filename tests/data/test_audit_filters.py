"""Every filter of the audit trail against a plain reading of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.queries_audit import records
from data.store import Store
from engine.core.audit import AuditFilter
from engine.core.audit_events import DataExported, SignInFailed
from engine.core.auth import AuthContext
from engine.core.digest import Digest
from engine.core.house import ADMIN, CommandRejected, HoldLifted, TokenCreated
from engine.core.people_events import OverrideRequested
from tests.data.kit import TestClock, history, play

# As the words of commands, written down here on their own. The history's people take no way that is
# called otherwise than their command.
VERB_OF = {
    "run.requested/1": "promote",
    "token.created/1": "create_token",
    "hold.lifted/1": "lift_hold",
    "sign_in.failed/1": "sign_in",
    "data.exported/1": "export",
    "backup.made/1": "export",
    "evidence.exported/1": "export",
}
NO_ATTEMPT = [
    *(f"step.{end}" for end in ("started", "succeeded", "failed", "errored", "inconclusive")),
    *("step.skipped", "step.cancelled", "step.ticked", "run.rejected", "review.opened"),
]
# Kinds whose verb the oracle does not spell out are not asked for by verb.
VERBS = [*sorted(set(VERB_OF.values())), "approve", "resume", "continue", "nothing"]


@dataclass(frozen=True)
class Told:
    """A store, and every event of its journal, newest first."""

    store: Store = field(repr=False)
    events: list[dict[str, Any]] = field(repr=False)


def denial(
    action: str, code: str, run: str, *, override: bool = False, own: bool = False
) -> CommandRejected:
    return CommandRejected(
        action=action,
        run=run,
        code=code,
        reason="no",
        override=override,
        own=own,
        asked="please",
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    home = tmp_path_factory.mktemp("audit")
    asked: list[AuthContext | None] = [None]
    store = Store.open(home, clock=TestClock(), auth=lambda: asked[0])

    def admin(actor: str, *events: Any) -> None:
        for event in events:
            store.append(ADMIN, (event,), after=store.version(ADMIN), actor=actor)

    for number in range(1, 8):
        asked[0] = AuthContext(method="session", credential=f"{number:012x}", request_id="req_1")
        play(store, history(number, number))
        asked[0] = None
        run = f"run-{number}"
        admin(
            "bob",
            denial("approve", "conflict_of_interest", run),
            denial("approve", "role", run),
            denial("approve", "role", run, own=True),
            denial("resume", "conflict_of_interest", run, override=True),
            denial("lift_hold", "role", ""),
        )
        admin("unknown", failed_sign_in())
        admin("ana", lifted(run), exported(), token())
        if not store.run(run).terminal:
            store.append(run, (override(),), after=store.version(run), actor="ana")
    yield Told(store, journal(home))
    store.close()


def failed_sign_in() -> SignInFailed:
    return SignInFailed(
        method="token",
        credential="0123abcd",
        code="not_signed_in",
        reason="unknown",
        count=1,
        first_us=1,
        last_us=1,
        address="192.0.2.1",
    )


def lifted(run: str) -> HoldLifted:
    return HoldLifted(environment="stage", bundle=Digest.of(b"b"), run=run, reason="fixed")


def exported() -> DataExported:
    return DataExported(
        what="audit", run="", format="csv", asked="{}", rows=1, size=1, digest=Digest.of(b"d")
    )


def token() -> TokenCreated:
    return TokenCreated(
        token_id="0123abcd", secret_hash="0" * 64, user="ci", service=True, expires_us=1
    )


def override() -> OverrideRequested:
    return OverrideRequested(
        action="continue",
        step="canary",
        attempt=1,
        rule=7,
        against="no",
        missing=(),
        reason="now",
        ticket="",
        expires_us=1,
    )


def journal(home: Path) -> list[dict[str, Any]]:
    """Every event of the journal, newest first."""
    events = [
        record
        for path in sorted((home / "journal").glob("*.jsonl"))
        for line in path.read_text().splitlines()
        for record in json.loads(line)["records"]
        if record["type"] == "event"
    ]
    return sorted(events, key=lambda event: -event["gseq"])


def meant(event: dict[str, Any], places: dict[str, str]) -> tuple[str, str, str, str]:
    """Verb, result, run and environment of a record, in plain words."""
    body, kind, stream = event["body"], event["kind"], event["stream"]
    name = kind.partition("/")[0]
    named = body.get("via") or VERB_OF.get(kind, name)
    verb = name if event["actor"] == "engine" else named
    verb = body["action"] if name in {"command.rejected", "override.requested"} else verb
    run = stream if stream.startswith("run-") else body.get("run", "")
    refused = name in {"command.rejected", "sign_in.failed"}
    environment = body.get("environment") or places.get(run, "")
    return verb, "denied" if refused else "allowed", run, environment


def wanted(event: dict[str, Any], asked: AuditFilter, places: dict[str, str]) -> bool:
    """The filter in plain words."""
    body, name = event["body"], event["kind"].partition("/")[0]
    verb, result, run, environment = meant(event, places)
    against = name.startswith("override.") or name == "hold.lifted"
    if name == "command.rejected":
        against = bool(body.get("override")) or verb == "lift_hold"
    own = name == "command.rejected" and (body["own"] or body["code"] == "conflict_of_interest")
    return (
        (asked.everything or (event["actor"] != "engine" and no_consequence(event)))
        and asked.who in {"", event["actor"]}
        and asked.verb in {"", verb}
        and asked.run in {"", run}
        and asked.environment in {"", environment}
        and (asked.since_us is None or event["ts_us"] >= asked.since_us)
        and (asked.until_us is None or event["ts_us"] < asked.until_us)
        and (result == "denied" or not asked.denied)
        and (
            not (asked.overrides or asked.self_approvals)
            or (asked.overrides and against)
            or (asked.self_approvals and own)
        )
    )


def no_consequence(event: dict[str, Any]) -> bool:
    return (
        event["kind"].partition("/")[0] not in NO_ATTEMPT and event["body"].get("via") != "request"
    )


MOMENTS = st.integers(1_800_000_000_000_000, 1_800_000_001_500_000) | st.none()
FILTERS = st.builds(
    AuditFilter,
    who=st.sampled_from(["", "ana", "bob", "unknown", "engine", "nobody"]),
    verb=st.sampled_from(["", *VERBS]),
    since_us=MOMENTS,
    until_us=MOMENTS,
    run=st.sampled_from(["", "run-1", "run-5", "run-99"]),
    environment=st.sampled_from(["", "prod", "stage", "mars"]),
    denied=st.booleans(),
    overrides=st.booleans(),
    self_approvals=st.booleans(),
    everything=st.booleans(),
)
PLAIN = st.builds(AuditFilter, denied=st.booleans(), everything=st.booleans())


@given(asked=FILTERS | PLAIN, limit=st.integers(1, 40))
def test_a_filter_shows_what_the_journal_holds(told: Told, asked: AuditFilter, limit: int) -> None:
    store, events = told.store, told.events
    places = {
        event["stream"]: event["body"]["environment"]
        for event in events
        if event["kind"] == "run.requested/1"
    }
    expected = [event for event in events if wanted(event, asked, places)]
    found: list[dict[str, Any]] = []
    before = None
    while True:  # page by page, as a reader goes
        page = records(store.cursor(), asked=asked, before=before, limit=limit)
        found += page
        if len(page) < limit:
            break
        before = page[-1]["gseq"]
    assert [row["gseq"] for row in found] == [event["gseq"] for event in expected]
    for row, event in zip(found, expected, strict=True):
        assert (row["hash"], row["prev"]) == (event["hash"], event["prev"])
        assert json.loads(row["body"]) == event["body"]
        known = (row["result"], row["run_id"], row["environment"])
        verb, *others = meant(event, places)
        assert known == tuple(others)
        assert row["verb"] == verb or event["kind"] not in VERB_OF
        proof = event.get("auth")
        if proof:
            assert (row["method"], row["credential"]) == (proof["method"], proof["credential"])


def test_overrides_and_self_approvals_show_the_denied_ones_too(
    told: Told,
) -> None:
    store = told.store
    asked = AuditFilter(overrides=True, self_approvals=True)
    rows = records(store.cursor(), asked=asked, limit=1_000)
    seen = {(row["verb"], row["result"], row["code"]) for row in rows}
    assert {
        ("approve", "denied", "conflict_of_interest"),
        ("resume", "denied", "conflict_of_interest"),
        ("lift_hold", "denied", "role"),
        ("lift_hold", "allowed", ""),
    } <= seen
    # Without the role to approve it was still their own that they tried to let through.
    tried = [row for row in rows if (row["verb"], row["code"]) == ("approve", "role")]
    assert len(tried) == 7
    assert all(json.loads(row["body"])["own"] for row in tried)


def test_one_record_has_all_that_is_known_of_it(
    told: Told,
) -> None:
    store = told.store
    asked = AuditFilter(denied=True, run="run-2", self_approvals=True)
    row = records(store.cursor(), asked=asked, limit=1)[0]
    assert (row["actor"], row["result"], row["reason"], row["why"]) == (
        "bob",
        "denied",
        "please",
        "no",
    )
    (alone,) = records(store.cursor(), gseq=row["gseq"], limit=1)
    assert alone == row
