"""Drills by a thief of every key: statements that are signed well and yet contradict each other.

All of them are signed by a forger whose trust root is taken for the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.evidence.chain import FILE
from engine.evidence.drill_copy import Broken, LeftOut, Scratch, Thief
from engine.evidence.drill_forger import Forger, perform
from engine.evidence.drill_script import Act, Script, acted, exported_as, files_of, followed, middle
from engine.evidence.items import ENGINE_SUFFIX
from engine.evidence.one_log import HEAD
from engine.evidence.pack import read_pack
from engine.evidence.sigstore_bundle import Desk
from engine.evidence.verify import verify_pack

_HOUR_S: Final = 3_600
STOLEN: Final = "With every key of the signer in hand"


def stolen_drills(script: Script, by: Forger, rival: Forger, before: bytes) -> Iterator[Scratch]:
    """Every drill that only a thief of keys could play, save those on approvals.

    Args:
        rival: other keys under the same names.
        before: the whole pack as `by` signs it, which is good.
    """
    if script.acts:
        yield from _rivals(script, by, rival)
        yield from _witness(script, by, rival)
        yield from _times(script, by)
        yield from _orders(script, by)
        yield from _claims(script, by)
    yield from _ends(script, by)
    yield _rewritten_log(script, by, before)


def stolen(name: str, what: str, script: Script, by: Forger, *touched: str) -> Broken:
    return Broken(
        name=name,
        by=Thief.STOLEN_KEYS,
        what=f"{STOLEN}, {what}.",
        copy=perform(script, by),
        touched=touched,
        trusted_root=by.trusted_root,
    )


def _rivals(script: Script, by: Forger, rival: Forger) -> Iterator[Scratch]:
    """All but one of the four authorities are the right ones."""
    act, ours, theirs = middle(script), by.desk, rival.desk
    desks = {
        "rogue.authority": (
            "the certificate of one item comes from another authority of the same name",
            Desk(authority=theirs.authority, ct_key=ours.ct_key, time=ours.time),
        ),
        "rogue.ct-log": (
            "the certificate of one item was entered into another certificate log",
            Desk(authority=ours.authority, ct_key=theirs.ct_key, time=ours.time),
        ),
        "rogue.time": (
            "the time stamp of one item comes from another authority of the same name",
            Desk(authority=ours.authority, ct_key=ours.ct_key, time=theirs.time),
        ),
    }
    for name, (what, desk) in desks.items():
        yield stolen(name, what, acted(script, act.path, desk=desk), by, *files_of(script, act))
    for name, what, log_id in (
        ("rogue.log", "one item was taken in by another log of the same name", None),
        ("rogue.log-id", "one item was taken in by another log under the real one's id", by.log),
    ):
        taken_in = acted(
            script,
            act.path,
            log_key=rival.log_key,
            log_id=None if log_id is None else log_id.key_id,
        )
        yield stolen(name, what, taken_in, by, *files_of(script, act))


def _witness(script: Script, by: Forger, rival: Forger) -> Iterator[Scratch]:
    """The witness' key lies elsewhere: everything else is in the thief's hand."""
    if not by.witness:
        yield LeftOut(name="witness", why="the log's heads are not cosigned by a witness")
        return
    act = middle(script)
    for name, what, changes in (
        ("witness.none", "a head of the log is shown that no witness signed", {"cosigned": False}),
        (
            "witness.other",
            "a head of the log was signed by another witness of the same name",
            {"witness_key": rival.witness_key},
        ),
        (
            "witness.clock",
            "an item was dated an hour before the witness saw it",
            {"witnessed_s": act.at_s + _HOUR_S},
        ),
    ):
        yield stolen(name, what, acted(script, act.path, **changes), by, *files_of(script, act))


def _times(script: Script, by: Forger) -> Iterator[Scratch]:
    first, last = script.acts[0], script.acts[-1]
    if first is not last:
        yield stolen(
            "time.back-dated",
            f"{last.path} was certified and stamped when only the first item was there",
            acted(_a_second_later(script), last.path, at_s=first.at_s),
            by,
            *files_of(script, last),
        )
    act = middle(script)
    yield stolen(
        "time.late",
        f"{act.path} was stamped an hour after its certificate was made, which lives ten minutes",
        acted(script, act.path, stamped_s=act.at_s + _HOUR_S),
        by,
        *files_of(script, act),
    )


def _a_second_later(script: Script) -> Script:
    """Everything signed a second later, so that there is room to date one item back."""

    def later(act: Act) -> Act:
        return replace(act, at_s=act.at_s + 1)

    return replace(
        script,
        acts=tuple(later(act) for act in script.acts),
        seal=None if script.seal is None else later(script.seal),
        export=later(script.export),
    )


def _orders(script: Script, by: Forger) -> Iterator[Scratch]:
    """The chain's numbers, and the order in which the log took items in."""
    if len(script.acts) < 3:
        for name in ("order.log", "order.split", "order.gap"):
            yield LeftOut(name=name, why="it takes three items")
        return
    first, second, *_ = script.acts
    swapped = acted(script, first.path, place=second.place)
    yield stolen(
        "order.log",
        f"{second.path} was logged before {first.path}, though it follows from it",
        acted(swapped, second.path, place=first.place),
        by,
        first.path,
        second.path,
    )
    act = middle(script)
    yield stolen(
        "order.split",
        f"the receipt of {act.path} is of a log whose first entry was exchanged",
        acted(script, act.path, split=True),
        by,
        *files_of(script, act),
    )
    fewer = replace(script, acts=tuple(one for one in script.acts if one is not act))
    yield stolen(
        "order.gap",
        f"{act.path} was left out, and everything after it counted and signed anew",
        exported_as(fewer, evidence=len(fewer.acts)),
        by,
        *(one.path for one in fewer.acts if one.statement.link.seq > act.statement.link.seq),
    )
    if script.chain is not None:
        yield stolen(
            "order.short-chain",
            f"the proof chain was made without {act.path}",
            replace(script, unlisted=frozenset({act.path})),
            by,
            FILE,
            act.path,
        )


