"""What comes after a rotation: a renewed witness, and addenda to a run of before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from engine.evidence.checkpoint import split_note
from engine.evidence.cosignature import cosign
from engine.evidence.strict import parse_object
from engine.evidence.trust import parse_trusted_root
from engine.evidence.verify import verify_envelope, verify_pack
from engine.keystore_show import listing
from tests.evidence.kit import RUN, World, sealer, unpacked, world
from tests.shell.rotating import signed, turned, verified

pytestmark = pytest.mark.house


@pytest.fixture
def one(tmp_path: Path) -> Iterator[World]:
    opened = world(tmp_path, decision="FAIL")
    opened.play()
    yield opened
    opened.store.close()


def test_a_witness_that_was_renewed_is_believed_up_to_its_end(one: World) -> None:
    """Somebody has kept the old witness' key and, with all other keys as they are now, goes on."""
    before = signed(one, one.keys)
    keys = turned(one, "witness")
    old = one.keys.witness
    assert old is not None and keys.witness is not None
    (log,) = parse_trusted_root(keys.trusted_root).logs
    ended, fresh = log.witnesses
    assert (str(ended.key), fresh.end_s) == (str(old.public), None)
    assert ended.end_s is not None and str(fresh.key) == str(keys.witness.public)
    made_ = signed(one, keys)
    assert verified(before, keys.trusted_root) and verified(made_, keys.trusted_root)

    def by_old(at_s: int) -> bytes:
        text = split_note(made_.receipt.checkpoint, where="")[0]
        log_line = made_.receipt.checkpoint.removeprefix(f"{text}\n").partition("\n")[0]
        note = f"{text}\n{log_line}\n{cosign(text, old.name, old.key, at_s=at_s)}"
        return made_.pending.bundle(replace(made_.receipt, checkpoint=note))

    (failed,) = verify_envelope(by_old(ended.end_s + 1), trusted_root=keys.trusted_root).failed
    assert failed.check == "witness.window" and " UTC" in failed.expected + failed.found, failed
    assert verify_envelope(by_old(ended.end_s), trusted_root=keys.trusted_root).ok
    assert [line.end_s for line in listing(one.home)[1] if line.kind == "witness"] == [
        ended.end_s,
        None,
    ]


def test_ends_of_witnesses_are_growth_only_forwards(one: World) -> None:
    before = parse_trusted_root(one.keys.trusted_root)
    first = turned(one, "witness")
    second = turned(one, "log", "witness", keys=first)
    roots = [
        before,
        parse_trusted_root(first.trusted_root),
        parse_trusted_root(second.trusted_root),
    ]
    assert all(new.grew_from(old) for old, new in pairwise(roots))
    assert not any(old.grew_from(new) for old, new in pairwise(roots))
    assert [[one.end_s is None for one in log.witnesses] for log in roots[-1].logs] == [
        [False, False],
        [True],
    ]
    log = roots[1].logs[0]
    moved = replace(log.witnesses[0], end_s=1)
    other = replace(roots[1], logs=(replace(log, witnesses=(moved, log.witnesses[1])),))
    assert not other.grew_from(roots[1])


def test_addenda_go_on_over_any_number_of_rotations(one: World) -> None:
    """Each is in the log of its day; the pack of all of them is judged by what is trusted now."""
    audit, keys = one.pack(), one.keys
    for number, what in enumerate([(), ("log",), ("witness", "ca"), ("all",)], start=1):
        if what:
            keys = turned(one, *what, keys=keys)
            one.sealer = sealer(one.home, one.store, one.clock, keys)
        one.sealer.annotate(RUN, f"note {number}", {}, actor="bob")
        name, content = one.sealer.export(RUN, "addenda", actor="ana")
        report = verify_pack(content, name=name, trusted_root=keys.trusted_root)
        assert report.ok, [str(check) for check in report.failed]
        assert sum(check.check == "addendum" for check in report.checks) == number
    origins = [
        parse_object(content, where=path)["inclusionProof"]["checkpoint"]["envelope"].split("\n")[0]
        for path, content in sorted(unpacked(content).items())
        if path.startswith("addenda/") and path.endswith("rekor-entry.json")
    ]
    assert origins == [keys.origins[0], *[keys.origins[1]] * 2, keys.origins[2]]
    assert verify_pack(audit, trusted_root=keys.trusted_root).ok
    assert not verify_pack(content, trusted_root=one.keys.trusted_root).ok
