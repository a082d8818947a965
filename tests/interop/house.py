"""Runs of every outcome by one set of keys, laid out as an auditor unpacks them."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from engine import keystore
from engine.core.digest import Digest
from engine.keystore import Keys
from engine.logbook import open_log
from engine.rotation import rotate
from engine.transparency import Wish
from tests.evidence.kit import BASE, EMAILS, ENGINE, ISSUER, RUN, World, open_world, unpacked
from tests.evidence.kit_outcomes import WAYS

_BUNDLE: Final = ".sigstore.json"
_PACK: Final = "audit-pack.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A bundle and what an auditor expects of it.

    Attributes:
        artifact: a file that the statement is about.
        kind: its predicate type.
        root: trusted_root.json as it was exported, and `config` the one with services beside it.
    """

    bundle: Path
    artifact: Path
    identity: str
    kind: str
    root: Path
    config: Path

    def __str__(self) -> str:
        return "/".join(self.bundle.parts[-4:])


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Attributes:
    packs: folder of an unpacked pack by outcome, its own signature and the pack beside.
    rotated: what was signed before and after all keys were made anew, under the new trust root.
    """

    packs: Mapping[str, Path]
    cases: tuple[Case, ...]
    rotated: tuple[Case, ...]

    def case(self, outcome: str, name: str) -> Case:
        (found,) = [one for one in self.cases if one.bundle == self.packs[outcome] / name]
        return found


def statement(bundle: Path) -> dict[str, Any]:
    return dict(json.loads(b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"])))


def build(folder: Path) -> House:
    """One home with keys, copied for each run before it begins."""
    empty = folder / "empty"
    empty.mkdir()
    keystore.create(empty, "secret", log_origin="log.releaseline.local")
    packs = {}
    for name, (outcome, changes) in WAYS.items():
        # openssl takes a path with a space for two.
        place = folder / name.replace(" ", "-")
        home = place / "home"
        shutil.copytree(empty, home)
        one = open_world(home, **changes)
        assert one.play().status.value == outcome
        packs[name] = _unpack(one, place)
        one.store.close()
    cases = tuple(case for pack in packs.values() for case in _cases(pack))
    return House(packs=packs, cases=cases, rotated=_rotated(packs["policy said no"]))


def _unpack(one: World, folder: Path) -> Path:
    pack = folder / "pack"
    content = one.pack()
    for name, file in unpacked(content).items():
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        (pack / name).write_bytes(file)
    name, bundle = one.sealer.export(RUN, f"audit-pack{_BUNDLE}", actor="ana")
    (folder / name).write_bytes(bundle)
    (folder / _PACK).write_bytes(content)
    return pack


def _cases(pack: Path) -> Iterator[Case]:
    """Every signature of a pack, and that over the pack."""
    artifacts = {Digest.of(p.read_bytes()).hex: p for p in _files(pack) if p.suffix != ".dsse"}
    yield _case(pack.parent / f"{_PACK}{_BUNDLE}", pack.parent / _PACK, pack)
    for path in _files(pack):
        if path.name.endswith(_BUNDLE):
            said = [one["digest"]["sha256"] for one in statement(path)["subject"]]
            yield _case(path, next(artifacts[one] for one in said if one in artifacts), pack)


def _files(pack: Path) -> list[Path]:
    return sorted(path for path in pack.rglob("*") if path.is_file())


def _case(bundle: Path, artifact: Path, pack: Path) -> Case:
    said = statement(bundle)
    person = said["predicate"].get("approver")
    identity = ENGINE if person is None else str(person["id"]).removeprefix("mailto:")
    assert identity in {ENGINE, *EMAILS.values()}
    return Case(
        bundle=bundle,
        artifact=artifact,
        identity=identity,
        kind=said["predicateType"],
        root=pack / "trust" / "trusted_root.json",
        config=pack / "trust" / "trust_config.json",
    )


def _rotated(pack: Path) -> tuple[Case, ...]:
    """What was signed with the old keys, and the same statement signed with the new ones."""
    home = pack.with_name("home")
    one = open_world(home)
    book = open_log(home, one.store, one.keys, issuer=ISSUER)
    keys = rotate(
        home, one.store, book, one.clock, ["all"], passphrase="secret", issuer=ISSUER, base=BASE
    )
    (old,) = [case for case in _cases(pack) if case.artifact == pack / "SHA256SUMS"]
    old = replace(old, root=home / "trusted_root.json", config=home / "trust_config.json")
    fresh = replace(old, bundle=home.parents[1] / f"fresh{_BUNDLE}")
    fresh.bundle.write_bytes(_signed(one, keys, old))
    one.store.close()
    return old, fresh


def _signed(one: World, keys: Keys, case: Case) -> bytes:
    wish = Wish(payload=json.dumps(statement(case.bundle)).encode(), identity=ENGINE)
    log = open_log(one.home, one.store, keys, issuer=ISSUER).log
    with log.writing() as tree:
        (made,), rows = log.sign(tree, (wish,), now_us=one.clock.now_us(), anchor=None)
        one.store.record(rows)
    return made.pending.bundle(made.receipt)


def foreign_root(folder: Path) -> tuple[Path, Path]:
    """The trust root of another home, and its config."""
    folder.mkdir()
    keystore.create(folder, "secret", log_origin="log.releaseline.local")
    return folder / "trusted_root.json", folder / "trust_config.json"
