"""Drills with keys: parts or all of a pack signed anew, by strangers or by a thief of every key.

A drill has no real key to steal. So the pack is first signed anew by a forger whose trust root is
then taken for the real one; what this copy is refused for, no key in the world could mend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.core.digest import Digest
from engine.evidence.drill_approvals import approval_drills
from engine.evidence.drill_copy import (
    Broken,
    LeftOut,
    Original,
    Scratch,
    Thief,
    flipped,
    trio,
    without,
)
from engine.evidence.drill_forger import Forger, forger, pack_signed, perform
from engine.evidence.drill_script import (
    Script,
    read_script,
)
from engine.evidence.drill_stolen import stolen_drills
from engine.evidence.merkle import Tree
from engine.evidence.one_log import WITNESS
from engine.evidence.pack import read_pack
from engine.evidence.statement import MANIFEST_NAME
from engine.evidence.trust import TrustedRoot
from engine.evidence.verify import STORY, SUMS, SUMS_BUNDLE, TRUST, verify_pack


def forged_drills(original: Original, trusted: TrustedRoot) -> Iterator[Scratch]:
    """Every drill that signs something."""
    script = read_script(original, trusted)
    seed = Digest.of(original.content).hex.encode()
    witness = original.files.get(WITNESS, b"").decode("ascii", "replace").partition("+")[0]
    thief = forger(b"thief " + seed, trusted, witness=witness)
    copy = perform(script, thief)
    yield from _stranger(original, script, thief, copy)
    control = verify_pack(copy, trusted_root=thief.trusted_root)
    if not control.ok:
        why = f"the pack can't be signed anew as it was: {control.failed[0]}"
        yield LeftOut(name="stolen", why=why)
        return
    rival = forger(b"rival " + seed, trusted, witness=witness)
    yield from stolen_drills(script, thief, rival, copy)
    yield from approval_drills(script, thief)


def _stranger(original: Original, script: Script, by: Forger, copy: bytes) -> Iterator[Scratch]:
    """Keys that the real trust root doesn't know."""
    files, forged = original.files, read_pack(copy).files
    if original.items:
        path = original.victim.path
        names = trio(path, files)
        yield _own(
            "keys.item",
            f"{path} was signed, stamped and logged anew with other keys under the same names.",
            original.relisted({**files, **{name: forged[name] for name in names}}),
            *names,
        )
    changed = STORY if STORY in files else MANIFEST_NAME
    bent = {**files, changed: flipped(files[changed])}
    yield _own(
        "keys.list",
        f"One bit of {changed} was turned, SHA256SUMS written anew and signed with other keys.",
        pack_signed(script, by, Tree(), without(bent, SUMS, SUMS_BUNDLE)),
        SUMS_BUNDLE,
        changed,
    )
    yield _own(
        "keys.all",
        "Everything was signed anew with other keys; the pack keeps the real trust root.",
        original.relisted({**forged, TRUST: files[TRUST]}),
        SUMS_BUNDLE,
    )
    alone = verify_pack(copy)
    passes = all(check.ok for check in alone.checks)
    yield replace(
        _own(
            "keys.trust-root",
            "Everything was signed anew with other keys, and the pack's trust root is theirs.",
            copy,
            TRUST,
        ),
        note="Judged by its own trust root alone this copy passes every check: only a trust root "
        "or a fingerprint from outside the pack tells."
        if passes
        else "",
    )


def _own(name: str, what: str, copy: bytes, *touched: str) -> Broken:
    return Broken(name=name, by=Thief.OWN_KEYS, what=what, copy=copy, touched=touched)
