"""What somebody adds to a run after its seal. The chain that it speaks of stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.digest import Digest
from engine.core.event_parts import NamedDigest
from engine.core.state import Run
from engine.evidence.chain import FILE
from engine.evidence.predicates import Draft, rfc3339

STEM = "addendum"
TYPE_SUFFIX = "/addendum/v1"


def folder(number: int) -> str:
    """Where an addendum lies in a pack."""
    return f"addenda/{number:02d}"


def addendum(
    run: Run,
    *,
    number: int,
    base: str,
    author: str,
    user: str,
    roles: Sequence[str],
    text: str,
    files: Mapping[str, bytes],
    at_us: int,
) -> Draft:
    """A signed note on a sealed run.

    Args:
        author: certificate identity of `user`.
        files: attachments by name.
    """
    assert run.chain is not None and run.outcome is not None  # only sealed runs have addenda
    return Draft(
        stem=STEM,
        predicate_type=f"{base}{TYPE_SUFFIX}",
        predicate={
            "number": number,
            "chain": {"name": FILE, "digest": {"sha256": run.chain.hex}},
            "outcome": run.outcome.value,
            "author": {"id": author, "user": user, "roles": list(roles)},
            "writtenAt": rfc3339(at_us),
            "text": text,
            "attachments": [
                {"name": name, "digest": {"sha256": Digest.of(files[name]).hex}}
                for name in sorted(files)
            ],
        },
        files=tuple((name, files[name]) for name in sorted(files)),
        person=user,
    )


def subjects(run: Run) -> tuple[NamedDigest, ...]:
    """What an addendum is about: the chain, and so everything under it."""
    assert run.chain is not None
    return (NamedDigest(name=FILE, digest=run.chain),)
