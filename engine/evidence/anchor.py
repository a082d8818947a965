"""Which trusted root a pack is judged by, and whether what lies in the pack agrees with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.evidence.report import Ledger
from engine.evidence.strict import parse_object
from engine.evidence.trust import parse_trusted_root

TRUST: Final = "trust/trusted_root.json"
CONFIG: Final = "trust/trust_config.json"
_CA: Final = "trust/ca.pem"
_TSA_ROOT: Final = "trust/tsa_root.pem"
_TSA: Final = "trust/tsa.pem"


def root_of(
    files: Mapping[str, bytes], ledger: Ledger, given: bytes | None, sha256: str | None
) -> bytes:
    """The bytes of the trusted root to judge by: the given one, and else the pack's copy.

    The copy has to be the given one, or an earlier state of it: after a rotation of keys the root
    of a home knows more keys than the one that an old pack was made under.
    """
    copy = files.get(TRUST, b"")
    found = Digest.of(copy).hex
    if given is not None and sha256 is not None:
        wanted = f"sha256:{_hex(sha256)}"
        ledger.equal(
            "trusted_root.json", "trust.root", expected=wanted, found=str(Digest.of(given))
        )
    if given is not None:
        if given == copy:
            ledger.ok(TRUST, "trust.root", f"sha256:{found}")
        else:
            with ledger.judging(TRUST, "trust.root"):
                _check_earlier(copy, given, ledger)
        return given
    if sha256 is None:
        ledger.ok(TRUST, "trust.root", f"the pack's own copy, to be compared: sha256:{found}")
    elif ledger.equal(
        TRUST, "trust.root", expected=f"sha256:{_hex(sha256)}", found=f"sha256:{found}"
    ):
        ledger.ok(TRUST, "trust.root", f"sha256:{found}")
    return copy


def check_trust_files(files: Mapping[str, bytes], ledger: Ledger) -> None:
    """What stock tools are told to trust has to be what the pack's trusted root says."""
    with ledger.judging(CONFIG, "trust.config"):
        config = parse_object(files.get(CONFIG, b""), where=CONFIG)
        copy = parse_object(files.get(TRUST, b""), where=TRUST)
        named = config.get("trustedRoot")
        ledger.same(
            CONFIG, "trust.config", expected=copy, found=named if isinstance(named, dict) else {}
        )
    with ledger.judging(TRUST, "trust.pem"):
        root = parse_trusted_root(files.get(TRUST, b""))
        for path, chains, place in (
            (_CA, root.authorities, -1),
            (_TSA_ROOT, root.time_authorities, -1),
            (_TSA, root.time_authorities, 0),
        ):
            known = {chain.certificates[place].public_bytes(Encoding.PEM) for chain in chains}
            if path in files and not _only(files[path], known):
                ledger.no(
                    path,
                    "trust.pem",
                    expected=f"certificates of {TRUST}",
                    found=f"sha256:{Digest.of(files[path]).hex}",
                )


def _only(content: bytes, known: set[bytes]) -> bool:
    """Whether `content` is some of the known PEM certificates in a row and nothing else."""
    if not content:
        return False
    while content:
        first = next((one for one in known if content.startswith(one)), None)
        if first is None:
            return False
        content = content[len(first) :]
    return True


def _check_earlier(copy: bytes, given: bytes, ledger: Ledger) -> None:
    now, before = parse_trusted_root(given), parse_trusted_root(copy, where=TRUST)
    trusted = f"sha256:{Digest.of(given).hex}"
    if now.grew_from(before):
        ledger.ok(TRUST, "trust.root", f"an earlier state of {trusted}")
    else:
        ledger.no(
            TRUST,
            "trust.root",
            expected=f"{trusted}, or an earlier state of it",
            found=f"sha256:{Digest.of(copy).hex}",
        )


def _hex(sha256: str) -> str:
    digest = sha256.strip().lower().removeprefix("sha256:")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise Malformed(f"expected 64 hex digits, found {sha256!r}", where="trusted_root_sha256")
    return digest
