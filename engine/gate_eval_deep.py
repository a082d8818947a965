"""The deep replay: from the raw sources of a decision to its findings to its verdict. Pure.

The shallow replay proves that the decision follows from the facts; this one proves that the facts
follow from the SBOMs, feeds and statements as they came. The same is done with the feeds of today,
where another answer is news and no damage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed, NotFound
from engine.core.jcs import canonical
from engine.core.replays import Cause
from engine.gate_eval_sources import SOURCES, FeedNamed, GateSources, document_of, read_sources
from engine.inputs.feeds import FeedFacts, read_feeds
from engine.inputs.match import MATCHER
from engine.policy.attribution import Bisect, answer_digest, bisect
from engine.policy.capsule import OpenedCapsule
from engine.policy.compile import CompiledPolicy
from engine.policy.document import CLOCK, FACETS, UNIQUE, GateInput, gate_input
from engine.policy.evaluate import evaluate_policy
from engine.policy.frozen import Read, frozen_document, frozen_policy
from engine.policy.problems import found, pointer
from engine.policy.replay import Change, Replay, read_part, verdict_diff
from engine.policy.verdict import Verdict
from engine.ports import FeedSnapshot

_CHANGES_MAX: Final = 200

# Reading a bulk feed takes seconds: whoever replays many keeps what was read.
FeedsOf = Callable[[Sequence[FeedSnapshot]], FeedFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deep:
    """Attributes:
    differs: facets that the sources give otherwise now, sorted.
    bisect: which of them the other answer comes from; without trials when the answer is the same.
    """

    replay: Replay
    differs: tuple[str, ...]
    bisect: Bisect


_NOTHING: Final = Bisect(first="", trials=())


def deep_replay(shallow: Replay, read: Read, feeds_of: FeedsOf = read_feeds) -> Deep:
    """Args:
    shallow: the shallow replay of the same capsule. Where it found a damage that comes earlier in
        the order of causes, that is the answer.
    """
    capsule = shallow.capsule
    if shallow.verdict is None or shallow.cause is Cause.VERDICT_TAMPERED:
        return Deep(replay=shallow, differs=(), bisect=_NOTHING)
    cause, facet, sentence = _missing(capsule, read)
    if cause is not None:
        lost = replace(shallow, cause=cause, facet=facet, sentence=sentence)
        return Deep(replay=lost, differs=(), bisect=_NOTHING)
    try:
        sources = read_sources(read(capsule.raw[SOURCES]))
        now = _input_of(sources, read, feeds_of)
    except (Malformed, NotFound) as error:
        # Every source is here and is what it was, so it is this matcher that can't read them.
        why = f"{MATCHER} can't read the sources: {error}"
        unread = replace(shallow, cause=Cause.ENGINE_CHANGED, facet="matcher", sentence=why)
        return Deep(replay=unread, differs=(), bisect=_NOTHING)
    return _compare(shallow, now, read)


def _missing(capsule: OpenedCapsule, read: Read) -> tuple[Cause | None, str, str]:
    if SOURCES not in capsule.raw:
        sentence = "the list of the sources is not in the capsule; it can only be replayed shallow"
        return Cause.INPUT_MISSING, SOURCES, sentence
    for name, digest in sorted(capsule.raw.items()):
        try:
            read_part(name, digest, read)
        except NotFound:
            return Cause.INPUT_MISSING, name, f"{name} ({digest}) is not here"
        except Malformed as error:
            return Cause.INPUT_TAMPERED, name, str(error)
    return None, "", ""


def _input_of(sources: GateSources, read: Read, feeds_of: FeedsOf) -> GateInput:
    snapshots = [
        FeedSnapshot(
            name=one.name, digest=one.digest, as_of_s=one.as_of_s, content=read(one.digest)
        )
        for one in sources.feeds
    ]
    made = document_of(sources, read, feeds_of(snapshots))
    return gate_input(made.document, where="sources")


def _compare(shallow: Replay, now: GateInput, read: Read) -> Deep:
    capsule = shallow.capsule
    differs = tuple(name for name in FACETS if now.refs[name] != capsule.refs[name])
    if now.document[CLOCK] != dict(capsule.clock):
        differs = (CLOCK, *differs)
    if not differs:
        return Deep(replay=shallow, differs=(), bisect=_NOTHING)
    then = frozen_document(capsule, read)
    compiled = frozen_policy(capsule, read)
    verdict = evaluate_policy(compiled, now).verdict
    named = ", ".join(differs)
    made_by = capsule.env.get("matcher")
    if made_by != MATCHER:
        cause = Cause.ENGINE_CHANGED
        sentence = f"{MATCHER} gives other {named} for the same sources than {made_by} did"
    else:
        cause, sentence = Cause.UNEXPLAINED, f"the same sources give other {named} now"
    replay = replace(
        shallow,
        cause=cause,
        facet=differs[0] if "findings" not in differs else "findings",
        sentence=f"{sentence}; {verdict.word}",
        verdict=verdict,
        diff=(*verdict_diff(capsule.verdict, verdict.document()),
              *document_changes(then, now.document, differs)),
    )  # fmt: skip
    return Deep(
        replay=replay,
        differs=differs,
        bisect=bisect_facets(compiled, then, now.document, differs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What the capsule's policy says of the same bundle with other feeds, at another time."""

    verdict: Verdict
    differs: tuple[str, ...]
    changes: tuple[Change, ...]
    bisect: Bisect


