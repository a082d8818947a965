"""The list of SHA-256 digests that a mirror publishes beside its files, as `sha256sum` writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from engine.core.errors import Malformed, Unverified

_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(\S.*)")


def read_manifest(content: bytes, *, where: str) -> Mapping[str, str]:
    """Hex digests by path. Raises `Malformed` naming the line."""
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    digests: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        place = f"{where}: line {number}"
        match = _LINE.fullmatch(line)
        if match is None:
            raise Malformed(f"expected `digest  path`, found {line[:80]!r}", where=place)
        if match[2] in digests:
            raise Malformed(f"expected each path once, found {match[2]!r} again", where=place)
        digests[match[2]] = match[1]
    if not digests:
        raise Malformed("expected at least one digest, found none", where=where)
    return digests


def check_listed(digests: Mapping[str, str], place: str, content: bytes, *, manifest: str) -> None:
    """Raises `Unverified` unless `content` is what the list says that `place` is."""
    expected = digests.get(place)
    found = hashlib.sha256(content).hexdigest()
    if expected is None:
        raise Unverified(
            f"{place}: expected a digest in {manifest}, found none",
            check="feed.manifest",
            file=place,
            expected=f"a line in {manifest}",
            found="none",
        )
    if expected != found:
        raise Unverified(
            f"{place}: expected SHA-256 {expected} as {manifest} says, found {found}",
            check="feed.digest",
            file=place,
            expected=expected,
            found=found,
        )
