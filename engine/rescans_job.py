"""One rescan as the server hands it to the process that does it, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engine.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOf:
    """A snapshot by its blob."""

    name: str
    digest: str
    as_of_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOf:
    """`sources`: blob of what the bundle's newest verdict was made of, which names imported SBOMs
    too; empty = only the bundle's own are known."""

    digest: str
    sources: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`blobs`: folder of the home's blobs."""

    blobs: str
    feeds: tuple[FeedOf, ...]
    bundles: tuple[BundleOf, ...]

    def line(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def read(line: str) -> Job:
        document: dict[str, Any] = json.loads(line)
        return Job(
            blobs=document["blobs"],
            feeds=tuple(FeedOf(**one) for one in document["feeds"]),
            bundles=tuple(BundleOf(**one) for one in document["bundles"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Attributes:
    keys: of every finding, sorted.
    problem: why the bundle could not be matched, in one sentence; empty when it was.
    """

    digest: str
    packages: int = 0
    keys: tuple[str, ...] = ()
    kev: int = 0
    unread: int = 0
    problem: str = ""

    @property
    def bundle(self) -> Digest:
        return Digest.parse(self.digest)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def read(document: Mapping[str, Any]) -> Outcome:
        return Outcome(**{**document, "keys": tuple(document["keys"])})
