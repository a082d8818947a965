"""A good case, changed in one thing that no client may pass over."""

from __future__ import annotations

import copy
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tests.interop.house import Case

Bundle = dict[str, Any]


def _payload(bundle: Bundle, _other: Bundle) -> None:
    """Still a statement that can be read; it says another outcome."""
    envelope = bundle["dsseEnvelope"]
    said = b64decode(envelope["payload"])
    changed = said.replace(b"SUCCEEDED", b"CANCELLED")
    assert changed != said
    envelope["payload"] = b64encode(changed).decode()


def _signature(bundle: Bundle, other: Bundle) -> None:
    ours, theirs = (one["dsseEnvelope"]["signatures"][0] for one in (bundle, other))
    ours["sig"] = theirs["sig"]


def _certificate(bundle: Bundle, other: Bundle) -> None:
    _take(bundle, other, "certificate")


def _token(bundle: Bundle, other: Bundle) -> None:
    _take(bundle, other, "timestampVerificationData")


def _entry(bundle: Bundle, other: Bundle) -> None:
    _take(bundle, other, "tlogEntries")


def _proof(bundle: Bundle, _other: Bundle) -> None:
    hashes = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"]
    hashes[0] = b64encode(bytes(32)).decode()


def _take(bundle: Bundle, other: Bundle, part: str) -> None:
    bundle["verificationMaterial"][part] = other["verificationMaterial"][part]


IN_THE_BUNDLE: Final[Mapping[str, Callable[[Bundle, Bundle], None]]] = {
    "another payload": _payload,
    "another signature": _signature,
    "another certificate": _certificate,
    "another time stamp": _token,
    "another log entry": _entry,
    "another proof": _proof,
}


def changed(case: Case, other: Case, foreign: tuple[Path, Path], folder: Path) -> dict[str, Case]:
    """Args:
    other: of the same home and good; its parts are put in.
    foreign: trusted root of another home and its config.
    """
    good, theirs = (json.loads(one.bundle.read_bytes()) for one in (case, other))
    cases = {
        "another signer": replace(case, identity=f"{case.identity}s"),
        "another home": replace(case, root=foreign[0], config=foreign[1]),
    }
    for number, (name, change) in enumerate(IN_THE_BUNDLE.items()):
        bundle = copy.deepcopy(good)
        change(bundle, theirs)
        assert bundle != good
        path = folder / f"{number}.sigstore.json"
        path.write_text(json.dumps(bundle))
        cases[name] = replace(case, bundle=path)
    return cases


def another_artifact(case: Case, folder: Path) -> Case:
    path = folder / "artifact"
    path.write_bytes(case.artifact.read_bytes() + b"\n")
    return replace(case, artifact=path)
