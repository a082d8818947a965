"""Making keys of a home anew, with its log as it is: nothing that was signed becomes untrue.

A new log key begins a new shard, for a log is its key: the old one is closed with a last head, and
that head is the first thing in the new one. Runs keep to one shard, so none may be open.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine import keystore
from engine.core.errors import Malformed, Refused
from engine.keystore import ROTATABLE, Keys
from engine.logbook import LogBook, open_log
from engine.ports import Clock, EventStore
from engine.transparency_shard import engine_identity, settle

ALL = "all"


def rotate(
    home: Path,
    store: EventStore,
    book: LogBook,
    clock: Clock,
    what: Iterable[str],
    *,
    passphrase: str,
    issuer: str,
    base: str,
    origin: str = "",
    witness_passphrase: str = "",
) -> Keys:
    """Make `what` anew and put it on record. Whoever has the home open opens it again afterwards.

    Args:
        what: of log, ca, tsa, witness; or `all`.
        origin: of the new log shard; by default the one after the present.

    Raises:
        Refused: runs are open, named in the message; or a passphrase is wrong.
        Malformed: a part that there is not, or an origin without a new log.
        LogForked: the log is not what was signed; it has to be looked into first.
    """
    parts = _parts(what)
    if origin and "log" not in parts:
        raise Malformed(
            "expected the part log beside it: only a new log has a name", where="origin"
        )
    open_runs = [run.run_id for run in store.runs_open()]
    if open_runs:
        raise Refused(
            f"Keys are not made anew while runs are open: {', '.join(open_runs)}. What a run "
            "leaves behind has to be in one log.",
            hint="Let them end, or cancel or close them; then stop the server and rotate.",
        )
    note = book.log.closing(now_us=clock.now_us())
    keys = keystore.rotate(
        home,
        passphrase,
        parts,
        leaves=len(store.tlog_leaves()),
        checkpoint=note,
        origin=origin,
        now_us=clock.now_us(),
        witness_passphrase=witness_passphrase,
    )
    fresh = open_log(home, store, keys, issuer=issuer)
    settle(
        store,
        fresh.log,
        keys,
        base=base,
        identity=engine_identity(base),
        now_us=clock.now_us(),
    )
    return keys


def _parts(what: Iterable[str]) -> tuple[str, ...]:
    given = tuple(what)
    for one in given:
        if one not in (*ROTATABLE, ALL):
            raise Malformed(
                f"expected some of {', '.join((*ROTATABLE, ALL))}, found {one!r}", where="what"
            )
    return ROTATABLE if ALL in given or not given else tuple(p for p in ROTATABLE if p in given)
