"""Whether a pack holds the imported attestations that its inputs name, and the bundle they name.

The list stands in resolved-inputs.json, which is signed; the envelopes lie beside it. Whose key
signed them is for whoever has that key: here it is only seen that none was dropped or exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.core.attestations import FOLDER
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.evidence import dsse
from engine.evidence.report import Ledger
from engine.evidence.strict import fields, parse_object, text

RESOLVED: Final = "resolved-inputs.json"


def check_imports(files: Mapping[str, bytes], ledger: Ledger) -> None:
    """Hold the envelopes under `imported/` against every resolved-inputs.json of the pack."""
    there: dict[str, str] = {}
    for path in sorted(files):
        if path.startswith(FOLDER) and path.endswith(".dsse"):
            with ledger.judging(path, "imported.form"):
                dsse.parse_envelope(files[path], where=path)
                there[str(Digest.of(files[path]))] = path
    for path in sorted(files):
        if path.startswith("steps/") and path.endswith(f"/{RESOLVED}"):
            with ledger.judging(path, "imported.list"):
                for digest, predicate_type in _listed(files[path], path):
                    _check(digest, predicate_type, there, files, ledger, path)


def _check(
    digest: str,
    predicate_type: str,
    there: Mapping[str, str],
    files: Mapping[str, bytes],
    ledger: Ledger,
    where: str,
) -> None:
    path = there.get(digest)
    if path is None:
        ledger.no(where, "imported.missing", expected=f"the attestation {digest}", found="no file")
        return
    record = path.removesuffix(".dsse") + ".verification.json"
    with ledger.judging(record, "imported.record"):
        said = parse_object(files.get(record, b""), where=record)
        ledger.equal(
            record,
            "imported.record",
            expected={
                "envelope": {"sha256": digest.removeprefix("sha256:")},
                "predicateType": predicate_type,
            },
            found={
                "envelope": _mapping(said.get("envelope")),
                "predicateType": said.get("predicateType"),
            },
        )
    ledger.ok(path, "imported", f"{predicate_type}, named by {where}")


def _listed(content: bytes, where: str) -> list[tuple[str, str]]:
    """Digest and predicate type of each; packs of runs from before imports have no list."""
    value = parse_object(content, where=where).get("attestations", [])
    if not isinstance(value, list):
        raise Malformed("expected a list", where=f"{where}.attestations")
    found = []
    for number, one in enumerate(value):
        spot = f"{where}.attestations[{number}]"
        fields(one, {"digest", "predicateType", "signer"}, optional={"trust", "about"}, where=spot)
        found.append((text(one, "digest", where=spot), text(one, "predicateType", where=spot)))
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
