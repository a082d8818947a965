"""The process that an import is checked in: opening and counting a file of feeds would stop every
thread of the server. `python -m engine.feeds_file_child`, started by `engine.feeds_files`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.child import say, teller, work
from engine.core.errors import Malformed, Unverified
from engine.evidence.foreign_key import parse_key
from engine.feeds_file import Listed, open_feeds
from engine.inputs.feeds import pack_feed, unpack_feed
from engine.inputs.feeds_census import census, changes


def main() -> None:
    job: dict[str, Any] = json.loads(work())
    try:
        _open(job)
    except Unverified as error:
        say({"failed": str(error), "code": "unverified"})
    except Malformed as error:
        say({"failed": str(error), "code": "malformed"})
    except MemoryError:
        say({"failed": "it is larger than the memory of this machine", "code": "malformed"})


def _open(job: dict[str, Any]) -> None:
    tell = teller()
    tell("checking signature and digests", 0, 0, "")
    keys = [parse_key(pem.encode("ascii"), where="key") for pem in job["keys"]]
    opened = open_feeds(Path(job["file"]).read_bytes(), keys, where=job["name"])
    for n, one in enumerate(opened.listed, 1):
        tell("reading", n, len(opened.listed), "feeds")
        content = opened.contents[one.name]
        previous = job["previous"].get(one.name, "")
        say({"snapshot": _counted(one, content, previous, where=f"{job['name']}/{one.place}")})
        (Path(job["into"]) / one.name).write_bytes(content)
    say({"signed_by": opened.signed_by})


def _counted(one: Listed, content: bytes, previous: str, *, where: str) -> dict[str, Any]:
    """What the snapshot holds, counted here and not as somebody says."""
    files = unpack_feed(content, where=where)
    if pack_feed(one.name, files) != content:
        raise Malformed(f"expected a snapshot of {one.name}, found another", where=where)
    after = census(one.name, files)
    if not after.records:
        told = after.problems[0] if after.problems else "it holds nothing"
        raise Malformed(told, where=where)
    before = None
    if previous:
        held = unpack_feed(Path(previous).read_bytes(), where=f"snapshot of {one.name}")
        before = census(one.name, held)
    added, changed, removed = changes(before, after)
    return {
        **one.document(),
        "newest_s": after.newest_s,
        "records": len(after.records),
        "withdrawn": len(after.withdrawn),
        "problems": list(after.problems),
        "added": added,
        "changed": changed,
        "removed": removed,
    }


if __name__ == "__main__":
    main()
