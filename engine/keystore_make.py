"""Making key material: all of a home's keys at `init`, and some of them anew at a rotation.

Material is one JSON document that exists in memory and encrypted, nowhere else. What is rotated
stays in the trusted root with the end of its window: what was signed before goes on verifying.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.core.digest import Digest
from engine.evidence import certificates
from engine.evidence.certificates import Authority
from engine.evidence.checkpoint import NoteKey
from engine.evidence.cosignature import KnownWitness, WitnessKey, parse_witness_vkey
from engine.evidence.trust import Chain, CtLog, Log, TrustedRoot, Window, parse_trusted_root

DEFAULT_LOG_ORIGIN: Final = "log-2026a.releaseline.local"
DEFAULT_WITNESS: Final = "witness.releaseline.local"
# What can be made anew by itself. The CT key signs for the CA, so it goes with it.
ROTATABLE: Final = ("log", "ca", "tsa", "witness")
_ORGANIZATION: Final = "Releaseline"
_ROOT_YEARS: Final = 10
_SHARD: Final = re.compile(r"^(.*?)([0-9]{4})([a-z])(\..*)?$")
_T = TypeVar("_T", Log, Chain, CtLog)


def make(log_origin: str, witness: str, now_us: int) -> dict[str, Any]:
    """Everything that a new home needs. `witness`: the vkey of its own, or empty."""
    window = Window(start_s=now_us // 1_000_000)
    log, log_entry = _log(log_origin, window, witness)
    ca, ca_entry, ct_entry = _ca(now_us, window)
    tsa, tsa_entry = _tsa(now_us, window)
    trusted = TrustedRoot(
        logs=(log_entry,),
        authorities=(ca_entry,),
        ct_logs=(ct_entry,),
        time_authorities=(tsa_entry,),
    )
    return {
        **log,
        **ca,
        **tsa,
        "logFirst": 0,
        "formerLogs": [],
        "formerRoots": [],
        "witness": witness,
        "rotated": [],
        "inputKey": _b64(secrets.token_bytes(32)),
        "trustedRoot": _b64(trusted.to_bytes()),
    }


def rotated(
    former: Mapping[str, Any],
    what: Iterable[str],
    *,
    now_us: int,
    origin: str = "",
    leaves: int = 0,
    checkpoint: str = "",
    witness: str = "",
) -> dict[str, Any]:
    """Material in which `what` is new and everything else as before.

    Args:
        origin: of the new log shard; by default the one after the present.
        leaves: how many the log has over all its shards: the new one begins behind them.
        checkpoint: the last one of the present shard, as its log signed it.
        witness: vkey of the new witness key.
    """
    made, now_s = dict(former), now_us // 1_000_000
    root = base64.b64decode(former["trustedRoot"])
    trusted, window, parts = parse_trusted_root(root), Window(start_s=now_s), frozenset(what)
    if "log" in parts:
        name = origin or next_origin(former["logOrigin"], now_us)
        known = witness if "witness" in parts else former.get("witness", "")
        log, log_entry = _log(name, window, known)
        trusted = replace(trusted, logs=(*_ended(trusted.logs, now_s), log_entry))
        shard = {"origin": former["logOrigin"], "first": former.get("logFirst", 0)}
        made |= {
            **log,
            "logFirst": leaves,
            "formerLogs": [*former.get("formerLogs", ()), {**shard, "checkpoint": checkpoint}],
        }
    if "ca" in parts:
        ca, ca_entry, ct_entry = _ca(now_us, window)
        made |= ca
        trusted = replace(
            trusted,
            authorities=(*_ended(trusted.authorities, now_s), ca_entry),
            ct_logs=(*_ended(trusted.ct_logs, now_s), ct_entry),
        )
    if "tsa" in parts:
        tsa, tsa_entry = _tsa(now_us, window)
        made |= tsa
        ended = _ended(trusted.time_authorities, now_s)
        trusted = replace(trusted, time_authorities=(*ended, tsa_entry))
    if "witness" in parts:
        made["witness"] = witness
        logs = _retired(trusted.logs, now_s, but=witness)
        fresh = KnownWitness(key=parse_witness_vkey(witness))
        if "log" not in parts:
            *former_logs, now = logs
            logs = (*former_logs, replace(now, witnesses=(*now.witnesses, fresh)))
        trusted = replace(trusted, logs=logs)
    return made | {
        "trustedRoot": _b64(trusted.to_bytes()),
        "formerRoots": [*former.get("formerRoots", ()), Digest.of(root).hex],
        "rotated": sorted(parts),
    }


def next_origin(origin: str, now_us: int) -> str:
    """`log-2026a...` becomes `log-2026b...`, or `log-2027a...` in another year."""
    year = f"{datetime.fromtimestamp(now_us // 1_000_000, UTC):%Y}"
    found = _SHARD.fullmatch(origin)
    if found is not None:
        head, then, letter, tail = found.groups(default="")
        if then < year:
            return f"{head}{year}a{tail}"
        if letter < "z":
            return f"{head}{then}{chr(ord(letter) + 1)}{tail}"
    head, dot, tail = origin.partition(".")
    stem, dash, number = head.rpartition("-s")
    counted = bool(dash) and number.isascii() and number.isdecimal()
    return f"{stem if counted else head}-s{int(number) + 1 if counted else 2}{dot}{tail}"


def make_witness(name: str = DEFAULT_WITNESS) -> tuple[dict[str, Any], str]:
    """Material of a witness, and its vkey."""
    key = Ed25519PrivateKey.generate()
    vkey = str(WitnessKey(name, key.public_key()))
    return {"name": name, "key": _b64(key.private_bytes_raw()), "vkey": vkey}, vkey


def _ended(entries: tuple[_T, ...], now_s: int) -> tuple[_T, ...]:
    """Those still in use end now; an end that was set earlier is never moved."""
    return tuple(
        replace(one, window=replace(one.window, end_s=now_s)) if one.window.end_s is None else one
        for one in entries
    )


def _retired(logs: tuple[Log, ...], now_s: int, *, but: str) -> tuple[Log, ...]:
    """Every witness but one ends now, in every log; heads that it cosigned before stay good."""

    def ended(one: KnownWitness) -> KnownWitness:
        return one if one.end_s is not None or str(one.key) == but else replace(one, end_s=now_s)

    return tuple(replace(log, witnesses=tuple(map(ended, log.witnesses))) for log in logs)


def _log(origin: str, window: Window, witness: str) -> tuple[dict[str, str], Log]:
    key = Ed25519PrivateKey.generate()
    entry = Log(
        key=NoteKey(origin, key.public_key()),
        window=window,
        witnesses=(KnownWitness(key=parse_witness_vkey(witness)),) if witness else (),
    )
    return {"logOrigin": origin, "logKey": _b64(key.private_bytes_raw())}, entry


def _ca(now_us: int, window: Window) -> tuple[dict[str, str], Chain, CtLog]:
    ca_key, ct_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificates.make_root(
        ca_key,
        organization=_ORGANIZATION,
        common_name="Releaseline evidence CA",
        serial=x509.random_serial_number(),
        now_us=now_us,
        years=_ROOT_YEARS,
    )
    material = {
        "caKey": _der(ca_key),
        "caCertificate": _b64(ca.public_bytes(Encoding.DER)),
        "ctKey": _der(ct_key),
    }
    return (
        material,
        Chain(certificates=(ca,), window=window),
        CtLog(key=ct_key.public_key(), window=window),
    )


def _tsa(now_us: int, window: Window) -> tuple[dict[str, str], Chain]:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificates.make_root(
        root_key,
        organization=_ORGANIZATION,
        common_name="Releaseline time-stamp root",
        serial=x509.random_serial_number(),
        now_us=now_us,
        years=_ROOT_YEARS,
    )
    leaf = certificates.make_tsa(
        Authority(certificate=root, key=root_key),
        key.public_key(),
        organization=_ORGANIZATION,
        common_name="Releaseline time-stamp authority",
        serial=x509.random_serial_number(),
    )
    material = {
        "tsaRootKey": _der(root_key),
        "tsaRootCertificate": _b64(root.public_bytes(Encoding.DER)),
        "tsaKey": _der(key),
        "tsaCertificate": _b64(leaf.public_bytes(Encoding.DER)),
    }
    return material, Chain(certificates=(leaf, root), window=window)


def _der(key: ec.EllipticCurvePrivateKey) -> str:
    return _b64(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
