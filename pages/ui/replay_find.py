"""Which decisions a typed text means: reads the store, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from data import queries, queries_replays
from engine.core.digest import Digest
from engine.core.errors import NotFound, ReleaselineError
from engine.services import Services
from pages.ui import replay_meaning, replay_models
from pages.ui.replay_meaning import Meant
from pages.ui.replay_models import Subject

# A list to choose from, not to browse: more of them are narrowed by typing.
LIMIT: Final = 40
# Bundles whose components are looked through, the newest first.
_BUNDLES_MAX: Final = 500


def find(house: Services, text: str) -> tuple[Subject, ...]:
    """The decisions that `text` names; without one the newest verdicts, then every one."""
    meaning = replay_meaning.meant(text)
    match meaning.kind:
        case "nothing":
            return _newest(house)
        case "verdict":
            return _verdicts(house, verdict_id=meaning.value)
        case "run":
            return _of_run(house, meaning.value)
        case "gate":
            scope = f"{meaning.value}/{meaning.step}"
            return tuple(one for one in _of_run(house, meaning.value) if one.scope == scope)
        case _:
            return _by_bundle(house, meaning) or _by_use(house, meaning)


def _newest(house: Services) -> tuple[Subject, ...]:
    newest = _verdicts(house)
    if len(newest) < 2:
        return newest
    return (*newest, replay_models.everything())


def _verdicts(house: Services, **asked: str) -> tuple[Subject, ...]:
    frame = queries_replays.verdicts(house.store.cursor(), limit=LIMIT, **asked)  # type: ignore[arg-type]  # every filter given here is a text
    return tuple(replay_models.verdict_subject(row) for row in frame.iter_rows(named=True))


def _of_run(house: Services, run_id: str) -> tuple[Subject, ...]:
    try:
        run = house.service.run(run_id)
    except NotFound:
        return ()
    frame = queries_replays.verdicts(house.store.cursor(), run_id=run_id)
    return replay_models.subjects(run, frame.to_dicts())


def _by_bundle(house: Services, meaning: Meant) -> tuple[Subject, ...]:
    found: list[Subject] = []
    for digest in replay_meaning.named(meaning, _bundles(house)):
        found += _verdicts(house, bundle=digest)
        if len(found) >= LIMIT:
            break
    return tuple(found[:LIMIT])


def _bundles(house: Services) -> Iterable[dict[str, Any]]:
    """The newest bundles with their components; one that can't be read has none."""
    rows = queries.bundles_list(house.store.cursor()).head(_BUNDLES_MAX)
    for row in rows.iter_rows(named=True):
        try:
            bundle = house.catalog.get(Digest.parse(str(row["digest"])))
            components = tuple((one.name, str(one.digest)) for one in bundle.components)
        except ReleaselineError:
            components = ()
        yield {**row, "components": components}


def _by_use(house: Services, meaning: Meant) -> tuple[Subject, ...]:
    """Runs whose events name the digest: of a verdict, a policy, a capsule, an input."""
    if meaning.kind != "digest" or len(meaning.value) != 64:
        return ()
    uses = queries.digest_uses(house.store.cursor(), hex=meaning.value, limit=200)
    streams = [str(name) for name in uses["stream"].unique(maintain_order=True)]
    found: list[Subject] = []
    for run_id in reversed([name for name in streams if name.startswith("run-")]):
        found += _of_run(house, run_id)
    return tuple(found[:LIMIT])
