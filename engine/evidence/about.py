"""What a pack says of itself by its own signature; everything else in it is held against that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Of which run a pack is, and what it holds.

    Attributes:
        manifest: digest of the bundle's manifest that lies in it.
        engine: who signed the pack.
        said: the signed export statement's predicate.
    """

    run_id: str
    manifest: Digest
    engine: str
    said: Mapping[str, Any]
