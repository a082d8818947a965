"""What the API says of a house: bundles, attestations, feeds, people, the log and its upkeep."""

from __future__ import annotations

from typing_extensions import TypedDict

from data import queries
from engine.api.documents.base import Anything, DigestText, PageOf, closed, row_of
from engine.api.documents.runs import HoldDoc, NamedDigestDoc, RunId
from engine.core.data_health import Level

RunRowDoc = row_of(queries.RUNS)
BundleRowDoc = row_of(queries.SQL["bundles_list"])
ReviewRowDoc = row_of(queries.SQL["reviews"], overdue={"type": "boolean"})
EvidenceRowDoc = row_of(queries.SQL["run_evidence"])
SampleRowDoc = Anything


@closed
class TargetRowDoc(TypedDict):
    """`run`: which saw it last, "" when none did; `healthy` and `current` null: nobody knows."""

    environment: str
    region: str
    target: str
    run: str
    current: DigestText | None
    healthy: bool | None
    note: str


@closed
class BundleDoc(TypedDict):
    """`manifest` is what the digest is of."""

    digest: DigestText
    name: str
    version: str
    created_by: str
    manifest: Anything


@closed
class AttestationDoc(TypedDict):
    """What somebody else signed, and as whom they are trusted here."""

    digest: DigestText
    source: DigestText
    form: str
    file: str
    kind: str
    title: str
    statement_type: str
    predicate_type: str
    payload: DigestText
    about: list[NamedDigestDoc]
    says: str
    authors: list[str]
    trust: str
    anchor: DigestText
    signer: str
    issuer: str
    signed_s: int | None


@closed
class TakenDoc(AttestationDoc):
    """`new`: False when it was imported there before."""

    new: bool


@closed
class PinnedDoc(AttestationDoc):
    """`pinned`: the run's inputs name it."""

    pinned: bool


@closed
class TakenForRunDoc(TakenDoc):
    pinned: bool


@closed
class TakenForBundleDoc(TypedDict):
    bundle: DigestText
    items: list[TakenDoc]


@closed
class TakenForRunsDoc(TypedDict):
    run: RunId
    items: list[TakenForRunDoc]


@closed
class AttestationsOfBundleDoc(PageOf[AttestationDoc]):
    bundle: DigestText


@closed
class AttestationsOfRunDoc(PageOf[PinnedDoc]):
    run: RunId


@closed
class AddendumMadeDoc(TypedDict):
    number: int
    text: str
    name: str
    envelope: DigestText
    log_index: int
    files: list[NamedDigestDoc]


@closed
class AddendumDoc(AddendumMadeDoc):
    author: str
    ts_us: int


@closed
class LiftedDoc(TypedDict):
    lifted: HoldDoc


@closed
class TryDoc(TypedDict):
    """One sync of a feed."""

    name: str
    at_us: int
    by: str
    source: str
    word: str
    text: str
    code: str
    digest: str
    as_of_s: int | None
    took_ms: int | None
    bytes_read: int | None
    problems: list[str]
    checked_by: str


@closed
class AgeLimitsDoc(TypedDict):
    warn_s: int
    fail_s: int
    required: bool


@closed
class ProgressDoc(TypedDict):
    what: str
    done: int
    of: int
    unit: str


@closed
class FeedDoc(TypedDict):
    """How a feed stands against the policy's limits."""

    name: str
    word: str
    level: str
    as_of_s: int | None
    age_s: int | None
    limits: AgeLimitsDoc | None
    digest: str
    kept: str
    source: str
    configured: bool
    records: int | None
    withdrawn: int | None
    unreadable: int | None
    problems: list[str]
    checked_by: str
    tried: TryDoc | None
    progress: ProgressDoc | None
    next_sync: str
    next_sync_us: int | None
    overdue: str


@closed
class FeedsDoc(PageOf[FeedDoc]):
    """`trouble`: why the snapshots in force cannot be read; empty when they can."""

    trouble: str


@closed
class FeedWithHistoryDoc(FeedDoc):
    history: list[TryDoc]
    trouble: str


@closed
class SyncStartedDoc(TypedDict):
    started: list[str]


@closed
class FeedImportedDoc(TypedDict):
    name: str
    digest: DigestText
    as_of_s: int
    records: int
    added: int
    changed: int
    removed: int
    source: str


@closed
class FeedsImportedDoc(TypedDict):
    """`signed_by`: the trusted key. `known`: feeds of which nothing in the file is new."""

    signed_by: str
    taken: list[FeedImportedDoc]
    known: list[str]


@closed
class EngineHealthDoc(TypedDict):
    running: bool
    tick_age_s: float
    storage_full: bool
    stopped_runs: dict[str, str]


@closed
class FeedHealthDoc(TypedDict):
    name: str
    as_of_s: int
    digest: DigestText


@closed
class SourceHealthDoc(TypedDict):
    """`kind`: engine, record, feed, integration or job. `since_us` null: not known."""

    kind: str
    name: str
    level: Level
    text: str
    since_us: int | None
    blocks: list[str]


@closed
class DataHealthDoc(TypedDict):
    """`level` is that of the worst source; `line` says what is not in order."""

    level: Level
    line: str
    sources: list[SourceHealthDoc]
    engine: EngineHealthDoc
    feeds: list[FeedHealthDoc]


@closed
class RetentionDoc(TypedDict):
    before_us: int
    runs: int
    attempts: int
    samples: int
    minutes: int
    kept: list[str]
    bytes_before: int
    bytes_after: int
    took_ms: int
    dry_run: bool
    stopped: bool
    said: str


@closed
class AnchorDoc(TypedDict):
    gseq: int
    hash: str


@closed
class HeadDoc(TypedDict):
    """The log's newest signed head; `checkpoint` is the note as C2SP writes it."""

    origin: str
    size: int
    root: str
    checkpoint: str
    vkey: str
    witness: str | None
    cosigned_at_s: list[int]
    anchor: AnchorDoc
    shards: list[str]


@closed
class ConsistencyDoc(TypedDict):
    """RFC 9162, 2.1.4: the tree of `first` leaves is the beginning of that of `second`."""

    origin: str
    first: int
    second: int
    first_root: str
    second_root: str
    hashes: list[str]


@closed
class LogCheckDoc(TypedDict):
    ok: bool
    leaves: int
    heads: int
    receipts: int
    findings: list[str]


@closed
class DrillDoc(TypedDict):
    """Scratch copies of a run's pack, each broken in one way, and the check that saw it."""

    run: RunId
    pack: str
    packSha256: str
    ok: bool
    sentence: str
    anchored: bool
    trustedRootSha256: str
    untouchedChecks: int
    cases: list[Anything]
    leftOut: list[Anything]