def ask_today(
    capsule: OpenedCapsule,
    read: Read,
    *,
    now_s: int,
    feeds: Sequence[FeedNamed],
    waivers: Collection[str] = (),
    feeds_of: FeedsOf = read_feeds,
) -> Today:
    """Args:
    feeds: the snapshots of today, all of them blobs.
    waivers: ids of those that hold today; of those of then the others count no more.

    Raises:
        NotFound, Malformed: a source is not here, damaged, or can't be read.
    """
    if SOURCES not in capsule.raw:
        raise NotFound("The list of the sources is not in the capsule: it is from before these.")
    sources = read_sources(read(capsule.raw[SOURCES]))
    still = tuple(one for one in sources.waivers if one.waiver in waivers)
    sources = replace(sources, now_s=now_s, feeds=tuple(feeds), waivers=still)
    now = _input_of(sources, read, feeds_of)
    compiled, then = frozen_policy(capsule, read), frozen_document(capsule, read)
    differs = tuple(name for name in FACETS if now.refs[name] != capsule.refs[name])
    if now.document[CLOCK] != then[CLOCK]:
        differs = (*differs, CLOCK)
    return Today(
        verdict=evaluate_policy(compiled, now).verdict,
        differs=differs,
        changes=document_changes(then, now.document, differs),
        bisect=bisect_facets(compiled, then, now.document, differs),
    )


def bisect_facets(
    compiled: CompiledPolicy,
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    differs: Sequence[str],
) -> Bisect:
    """Which exchanged facet the other answer comes from."""

    def answer(exchanged: frozenset[str]) -> Digest | None:
        mixed = {name: (now if name in exchanged else then)[name] for name in then}
        try:
            given = gate_input(mixed, where="mixed input")
        except Malformed:
            return None
        return answer_digest(evaluate_policy(compiled, given).verdict.document())

    return bisect(differs, answer)


def document_changes(
    then: Mapping[str, Any], now: Mapping[str, Any], differs: Sequence[str]
) -> tuple[Change, ...]:
    """What is other in the facets: items by their key, fields by their name; the first of many."""
    changes: list[Change] = []
    for name in differs:
        before, after = _by_key(name, then[name]), _by_key(name, now[name])
        changes += [
            Change(at=place, then=_shown(before, place), now=_shown(after, place))
            for place in sorted(before.keys() | after.keys())
            if before.get(place) != after.get(place)
        ]
    return tuple(changes[:_CHANGES_MAX])


def _by_key(name: str, facet: Any) -> dict[str, Any]:
    if isinstance(facet, Mapping):
        return {pointer(name, field): value for field, value in facet.items()}
    field = UNIQUE.get(name)
    if field is None:
        return {pointer(name, n): one for n, one in enumerate(facet)}
    return {pointer(name, f"[{found(one[field])}]"): one for one in facet}


def _shown(flat: Mapping[str, Any], place: str) -> str:
    return canonical(flat[place]).decode() if place in flat else "nothing"
