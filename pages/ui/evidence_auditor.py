"""View-model of the auditor bundle: what to hand over, what to compare, what to type. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.audit_packets import Packet
from engine.audit_trust import Renewal, Trust
from engine.core.exporting import AUDIT_PACK, FILE_NAMES
from engine.evidence import clients
from engine.evidence.clients import Question
from engine.live_text import day_time, plural

EXPLAINED: Final = (
    "An auditor needs the audit pack of a run, the signature that lies beside it, and the trusted "
    "root with its fingerprint, **by another way than the pack**. With these everything can be "
    "checked offline, without this server and without trust in it."
)
COMPARE: Final = (
    "Read it out over the telephone, print it, or send it by other means than the pack. Whoever "
    "can change a pack on its way could change a trusted root that travels with it."
)
CONFIG: Final = "trust_config.json is the same trusted root in the form that one client asks for."
EMPTY: Final = "There is no sealed run yet, so there is no audit pack to hand over."
LIMITS: Final = (
    "What no signature can tell: whether the machine that made it was sound at that moment."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`why`: what it proves; `needs`: the tool that has to be there."""

    title: str
    why: str
    needs: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """What certificates of this home say, as stock clients have to be told.

    Attributes:
        owner: empty when the certificates name none; then that client can't be used.
    """

    identity: str
    issuer: str
    owner: str
    base: str


def signer_of(seal: Packet | None, *, issuer: str, base: str) -> Signer | None:
    """Who signed the seal, and so the pack. None before there is one that can be read."""
    if seal is None or seal.signed is None:
        return None
    return Signer(identity=seal.signed.signer, issuer=issuer, owner=seal.signed.owner, base=base)


def grouped(fingerprint: str) -> str:
    """In groups of four, as people read them out; two lines of eight."""
    parts = [fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4)]
    return "\n".join(" ".join(parts[at : at + 8]) for at in range(0, len(parts), 8))


def commands(trust: Trust, signer: Signer, *, run_id: str) -> tuple[Command, ...]:
    """One after the other, for four files that lie side by side in an empty folder.

    None of them takes its trust from the pack: the copy in there is whoever made the pack's word.
    """
    asked = asked_of(
        signer,
        artifact="SHA256SUMS",
        bundle="SHA256SUMS.sigstore.json",
        predicate_type=f"{signer.base}/export/v1",
    )
    beside = replace(
        asked,
        artifact=FILE_NAMES[AUDIT_PACK],
        bundle=f"{FILE_NAMES[AUDIT_PACK]}.sigstore.json",
        trust=".",
    )
    return (
        *_first(trust, run_id),
        *stock(asked),
        Command(
            title="The pack as one file",
            why="Its own signature lies beside it and not in it.",
            needs="sigstore",
            text=f"cd .. && {clients.sigstore(beside)}",
        ),
        Command(
            title="The log was not rewritten since an earlier pack",
            why="Any pack or checkpoint that you kept proves that the log only grew in between.",
            needs="releaseline",
            text="releaseline verify audit-pack.tar.gz --trusted-root trusted_root.json \\\n"
            "  --against EARLIER_PACK_OR_CHECKPOINT",
        ),
        Command(
            title="The witness saw every head of the log",
            why="Its key, asked of whoever keeps the witness: the one in the trusted root is the "
            "word of whoever made the root.",
            needs="releaseline",
            text="releaseline verify audit-pack.tar.gz --trusted-root trusted_root.json \\\n"
            "  --witness WITNESS_KEY_FILE",
        ),
    )


def asked_of(signer: Signer, *, artifact: str, bundle: str, predicate_type: str) -> Question:
    """With the trusted root one folder above the unpacked pack."""
    return Question(
        artifact=artifact,
        bundle=bundle,
        identity=signer.identity,
        issuer=signer.issuer,
        owner=signer.owner,
        predicate_type=predicate_type,
        trust="..",
    )


def stock(asked: Question) -> tuple[Command, ...]:
    """The same question to each client that knows nothing of us."""
    npm = f"../{clients.NPM_FOLDER}"
    found = (
        Command(
            title="By Sigstore's own client",
            why="Certificate, log receipt and time stamp, offline.",
            needs="sigstore",
            text=clients.sigstore(asked),
        ),
        Command(
            title="By GitHub's client",
            why="The same questions, by other people's code. Without --format json it prints a "
            "table and fails on an address that we don't have.",
            needs="gh",
            text=clients.github(asked),
        ),
        Command(
            title="By npm's client",
            why="It is a library: get it once beside this folder, with "
            f"`{clients.npm_install(npm)}`.",
            needs="node",
            text=clients.npm(asked, npm),
        ),
        Command(
            title="By cosign",
            why="It wants to be told that there is a time stamp.",
            needs="cosign",
            text=clients.cosign(asked),
        ),
    )
    return tuple(one for one in found if one.text)


def _first(trust: Trust, run_id: str) -> tuple[Command, ...]:
    """What needs nothing but our own client, or openssl."""
    return (
        Command(
            title="The trusted root is the one you were told",
            why="Compare it with the fingerprint that reached you by another way. If they differ, "
            "stop.",
            needs="sha256sum",
            text=f"echo '{trust.fingerprint}  trusted_root.json' | sha256sum -c -",
        ),
        Command(
            title="Everything at once",
            why="Every file, every link of the chain, the approvals, the time stamps and the log; "
            "each failed check is named with its file.",
            needs="releaseline",
            text="releaseline verify audit-pack.tar.gz --trusted-root trusted_root.json",
        ),
        Command(
            title="Unpack it",
            why="What follows is typed inside the folder.",
            needs="tar",
            text=f"mkdir {run_id} && tar -xzf audit-pack.tar.gz -C {run_id} && cd {run_id}",
        ),
        Command(
            title="Every file is the one that was listed",
            why="The list itself is signed; who signed it is the next question.",
            needs="sha256sum",
            text="sha256sum -c SHA256SUMS",
        ),
        Command(
            title="Every signature and time stamp, with openssl alone",
            why="The script needs sh, sed and openssl. It is the same in every pack: read it once "
            "and use that copy.",
            needs="openssl",
            text="sh verify.sh -r ../trusted_root.json",
        ),
    )


def head_text(trust: Trust) -> str:
    """The log's newest head; what to keep of it."""
    if not trust.size:
        return f"Nothing has been signed into the log {trust.origin} yet."
    by = "signed by the log and a witness" if trust.cosigned else "signed by the log alone"
    return (
        f"The log {trust.origin} has {plural(trust.size, 'entry').replace('entrys', 'entries')}; "
        f"this is its newest head, {by}. Keep it: a later pack has to contain it."
    )


def renewal_rows(renewals: Sequence[Renewal]) -> list[dict[str, str]]:
    return [
        {
            "Renewal": str(one.number),
            "When": day_time(one.ts_us),
            "What": ", ".join(one.what),
            "Fingerprint from then on": one.fingerprint,
        }
        for one in reversed(renewals)
    ]
