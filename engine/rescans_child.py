"""The process that one rescan runs in: reading the feeds and matching stop every thread of the
server for seconds. `python -m engine.rescans_child`, started by `engine.rescans`.

It matches as the gate does, with the same functions over the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.attestations_read import with_imports
from engine.blob_folder import BlobFolder
from engine.child import say, teller, work
from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.gate_eval_sources import bundle_of, read_sboms, read_sources
from engine.inputs.facts import coverage, packages_of
from engine.inputs.feeds import FeedFacts, read_feeds
from engine.inputs.match import match_packages
from engine.ports import FeedSnapshot
from engine.rescans_job import BundleOf, FeedOf, Job, Outcome

Read = Callable[[Digest], bytes]


def main() -> None:
    job = Job.read(work())
    try:
        done(job, BlobFolder(Path(job.blobs)).get)
    except (Malformed, NotFound) as error:
        say({"failed": str(error), "code": "feeds"})
    except MemoryError:
        say({"failed": "the memory of this machine is too small for it", "code": "worker"})


def done(job: Job, read: Read) -> None:
    """Say the outcome of each bundle. Raises `Malformed`, `NotFound`: the feeds are not there."""
    tell = teller()
    tell("reading the feeds", 0, 0, "")
    facts = read_feeds([_snapshot(one, read) for one in job.feeds])
    if not facts.ecosystems:
        broken = [one.detail for one in facts.scans if one.status == "FAILED"]
        told = "; ".join(["there is no advisory to match against", *broken])
        raise Malformed(told, where="feeds")
    for n, one in enumerate(job.bundles, 1):
        say({"outcome": outcome(one, read, facts).document()})
        tell("matching", n, len(job.bundles), "bundles")
    say({"done": True})


def outcome(one: BundleOf, read: Read, facts: FeedFacts) -> Outcome:
    """Match one bundle; what keeps it from being matched is its problem."""
    try:
        bundle = bundle_of(Digest.parse(one.digest), read)
        if one.sources:
            bundle = with_imports(bundle, read_sources(read(Digest.parse(one.sources))).pinned)
    except (Malformed, NotFound) as error:
        return Outcome(digest=one.digest, problem=str(error))
    sboms, failed = read_sboms(read, bundle)
    if failed:
        return Outcome(digest=one.digest, problem="; ".join(f.detail for f in failed))
    packages = packages_of(coverage(bundle, sboms))
    matches, gaps = match_packages(packages, facts)
    unread = [gap for source in sboms.values() for gap in source.sbom.gaps]
    return Outcome(
        digest=one.digest,
        packages=len(packages),
        keys=tuple(match.key for match in matches),
        kev=sum(match.kev for match in matches),
        unread=len(unread) + len(gaps),
    )


def _snapshot(one: FeedOf, read: Read) -> FeedSnapshot:
    digest = Digest.parse(one.digest)
    return FeedSnapshot(name=one.name, digest=digest, as_of_s=one.as_of_s, content=read(digest))


if __name__ == "__main__":
    main()
