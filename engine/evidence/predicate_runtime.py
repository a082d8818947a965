"""What ran after the deploy: the raw trace, and what it says about the findings of the gate.

The trace is a vetted in-toto type, its conclusions are an OpenVEX document (v0.2.0). A conclusion
goes no further than the trace: a package that no target had loaded is out of the execute path of
what was looked at, one that was loaded is not yet code that is reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.fact_events import VerifySnapshot
from engine.core.jcs import canonical
from engine.core.state import Attempt, Run
from engine.evidence.predicates import Draft, rfc3339
from engine.evidence.strict import parse_object

RUNTIME_TRACE: Final = "https://in-toto.io/attestation/runtime-trace/v0.1"
OPENVEX: Final = "https://openvex.dev/ns/v0.2.0"
SNAPSHOT: Final = "runtime-snapshot.json"
VEX_FILE: Final = "runtime-reachability.openvex.json"
_STATED: Final = frozenset({"not_affected", "fixed"})


def runtime(
    run: Run, attempt: Attempt, fact: VerifySnapshot, snapshot: bytes, *, base: str
) -> Draft:
    """What runs where after the deploy, and which shipped components are really loaded."""
    return Draft(
        stem="runtime-reachability",
        predicate_type=RUNTIME_TRACE,
        predicate={
            "monitor": {"type": f"{base}/monitors/target-report/v1"},
            "monitoredProcess": {
                "hostID": f"{run.request.region}/{run.environment}",
                "type": f"{base}/processes/release-target/v1",
                "event": run.run_id,
            },
            "monitorLog": {
                "process": [{"name": SNAPSHOT, "digest": {"sha256": fact.snapshot.hex}}],
                "network": [],
                "fileAccess": [],
            },
            "metadata": {"buildFinishedOn": rfc3339(attempt.ended_us or attempt.started_us)},
            f"{base}/runtime-summary/v1": {
                "onBundle": fact.on_bundle,
                "healthy": fact.healthy,
                "total": fact.total,
                "componentsObserved": fact.observed_components,
                "components": fact.components,
            },
        },
        files=((SNAPSHOT, snapshot),),
    )


def conclusions(
    run: Run,
    fact: VerifySnapshot,
    snapshot: bytes,
    findings: Sequence[Mapping[str, Any]],
    *,
    base: str,
    author: str,
    at_us: int,
) -> Draft | None:
    """An OpenVEX document over every finding of the gate; None when the gate found nothing.

    Args:
        findings: as in the gate's input document.

    Raises:
        Malformed: the trace or a finding is not in its shape.
    """
    if not findings:
        return None  # OpenVEX has no document without a statement
    trace = _read(snapshot, run.bundle)
    at = rfc3339(at_us)
    document: dict[str, Any] = {
        "@context": OPENVEX,
        "@id": f"{base}/openvex/{run.run_id}/{fact.step}/{fact.attempt}",
        "author": author,
        "role": "release engine",
        "timestamp": at,
        "version": fact.attempt,
        "tooling": f"{base}/monitors/target-report/v1",
        "statements": [_statement(run.bundle, one, trace, at) for one in findings],
    }
    content = canonical(document)
    pinned = [
        {"name": VEX_FILE, "digest": {"sha256": Digest.of(content).hex}},
        {"name": SNAPSHOT, "digest": {"sha256": fact.snapshot.hex}},
    ]
    return Draft(
        stem="runtime-reachability-vex",
        predicate_type=OPENVEX,
        predicate={**document, f"{base}/conclusions-of/v1": pinned},
        files=((VEX_FILE, content),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """Attributes:
    complete: every target of the run that holds the bundle reported, and none is off it.
    shipped, observed: package URLs that targets say they ship, and have loaded.
    by: how many targets had a package loaded.
    """

    complete: bool
    targets: int
    reported: int
    shipped: frozenset[str]
    observed: frozenset[str]
    by: Mapping[str, int]
    when: str


def _read(snapshot: bytes, bundle: Digest) -> _Trace:
    document = parse_object(snapshot, where=SNAPSHOT)
    targets = document.get("targets")
    at_us = document.get("observedAtUs")
    if not isinstance(targets, list) or not isinstance(at_us, int):
        raise Malformed("expected targets and a time", where=SNAPSHOT)
    by: dict[str, int] = {}
    reported = 0
    for one in targets:
        seen = one.get("componentsObserved") if isinstance(one, Mapping) else None
        if isinstance(seen, list) and one.get("digest") == str(bundle):
            reported += 1
            for purl in seen:
                by[str(purl)] = by.get(str(purl), 0) + 1
    return _Trace(
        complete=bool(targets) and reported == len(targets),
        targets=len(targets),
        reported=reported,
        shipped=frozenset(str(purl) for purl in document.get("components", ())),
        observed=frozenset(str(purl) for purl in document.get("observed", ())),
        by=by,
        when=rfc3339(at_us),
    )


def _statement(
    bundle: Digest, finding: Mapping[str, Any], trace: _Trace, at: str
) -> dict[str, Any]:
    try:
        flaw, purl = str(finding["id"]), str(finding["purl"])
        aliases, stated = sorted(set(map(str, finding["aliases"]))), finding["vex"]
        said = (str(stated["status"]), str(stated["author"]), str(stated["justification"]))
    except (KeyError, TypeError) as error:
        raise Malformed(f"expected a finding with {error}", where="findings") from None
    return {
        "vulnerability": {"name": flaw, **({"aliases": aliases} if aliases else {})},
        "timestamp": at,
        "products": [
            {
                "@id": f"urn:releaseline:bundle:sha256:{bundle.hex}",
                "hashes": {"sha-256": bundle.hex},
                "subcomponents": [{"@id": purl, "identifiers": {"purl": purl}}],
            }
        ],
        **_status(purl, said, trace),
    }


def _status(purl: str, said: tuple[str, str, str], trace: _Trace) -> dict[str, str]:
    """What the trace supports about one package, and no more."""
    seen = f"Looked at {trace.reported} of {trace.targets} targets at {trace.when}"
    if purl in trace.observed:
        loaded = f"{seen}: {trace.by.get(purl, 0)} have the package loaded."
        status, author, justification = said
        if status in _STATED:
            why = f" ({justification})" if justification else ""
            return {
                "status": "under_investigation",
                "status_notes": f"{loaded} {author or 'Somebody'} states {status}{why}; a trace of "
                "loaded packages can neither confirm nor refute that.",
            }
        return {
            "status": "affected",
            "status_notes": f"{loaded} Whether the vulnerable code is reached is not known.",
            "action_statement": f"Take a version of {purl.partition('@')[0]} without this flaw, or "
            "state in a VEX document of the bundle why it does no harm.",
        }
    if purl in trace.shipped and trace.complete:
        return {
            "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path",
            "impact_statement": f"{seen}: all of them ship the package, none has it loaded.",
        }
    lacks = (
        "no target reports that it ships the package"
        if trace.complete
        else "not every target was seen to run the bundle and to report what it has loaded"
    )
    return {"status": "under_investigation", "status_notes": f"{seen}: {lacks}."}
