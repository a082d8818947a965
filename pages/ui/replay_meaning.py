"""What somebody means who types or pastes a name: a verdict, a run, a stage, a digest, a label.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_VERDICT: Final = re.compile(r"verdict-\d+(\.\d+)?", re.ASCII)
_RUN: Final = re.compile(r"run-\d+", re.ASCII)
_GATE: Final = re.compile(r"(run-\d+)/([a-z0-9-]+)(/\d+)?", re.ASCII)
_HEX: Final = re.compile(r"(?:.*@)?(?:sha256:)?([0-9a-f]{8,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a typed text names: `kind` is nothing, verdict, run, gate, digest or label.

    Attributes:
        value: the id; of a digest its hex digits, 8 to 64; of a label the text in lower case.
        step: of a gate: the stage.
    """

    kind: str
    value: str = ""
    step: str = ""


def meant(text: str) -> Meant:
    """Read what people paste: ids, digests with or without `sha256:`, image references, names."""
    typed = " ".join(text.split())
    low = typed.lower()
    if not typed:
        return Meant(kind="nothing")
    if _VERDICT.fullmatch(low):
        return Meant(kind="verdict", value=low)
    if _RUN.fullmatch(low):
        return Meant(kind="run", value=low)
    gate = _GATE.fullmatch(low)
    if gate:
        return Meant(kind="gate", value=gate[1], step=gate[2])
    digest = _HEX.fullmatch(low)
    if digest and (len(digest[1]) == 64 or "@" not in low):
        return Meant(kind="digest", value=digest[1])
    return Meant(kind="label", value=low)


def named(meaning: Meant, bundles: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Manifest digests of the bundles that a digest or a label means, the newest first.

    Args:
        bundles: digest, name, version, and `components` as (name, digest) of each.
    """
    if meaning.kind not in {"digest", "label"}:
        return ()
    return tuple(str(one["digest"]) for one in bundles if _names(meaning, one))


def _names(meaning: Meant, one: Mapping[str, Any]) -> bool:
    if meaning.kind == "digest":
        digests = (str(one["digest"]), *(digest for _, digest in one["components"]))
        return any(d.removeprefix("sha256:").startswith(meaning.value) for d in digests)
    label = f"{one['name']} {one['version']}".lower()
    repository, _, tag = meaning.value.rpartition("/")[2].partition(":")
    components = {name.lower() for name, _ in one["components"]}
    return (
        meaning.value in label
        or meaning.value in components
        or (bool(tag) and repository in components | {str(one["name"]).lower()}
            and tag == str(one["version"]).lower())
    )  # fmt: skip


def no_match(text: str) -> str:
    return (
        f"Nothing here is called “{text.strip()}”. It takes a verdict (`verdict-42`), a run "
        "(`run-42`), a stage (`run-42/canary-10`), the digest of a bundle or of one of its "
        "components, or a bundle's name and version."
    )
