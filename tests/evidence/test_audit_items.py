"""An item taken apart says what an auditor finds in the pack, and `Verify now` can say no."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.audit_items import bundle_of, detail, verified
from engine.audit_packets import Packet, packets
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.evidence.merkle import leaf_hash
from engine.services import Services
from pages.ui import evidence_item, evidence_timeline
from pages.ui.evidence_auditor import signer_of
from tests.evidence.conftest import Played
from tests.evidence.kit import BASE, EMAILS, ENGINE, ISSUER, RUN

pytestmark = pytest.mark.house


def house_of(played: Played) -> Services:
    return cast(Services, SimpleNamespace(store=played.world.store, home=played.world.home))


def items(played: Played) -> list[Packet]:
    found = packets(house_of(played), run_id=RUN)
    return sorted((p for p in found if p.what == "captured"), key=lambda p: p.item)


def test_every_part_is_what_the_bundle_holds(healthy: Played) -> None:
    house = house_of(healthy)
    found = items(healthy)
    assert len(found) == healthy.run.evidence_count
    signers = set()
    for packet in found:
        one = detail(house, packet)
        signers.add(one.leaf.subject)
        assert one.receipt.index == packet.log_index
        assert one.leaf.start.timestamp() <= one.stamped_s <= one.leaf.end.timestamp()
        assert one.leaf.sct_ms is not None and one.stamp_serial > 0
        assert json.loads(evidence_item.predicate(one)) == one.statement["predicate"]
        assert verified(house, packet).ok
    assert signers == {ENGINE, *EMAILS.values()}


def test_the_way_that_is_drawn_leads_to_the_root(healthy: Played) -> None:
    for packet in items(healthy):
        one = detail(house_of(healthy), packet)
        node = leaf_hash(one.receipt.body)
        for row in evidence_item.path(one):
            other = bytes.fromhex(row["Hash"])
            pair = other + node if row["Joined"] == "before ours" else node + other
            node = hashlib.sha256(b"\x01" + pair).digest()
        assert node == one.receipt.root


def test_the_commands_name_this_very_item(healthy: Played) -> None:
    packet = items(healthy)[2]
    signer = signer_of(packet, issuer=ISSUER, base=BASE)
    assert signer is not None and packet.signed is not None
    told = evidence_item.commands(packet, signer, predicate_type=packet.signed.predicate_type)
    assert [one.needs for one in told] == ["sigstore", "gh", "node", "cosign", "openssl"]
    bundle = packet.name.removesuffix(".dsse") + ".sigstore.json"
    assert all(bundle in one.text for one in told)
    assert all(signer.identity in one.text for one in told[:4])


class Bent:
    """A store one of whose blobs was changed on the disk, past its check."""

    def __init__(self, real: Any, digest: Digest, content: bytes) -> None:
        self._real, self._digest, self._content = real, digest, content

    def get(self, digest: Digest) -> bytes:
        return self._content if digest == self._digest else self._real.get(digest)


def test_what_was_changed_does_not_verify(healthy: Played) -> None:
    packet, house = items(healthy)[1], house_of(healthy)
    content = bundle_of(house, packet)
    name = next(d for n, d in packet.files if n.endswith("policy-decision.sigstore.json"))
    changed = content.replace(b'"logIndex":"1"', b'"logIndex":"2"')
    assert changed != content
    bent = Bent(house.store.blobs, Digest.parse(name), changed)
    store = SimpleNamespace(blobs=bent)
    report = verified(cast(Services, SimpleNamespace(store=store, home=house.home)), packet)
    assert not report.ok
    good, head, lines = evidence_item.judged(report)
    assert not good and "NOT" in head and any(line.startswith("FAILED") for line in lines)


def test_what_is_gone_is_said(healthy: Played, tmp_path: Path) -> None:
    packet, house = items(healthy)[1], house_of(healthy)
    bare = SimpleNamespace(**{"files": (), "stem": packet.stem, "name": packet.name})
    with pytest.raises(NotFound, match="no bundle on record"):
        bundle_of(house, cast(Packet, bare))
    name = next(d for n, d in packet.files if n.endswith("policy-decision.sigstore.json"))
    bent = Bent(house.store.blobs, Digest.parse(name), b"{}")
    store = cast(Services, SimpleNamespace(store=SimpleNamespace(blobs=bent), home=tmp_path))
    with pytest.raises((Malformed, KeyError)):
        detail(store, packet)


def test_the_timeline_lists_every_checkpoint(healthy: Played, rejected: Played) -> None:
    for played in (healthy, rejected):
        found = packets(house_of(played), run_id=RUN)
        rows = evidence_timeline.rows(played.run, found)
        words = [row["cells"][2]["look"]["word"] for row in rows]
        assert words.count("SEALED") == played.run.evidence_count + 1
        assert (words.count("CANNOT ARRIVE") > 0) == (played is rejected)
        assert "EXPECTED" not in words
        assert f"{played.run.evidence_count} " in evidence_timeline.summary(played.run, found)
