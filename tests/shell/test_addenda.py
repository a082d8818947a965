"""After the seal: additions are signed, logged and numbered; nothing that was sealed changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import addenda
from engine.core.approvals import Actor
from engine.core.errors import Malformed, Refused
from engine.core.fact_events import Commented, EvidenceAddendum
from engine.core.statemachine import Role, RunStatus
from engine.evidence.verify import verify_pack
from tests.evidence.kit import RUN, World, open_world, repacked, unpacked, world

pytestmark = pytest.mark.house

PACK = "audit-addenda.tar.gz"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> World:
    one = world(tmp_path_factory.mktemp("addenda"), decision="FAIL")
    one.play()
    one.store.close()
    return one


@pytest.fixture
def sealed(played: World, tmp_path: Path) -> Iterator[World]:
    """A home of its own with the same sealed run."""
    shutil.copytree(
        played.home, tmp_path, ignore=shutil.ignore_patterns("lock"), dirs_exist_ok=True
    )
    one = open_world(tmp_path, at_us=played.clock.at_us)
    yield one
    one.store.close()


def pack_of(one: World) -> bytes:
    name, content = one.sealer.export(RUN, "addenda", actor="ana")
    assert name == PACK
    return content


def test_an_addendum_is_signed_by_its_author_and_changes_nothing(sealed: World) -> None:
    before, run = sealed.pack(), sealed.run
    first = sealed.sealer.annotate(RUN, " looked at it \n", {"mail.txt": b"all good"}, actor="bob")
    second = sealed.sealer.annotate(RUN, "me too", {}, actor="carol")
    assert [first.number, second.number] == [1, 2] and first.text == "looked at it"
    assert sealed.pack() == before
    assert replace(sealed.run, version=0, updated_us=0) == replace(run, version=0, updated_us=0)
    content = pack_of(sealed)
    report = verify_pack(content, name=PACK, trusted_root=sealed.keys.trusted_root)
    assert report.ok, [str(check) for check in report.failed]
    files = unpacked(content)
    assert files["addenda/01/mail.txt"] == b"all good"
    assert files["proof-chain.json"] == unpacked(before)["proof-chain.json"]
    signed = [c for c in report.checks if c.check == "addendum" and c.ok]
    assert ["bob.smith" in c.found for c in signed] == [True, False]


def test_two_exports_of_the_same_addenda_are_the_same_bytes(sealed: World) -> None:
    sealed.sealer.annotate(RUN, "one", {}, actor="bob")
    first = pack_of(sealed)
    sealed.store.close()
    again = open_world(sealed.home, at_us=sealed.clock.at_us + 86_400_000_000)
    sealed.store = again.store
    assert pack_of(again) == first
    again.sealer.annotate(RUN, "two", {}, actor="carol")
    second = pack_of(again)
    assert second != first and set(unpacked(first)) < set(unpacked(second))
    assert verify_pack(second, name=PACK, trusted_root=sealed.keys.trusted_root).ok


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("addenda/01/mail.txt", b"all bad"),
        ("addenda/01/more.txt", b"more"),
        ("addenda/01/mail.txt", None),
        ("addenda/02/addendum.dsse", None),
        ("proof-chain.json", None),
        ("run-events.ndjson", b""),
    ],
)
def test_a_pack_of_addenda_that_was_changed_is_refused(
    sealed: World, path: str, content: bytes | None
) -> None:
    sealed.sealer.annotate(RUN, "one", {"mail.txt": b"all good"}, actor="bob")
    sealed.sealer.annotate(RUN, "two", {}, actor="carol")
    files = unpacked(pack_of(sealed))
    if content is None:
        del files[path]
    else:
        files[path] = content
    report = verify_pack(repacked(files), name=PACK, trusted_root=sealed.keys.trusted_root)
    assert any(check.file == path for check in report.failed)


@pytest.mark.parametrize(
    ("text", "files", "field"),
    [
        ("", {}, "addendum.text"),
        ("x" * 10_001, {}, "addendum.text"),
        ("a\x00b", {}, "addendum.text"),
        ("ok", {"../up": b""}, "addendum.attach"),
        ("ok", {"addendum.dsse": b""}, "addendum.attach"),
        ("ok", {f"{n}.txt": b"" for n in range(9)}, "addendum.attach"),
        ("ok", {"big": b"x" * (5 * 1024 * 1024 + 1)}, "addendum.attach"),
    ],
)
def test_what_cannot_be_taken(
    sealed: World, text: str, files: dict[str, bytes], field: str
) -> None:
    leaves = len(sealed.store.tlog_leaves())
    with pytest.raises(Malformed, match=field):
        sealed.sealer.annotate(RUN, text, files, actor="bob")
    assert len(sealed.store.tlog_leaves()) == leaves


def test_nothing_is_added_before_the_seal_or_exported_without_an_addendum(tmp_path: Path) -> None:
    one = world(tmp_path, decision="FAIL")
    one.play(until=lambda run: run.status is RunStatus.SEALING)
    with pytest.raises(Refused, match="no proof chain"):
        one.sealer.annotate(RUN, "early", {}, actor="bob")
    one.play()
    with pytest.raises(Refused, match="Nothing was added"):
        pack_of(one)
    one.append((Commented(text="a remark is no addendum"),), actor="ana")
    with pytest.raises(Refused, match="Nothing was added"):
        pack_of(one)
    assert not [r for r in one.store.load(RUN) if isinstance(r.event, EvidenceAddendum)]
    one.store.close()


@pytest.mark.parametrize("role", list(Role))
def test_who_may_add(sealed: World, role: Role) -> None:
    may = {Role.RELEASE_MANAGER, Role.SRE, Role.APPROVER, Role.AUDITOR}
    why_not = addenda.refusal(sealed.run, Actor(user="x", roles=frozenset({role})))
    assert (why_not is None) == (role in may)
    machine = Actor(user="ci", roles=frozenset({role}), service=True)
    assert addenda.refusal(sealed.run, machine) is not None
    running = replace(sealed.run, status=RunStatus.RUNNING)
    assert addenda.refusal(running, Actor(user="x", roles=frozenset({role}))) is not None
