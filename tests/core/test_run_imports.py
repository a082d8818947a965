"""How imports enter a run: whose they are stays known, and old journals still load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from data.codec import from_document, to_document
from engine.core import approvals, overrides
from engine.core.approvals import Actor
from engine.core.attestations import Attestation, AttestationImported, merged
from engine.core.commands import Action, Command, Now
from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.events import Recorded
from engine.core.fact_events import InputsMaterialized
from engine.core.run import evolve
from engine.core.state import Run
from engine.core.statemachine import Role
from tests.core.test_decide import deploying

D = Digest.of(b"any")


def attestation(name: str, *authors: str) -> Attestation:
    return Attestation(
        envelope=Digest.of(name.encode()),
        source=D,
        form="dsse",
        file=name,
        payload=D,
        statement_type="https://in-toto.io/Statement/v1",
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=D,
        subjects=(NamedDigest(name="app", digest=D),),
        says="",
        authors=authors,
        trust="build",
        anchor=D,
        signer="SHA256:0",
        issuer="",
        signed_s=None,
    )


def after(run: Run, event: Any) -> Run:
    recorded = Recorded(
        gseq=1, stream=run.run_id, seq=run.version + 1, ts_us=1, actor="ci", command_id="",
        event=event, prev=D, hash=D,
    )  # fmt: skip
    return evolve(run, recorded)


def pinning(*pinned: Attestation, authors: tuple[str, ...] = ()) -> InputsMaterialized:
    return InputsMaterialized(
        step="inputs", attempt=1, inputs=(), components=1, resolved=D, attestations=pinned,
        authors=authors,
    )  # fmt: skip


def test_what_was_pinned_once_stays_known() -> None:
    a, b, c = (attestation(name) for name in "abc")
    run = after(deploying().current, pinning(a, b, authors=("bob",)))
    run = after(run, AttestationImported(bundle=run.bundle, attestation=c, authors=("eve",)))
    run = after(run, pinning(b))
    assert run.attestations == (a, b, c)
    assert run.pinned == (b,)
    assert run.authors == ("bob", "eve")


def test_inputs_of_an_old_journal() -> None:
    document = to_document(pinning())
    old = {key: value for key, value in document.items() if key not in {"attestations", "authors"}}
    assert from_document("inputs.materialized/1", old) == pinning()


def test_an_import_survives_its_journal() -> None:
    event = AttestationImported(bundle=D, attestation=attestation("a", "x"), authors=("bob",))
    assert from_document(event.TYPE, to_document(event)) == event
    stamped = replace(event.attestation, signed_s=7)
    again = replace(event, attestation=stamped)
    assert from_document(event.TYPE, to_document(again)) == again


def test_an_author_neither_approves_nor_confirms_an_override() -> None:
    run = replace(deploying().current, authors=("bob",))
    bob = Actor(user="bob", roles=frozenset({Role.APPROVER, Role.SRE}))
    why = approvals.conflict(run, bob)
    assert why is not None and why.startswith("bob is a commit author by this bundle's provenance")
    wish = Command(action=Action.CONTINUE, reason="because", override=True)
    asked = overrides.asked(run, wish, overrides.Refusal(sentence="x", code="state"), Now(now_us=1))
    waiting = after(run, asked)
    confirm = overrides.refusal(waiting, wish, replace(bob, user="bob"), Now(now_us=2))
    assert confirm is not None and "an author cannot confirm the override" in confirm.sentence
    other = overrides.refusal(waiting, wish, replace(bob, user="sam"), Now(now_us=2))
    assert other is None


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=5), max_size=4))
def test_merging_keeps_the_first_of_each(groups: list[list[str]]) -> None:
    found = [one.file for one in merged(*([attestation(n) for n in g] for g in groups))]
    every = [name for group in groups for name in group]
    assert found == list(dict.fromkeys(every))
