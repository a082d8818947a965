"""Drills on the items of a pack without any key: bits turned, numbers bent, parts exchanged.

The three files of a broken item are made to agree again, and SHA256SUMS to fit them, so that only
what is signed can tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from engine.evidence.drill_copy import (
    Broken,
    Files,
    LeftOut,
    Original,
    Scratch,
    bent,
    bundle_of,
    flipped64,
    trio,
    unsigned,
    without,
)
from engine.evidence.items import Item


def item_drills(original: Original) -> Iterator[Scratch]:
    """Every drill on an item that needs no key."""
    if not original.items:
        yield LeftOut(name="items", why="the pack holds none")
        return
    yield from _flips(original)
    yield from _numbers(original)
    yield from _exchanges(original)
    yield from _files(original)


def _bent(
    original: Original, name: str, what: str, item: Item, bend: Callable[[dict[str, Any]], object]
) -> Broken:
    changed = bent(original.files, item.path, bend)
    return unsigned(
        name,
        f"{item.path}: {what}; its three files and SHA256SUMS agree again.",
        original.relisted(changed),
        *trio(item.path, original.files),
    )


def _flips(original: Original) -> Iterator[Scratch]:
    """One bit, in each part of a signature's evidence in turn."""
    item = original.victim

    def envelope(document: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = document["dsseEnvelope"]
        return found

    def payload(document: dict[str, Any]) -> None:
        envelope(document)["payload"] = flipped64(envelope(document)["payload"])

    def signature(document: dict[str, Any]) -> None:
        one = envelope(document)["signatures"][0]
        one["sig"] = flipped64(one["sig"])

    def certificate(document: dict[str, Any]) -> None:
        one = document["verificationMaterial"]["certificate"]
        # Its last byte, within the authority's signature: it stays a readable certificate.
        one["rawBytes"] = flipped64(one["rawBytes"], -1)

    def token(document: dict[str, Any]) -> None:
        stamps = document["verificationMaterial"]["timestampVerificationData"]
        one = stamps["rfc3161Timestamps"][0]
        one["signedTimestamp"] = flipped64(one["signedTimestamp"])

    def body(document: dict[str, Any]) -> None:
        entry = _entry(document)
        entry["canonicalizedBody"] = flipped64(entry["canonicalizedBody"])

    for name, part, bend in (
        ("flip.payload", "payload", payload),
        ("flip.signature", "signature", signature),
        ("flip.certificate", "certificate", certificate),
        ("flip.token", "time stamp", token),
        ("flip.body", "log entry", body),
    ):
        yield _bent(original, name, f"one bit of the {part} was turned", item, bend)


def _numbers(original: Original) -> Iterator[Scratch]:
    """What a receipt says of its place in the log."""
    item = next((one for one in original.items if one.verified.receipt.hashes), None)
    if item is None:
        yield LeftOut(name="flip.proof-hash", why="a log of one leaf has no proof hashes")
    else:

        def proof_hash(document: dict[str, Any]) -> None:
            hashes = _proof(document)["hashes"]
            hashes[0] = flipped64(hashes[0])

        yield _bent(
            original,
            "flip.proof-hash",
            "one bit of the inclusion proof's first hash was turned",
            item,
            proof_hash,
        )
    item = original.victim

    def counted(key: str) -> Callable[[dict[str, Any]], None]:
        def bend(document: dict[str, Any]) -> None:
            _proof(document)[key] = str(int(_proof(document)[key]) + 1)

        return bend

    def root(document: dict[str, Any]) -> None:
        _proof(document)["rootHash"] = flipped64(_proof(document)["rootHash"])

    def head(document: dict[str, Any]) -> None:
        lines = _proof(document)["checkpoint"]["envelope"].split("\n")
        lines[2] = flipped64(lines[2])
        _proof(document)["checkpoint"]["envelope"] = "\n".join(lines)

    def place(document: dict[str, Any]) -> None:
        entry, proof = _entry(document), _proof(document)
        entry["logIndex"] = proof["logIndex"] = str(int(entry["logIndex"]) + 1)

    def media_type(document: dict[str, Any]) -> None:
        document["mediaType"] = document["mediaType"].replace("v0.3", "v0.9")

    for name, what, bend in (
        ("number.tree-size", "the proof's tree size was raised by one", counted("treeSize")),
        ("number.proof-index", "the proof's index was raised by one", counted("logIndex")),
        ("number.log-index", "both places that tell the log index were raised by one", place),
        ("flip.root", "one bit of the proof's root was turned", root),
        ("flip.checkpoint", "one bit of the checkpoint's root was turned", head),
        ("bundle.media-type", "the bundle's version was changed to an unknown one", media_type),
    ):
        yield _bent(original, name, what, item, bend)


def _exchanges(original: Original) -> Iterator[Scratch]:
    """Genuine parts, each with a good signature, in the wrong place."""
    first, last = original.items[0], original.items[-1]

    def receipt(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        mine["tlogEntries"] = theirs["tlogEntries"]

    def token(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        mine["timestampVerificationData"] = theirs["timestampVerificationData"]

    def index(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        entry, other = mine["tlogEntries"][0], theirs["tlogEntries"][0]
        entry["logIndex"] = entry["inclusionProof"]["logIndex"] = other["logIndex"]

    for name, what, into, exchange in (
        ("swap.receipts", "The log receipts of two items were exchanged", (first, last), receipt),
        (
            "swap.token",
            "The last item got the time stamp of the first one, which would date it back",
            (last,),
            token,
        ),
        (
            "swap.log-order",
            "Two items tell each other's index in the log, as if they had come in other order",
            (first, last),
            index,
        ),
    ):
        if first is last:
            yield LeftOut(name=name, why="it takes two items, and the pack has one")
        else:
            told = f"{what} ({first.path} and {last.path}); SHA256SUMS fits again."
            files = original.files
            for item in into:
                files = _exchanged(
                    original, files, item, last if item is first else first, exchange
                )
            touched = [path for item in into for path in trio(item.path, original.files)]
            yield unsigned(name, told, original.relisted(files), *touched)
    yield _swapped_approvals(original)


def _exchanged(
    original: Original,
    files: Files,
    item: Item,
    other: Item,
    exchange: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Files:
    """`files` after `item` has taken over a part of `other` as that was in the original."""
    theirs = json.loads(original.files[bundle_of(other.path)])["verificationMaterial"]
    return bent(files, item.path, lambda mine: exchange(mine["verificationMaterial"], theirs))


def _swapped_approvals(original: Original) -> Scratch:
    given = [one for one in original.items if "/approval/v1" in one.statement.predicate_type]
    people = {one.verified.signer.identity: one for one in given}
    if len(people) < 2:
        return LeftOut(name="swap.approvals", why="it takes approvals of two people")
    one, other = list(people.values())[:2]
    names = (trio(one.path, original.files), trio(other.path, original.files))
    files = dict(original.files)
    for a, b in zip(*names, strict=True):
        files[a], files[b] = original.files[b], original.files[a]
    return unsigned(
        "swap.approvals",
        f"The approvals of {one.verified.signer.identity} and {other.verified.signer.identity} "
        "were exchanged, each with all of its files.",
        original.relisted(files),
        *names[0],
        *names[1],
    )


def _files(original: Original) -> Iterator[Scratch]:
    """An item that is missing, there twice, or not alone in its folder."""
    item, files = original.victim, original.files
    gone = trio(item.path, files)
    dropped = without(files, *gone)
    yield unsigned("drop.item", f"{item.path} was taken out.", original.pack(dropped), *gone)
    yield unsigned(
        "drop.item.relisted",
        f"{item.path} was taken out, and SHA256SUMS written anew without it.",
        original.relisted(dropped),
        *gone,
    )
    beside = f"{item.folder}/added.json"
    yield unsigned(
        "add.file", f"{beside} was added.", original.pack({**files, beside: b"{}"}), beside
    )
    yield unsigned(
        "add.file.relisted",
        f"{beside} was added, and SHA256SUMS written anew with it.",
        original.relisted({**files, beside: b"{}"}),
        beside,
    )
    spare = item.path.replace(".dsse", "-2nd.dsse")
    doubled = {bundle_of(spare): files[bundle_of(item.path)], spare: files[item.path]}
    doubled[f"{spare.removesuffix('.dsse')}.rekor-entry.json"] = files[gone[2]]
    yield unsigned(
        "add.item",
        f"{item.path} was put in twice, with good signatures under another name.",
        original.relisted({**files, **doubled}),
        spare,
    )


def _entry(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["verificationMaterial"]["tlogEntries"][0]
    return found


def _proof(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _entry(document)["inclusionProof"]
    return found
