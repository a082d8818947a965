"""The audit trail as it is read: who attempted what, and what came of it.

Every event of a home is a record. A record is made of its event here, in one place; the database
only finds the events, by conditions for what is really asked: a statement that could answer every
question at once takes the database longer to plan than to answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
import polars as pl

from data.queries import KINDS, columns
from engine.core.audit import (
    ALLOWED,
    CONFLICT,
    CONSEQUENCES,
    DENIED,
    ENGINE,
    EVERY_ATTEMPT,
    OF_A_REQUEST,
    REJECTED,
    RESUME,
    RESUME_QUEUED,
    SIGN_IN_FAILED,
    VERBS,
    AuditFilter,
)

# Columns of a record, in the words of a query's header. ts_us = UTC epoch microseconds; verb =
# what was asked for, of what the engine did by itself the kind; result = allowed or denied;
# reason = what they gave, why = why it was denied; before, after = digests; body, auth = canonical
# JSON, the text that was hashed. Words that do not apply are ''.
RECORD: Final = """
-- returns: gseq BIGINT, ts_us BIGINT, actor VARCHAR, verb VARCHAR, result VARCHAR, code VARCHAR,
--          subject VARCHAR, run_id VARCHAR, environment VARCHAR, step VARCHAR, reason VARCHAR,
--          why VARCHAR, ticket VARCHAR, before VARCHAR, after VARCHAR, method VARCHAR,
--          credential VARCHAR, request_id VARCHAR, command_id VARCHAR, kind VARCHAR,
--          stream VARCHAR, seq INTEGER, prev VARCHAR, hash VARCHAR, auth VARCHAR, body VARCHAR
-- units:
"""
_COLUMNS: Final = {name: KINDS[kind] for name, kind in columns(RECORD)}
_STORED: Final = (
    "gseq", "ts_us", "actor", "command_id", "kind", "stream", "seq", "prev", "hash", "auth", "body",
)  # fmt: skip
_REQUESTED, _PUBLISHED = "run.requested/1", "policy.published/1"


def _at(name: str) -> str:
    return f"json_extract_string(body, '$.{name}')"


# Which run a record belongs to or is about, and what was asked for: as `record` says it.
_RUN: Final = f"""
CASE WHEN starts_with(stream, 'run-') THEN stream
     WHEN {_at("run")} <> '' THEN {_at("run")}
     WHEN starts_with({_at("scope")}, 'run-') THEN {_at("scope")}
     ELSE '' END"""
_VERB: Final = f"""
CASE WHEN kind = '{REJECTED}' THEN {_at("action")}
     WHEN kind = '{_REQUESTED}' AND {_at("rerun_of")} <> '' THEN 'rerun'
     WHEN kind = '{_REQUESTED}' AND {_at("rolls_back")} <> '' THEN 'rollback_promotion'
     WHEN actor = '{ENGINE}' THEN regexp_replace(kind, '/[0-9]+$', '')
     WHEN {_at("via")} = '{RESUME_QUEUED}' THEN '{RESUME}'
     WHEN {_at("via")} <> '' THEN {_at("via")}
     WHEN starts_with(kind, 'override.') AND {_at("action")} <> '' THEN {_at("action")}
     WHEN list_contains($kinds, kind) THEN $verbs[list_position($kinds, kind)]
     ELSE regexp_replace(kind, '/[0-9]+$', '') END"""
_NAMED: Final = {"kinds": list(VERBS), "verbs": list(VERBS.values())}
_ATTEMPT: Final = f"""
actor <> '{ENGINE}' AND NOT list_contains($consequences, kind)
AND {_at("via")} IS DISTINCT FROM '{OF_A_REQUEST}'"""
_ENVIRONMENT: Final = f"""
coalesce(nullif({_at("environment")}, ''),
         (SELECT max(name) FROM projections AS runs
           WHERE runs.kind = 'runs' AND 'run-' || runs.idx = {_RUN}), '')"""  # noqa: S608 (constants)
_AGAINST: Final = f"""
starts_with(kind, 'override.') OR starts_with(kind, 'break_glass.') OR kind = 'hold.lifted/1'
OR (kind = '{REJECTED}'
    AND ({_at("override")} = 'true' OR starts_with({_at("action")}, 'break_glass')
         OR {_at("action")} = 'lift_hold'))"""
_OWN: Final = f"""
kind = '{REJECTED}' AND ({_at("own")} = 'true' OR {_at("code")} = '{CONFLICT}')"""
_PLACES: Final = """
SELECT 'run-' || idx, name FROM projections
 WHERE kind = 'runs' AND list_contains($runs, 'run-' || idx)"""


def records(
    cursor: duckdb.DuckDBPyConnection,
    *,
    asked: AuditFilter = EVERY_ATTEMPT,
    gseq: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Records that the filter asks for, the newest first; members as in `RECORD`.

    Args:
        gseq: that one alone; `before`: a gseq, the page behind it.
    """
    where, given = _conditions(asked, gseq, before)
    found = cursor.execute(
        f"SELECT {', '.join(_STORED)} FROM events {where} "  # noqa: S608 (constants)
        "ORDER BY gseq DESC LIMIT $limit",
        {**given, "limit": limit},
    ).fetchall()
    made = [_record(dict(zip(_STORED, row, strict=True))) for row in found]
    runs = sorted({one["run_id"] for one in made if one["run_id"] and not one["environment"]})
    places = dict(cursor.execute(_PLACES, {"runs": runs}).fetchall()) if runs else {}
    for one in made:
        one["environment"] = one["environment"] or places.get(one["run_id"], "")
    return made