def _claims(script: Script, by: Forger) -> Iterator[Scratch]:
    """What items, chain and list say of run, bundle, signer and end."""
    act = middle(script)
    statement = act.statement
    link = replace(statement.link, run_id=f"{statement.link.run_id}0")
    yield stolen(
        "claim.run",
        f"{act.path} was taken from another run",
        followed(script, act.path, replace(statement, link=link).to_bytes()),
        by,
        act.path,
    )
    subjects = tuple(
        NamedDigest(name=one.name, digest=Digest("0" * 64)) for one in statement.subjects
    )
    yield stolen(
        "claim.subject",
        f"{act.path} is about another bundle",
        followed(script, act.path, replace(statement, subjects=subjects).to_bytes()),
        by,
        act.path,
    )
    engine = next((one for one in script.acts if one.identity == script.export.identity), None)
    if engine is not None:
        yield stolen(
            "claim.engine",
            f"{engine.path} was signed by another engine than the list of files",
            acted(script, engine.path, identity=f"https://other.invalid{ENGINE_SUFFIX}"),
            by,
            *files_of(script, engine),
        )
    yield stolen(
        "claim.issuer",
        f"the signer of {act.path} was vouched for by somebody else",
        acted(script, act.path, issuer="https://other.invalid/auth"),
        by,
        *files_of(script, act),
    )


def _ends(script: Script, by: Forger) -> Iterator[Scratch]:
    if script.chain is None:
        yield stolen(
            "claim.final",
            "the partial pack was signed as a final one",
            exported_as(script, partial=False, watermark=""),
            by,
            FILE,
        )
        return
    yield stolen(
        "claim.partial",
        "the whole pack was signed as a partial one",
        exported_as(script, partial=True),
        by,
        FILE,
    )
    outcome = "FAILED" if script.chain.outcome != "FAILED" else "SUCCEEDED"
    yield stolen(
        "claim.outcome",
        f"the proof chain was signed with the outcome {outcome} instead of {script.chain.outcome}",
        replace(script, chain=replace(script.chain, outcome=outcome)),
        by,
        FILE,
    )


def _rewritten_log(script: Script, by: Forger, before: bytes) -> Broken:
    """What no pack can tell by itself: everything signed once more, in a log begun anew."""
    copy = perform(script, by)
    passes = verify_pack(copy, trusted_root=by.trusted_root).ok
    return Broken(
        name="log.rewritten",
        by=Thief.STOLEN_KEYS,
        what=f"{STOLEN}, the log was begun anew and everything signed into it once more; the "
        "auditor had kept an older checkpoint.",
        copy=copy,
        trusted_root=by.trusted_root,
        against=read_pack(before).files[HEAD],
        note="Without an older checkpoint this copy passes every check: keep one of each log."
        if passes
        else "",
    )
