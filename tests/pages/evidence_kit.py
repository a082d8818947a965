"""Evidence items as the read model gives them, made by hand: a chain of any length that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.audit_packets import Packet, Signed
from engine.core.digest import Digest

ENGINE = "https://releaseline.local/run-engine"
BOB = "bob.smith@example.com"


def digest(word: str) -> str:
    return str(Digest.of(word.encode()))


def packet(
    item: int,
    stem: str = "health-gate",
    *,
    run: str = "run-1",
    signer: str = ENGINE,
    rests_on: Sequence[int] = (),
    state: str = "SEALED",
    what: str = "captured",
    step: str = "canary-10",
) -> Packet:
    """Item `item` of a chain; it names the payload of the one before, and of those it rests on."""
    return Packet(
        run_id=run,
        environment="eu-prod",
        bundle="Platform Release 1.2.9",
        what=what,
        state=state,
        item=item,
        step=step,
        attempt=1,
        name=f"steps/04-{step}/{stem}.dsse",
        ts_us=1_771_400_000_000_000 + item * 1_000_000,
        envelope=digest(f"envelope {item}"),
        payload=digest(f"payload {item}"),
        log_index=100 + item,
        files=((f"{stem}.dsse", digest(f"envelope {item}")),),
        signed=Signed(
            signer=signer,
            owner="releaseline",
            predicate_type="https://releaseline.local/attestation/x/v1",
            references=frozenset(digest(f"payload {n}")[7:] for n in rests_on),
            prev=None if item == 1 else digest(f"payload {item - 1}")[7:],
        ),
        note="",
    )


def chain(length: int) -> list[Packet]:
    """Inputs, a decision on them, two approvals of it, then items that rest on all three."""
    first = [
        packet(1, "resolved-inputs", step="inputs"),
        packet(2, "policy-decision", step="gate-eval", rests_on=[1]),
        packet(3, "approval", step="approval", signer=BOB, rests_on=[2]),
        packet(4, "approval-2", step="approval", signer="carol.wu@example.com", rests_on=[2]),
    ]
    rest = [packet(n, "deploy-attestation", rests_on=[2, 3, 4]) for n in range(5, length + 1)]
    return [*first, *rest][:length]


def unread(one: Packet, note: str) -> Packet:
    return replace(one, signed=None, state="INVALID", note=note)