def choices(cursor: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Who attempted what: (actor, verb), in no order."""
    return cursor.execute(
        f"SELECT DISTINCT actor, {_VERB} FROM events WHERE {_ATTEMPT}",  # noqa: S608 (constants)
        {**_NAMED, "consequences": sorted(CONSEQUENCES)},
    ).fetchall()


def framed(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Records as a table; columns as in `RECORD`."""
    return pl.DataFrame([dict(row) for row in rows], schema=_COLUMNS)


def _conditions(
    asked: AuditFilter, gseq: int | None, before: int | None
) -> tuple[str, dict[str, Any]]:
    """The WHERE of what is asked for, and what its parameters are given."""
    overrides, own = asked.overrides, asked.self_approvals
    either = " OR ".join(text for text, on in ((_AGAINST, overrides), (_OWN, own)) if on)
    parts: list[tuple[str, bool, Mapping[str, Any]]] = [
        ("gseq = $gseq", gseq is not None, {"gseq": gseq}),
        ("gseq < $before", before is not None, {"before": before}),
        ("actor = $who", bool(asked.who), {"who": asked.who}),
        ("ts_us >= $since", asked.since_us is not None, {"since": asked.since_us}),
        ("ts_us < $until", asked.until_us is not None, {"until": asked.until_us}),
        (_ATTEMPT, not asked.everything, {"consequences": sorted(CONSEQUENCES)}),
        (f"kind IN ('{REJECTED}', '{SIGN_IN_FAILED}')", asked.denied, {}),
        (f"{_VERB} = $verb", bool(asked.verb), {"verb": asked.verb, **_NAMED}),
        (f"{_RUN} = $run", bool(asked.run), {"run": asked.run}),
        (f"{_ENVIRONMENT} = $environment", bool(asked.environment),
         {"environment": asked.environment}),
        (either, overrides or own, {}),
    ]  # fmt: skip
    texts = [f"({text})" for text, on, _ in parts if on]
    given = {name: value for _, on, more in parts if on for name, value in more.items()}
    return f"WHERE {' AND '.join(texts)}" if texts else "", given


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says to somebody who audits; not the environment that only its run knows."""
    body = json.loads(row["body"])
    auth = json.loads(row["auth"]) if row["auth"] else {}
    kind, refused = row["kind"], row["kind"] in {REJECTED, SIGN_IN_FAILED}
    run_id = _run_of(row["stream"], body)
    given = _first(body, "reason", "comment", "text", "note")
    return {
        **row,
        "auth": row["auth"] or "",
        "verb": _verb_of(kind, row["actor"], body),
        "result": DENIED if refused else ALLOWED,
        "code": _first(body, "code") if refused else "",
        "subject": _subject_of(row["stream"], kind, body, run_id, refused=refused),
        "run_id": run_id,
        "environment": _first(body, "environment"),
        "step": _first(body, "step"),
        "reason": _first(body, "asked") if refused else given,
        "why": _first(body, "reason") if refused else "",
        "ticket": _first(body, "ticket"),
        "before": _first(body, "before", "from_digest"),
        "after": _first(
            body, *(["policy"] if kind == _PUBLISHED else ["after", "to_digest", "digest"])
        ),
        "method": _first(auth, "method") or _first(body, "method"),
        "credential": _first(auth, "credential") or _first(body, "credential"),
        "request_id": _first(auth, "request_id"),
    }


def _first(document: Mapping[str, Any], *names: str) -> str:
    """The first of them that is there, as text; '' without any."""
    found = next((document[name] for name in names if document.get(name) is not None), "")
    return found if isinstance(found, str) else json.dumps(found)


def _run_of(stream: str, body: Mapping[str, Any]) -> str:
    if stream.startswith("run-"):
        return stream
    scope = _first(body, "scope")
    return _first(body, "run") or (scope if scope.startswith("run-") else "")


def _verb_of(kind: str, actor: str, body: Mapping[str, Any]) -> str:
    if kind == REJECTED:
        return _first(body, "action")
    if kind == _REQUESTED and body.get("rerun_of"):
        return "rerun"
    if kind == _REQUESTED and body.get("rolls_back"):
        return "rollback_promotion"
    by_itself = kind.rpartition("/")[0]
    if actor == ENGINE:
        return by_itself
    way = _first(body, "via")
    if not way and kind.startswith("override."):
        way = _first(body, "action")
    return RESUME if way == RESUME_QUEUED else way or VERBS.get(kind, by_itself)


def _subject_of(
    stream: str, kind: str, body: Mapping[str, Any], run_id: str, *, refused: bool
) -> str:
    if stream.startswith("run-"):
        return stream
    if refused:
        return _first(body, "subject") or run_id
    policy = ("policy",) if kind == _PUBLISHED else ()
    return _first(body, "token_id", "what", "waiver", *policy, "bundle", "digest", "replay", "name",
                  "user")  # fmt: skip
