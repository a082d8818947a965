"""View-model of an imported attestation: what it says, who signed it and who vouched. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.audit_imports import Import
from engine.evidence import clients
from engine.evidence.clients import Question
from engine.evidence.imported import Anchor, Imported, KeyAnchor
from pages.ui.evidence_auditor import Command
from pages.ui.evidence_words import digest_fact, fact, utc

EXPLAINED: Final = (
    "Made by somebody else. It was verified when it came in, by an entry under `trust` in the "
    "settings. Reading is not verifying: press **Verify now** to judge the stored bytes by whom "
    "the settings trust at this moment."
)


def predicate(statement: Mapping[str, Any]) -> str:
    return json.dumps(statement.get("predicate", {}), indent=2, ensure_ascii=False)


def around(statement: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in statement.items() if key != "predicate"}
    return json.dumps(rest, indent=2, ensure_ascii=False)


def facts(one: Import) -> dict[str, list[dict[str, str]]]:
    """Rows of name, text and digest, by the part that they tell of."""
    rests = (
        "Pinned by the inputs of the run, by its digest: the run rests on it."
        if one.pinned
        else "The inputs of the run, as resolved last, do not pin it: nothing rests on it."
    )
    return {
        "What it is to this run": [
            fact("Inputs", rests),
            fact("About", ", ".join(one.about)),
            *([fact("Says", one.says)] if one.says else []),
            fact("Taken in", utc(one.ts_us // 1_000_000)),
            fact("Predicate type", one.predicate_type),
            fact("Came as", f"{one.file} ({_FORMS.get(one.form, one.form)})"),
        ],
        "Who signed it, and who vouched": [
            fact("Signed by", one.signer),
            *([fact("Identity vouched for by", one.issuer)] if one.issuer else []),
            fact("Signed at", "nothing tells" if one.signed_s is None else utc(one.signed_s)),
            fact("Trusted as", one.trust),
            digest_fact("Key or trusted root of that entry", one.anchor),
        ],
        "Its bytes": [
            digest_fact("Envelope", one.envelope, kept=True),
            digest_fact("Statement", one.payload),
            *(
                [digest_fact("As it came in", one.source, kept=True)]
                if one.source != one.envelope
                else []
            ),
        ],
    }


def judged(one: Import, found: Imported) -> tuple[bool, str, tuple[str, ...]]:
    """What verifying once more came to, in the form of `evidence_item.judged`."""
    head = f"Verified now: signed by {found.signer}, trusted as {found.anchor.name}."
    if found.anchor.name == one.trust:
        return True, head, ()
    return True, head, (f"When it came in, {one.trust} vouched for it.",)


def commands(one: Import, trusted: Sequence[Anchor]) -> tuple[Command, ...]:
    """For this one, inside the unpacked pack; empty where nothing can be said for certain.

    What it takes to trust (the key, or the trusted root) is not in the pack and never comes from
    there: it stands one folder up, under the name of its entry in the settings.

    Args:
        trusted: the settings' entries of today. One that is gone, or is another by now, did not
            vouch for it.
    """
    anchor = next((a for a in trusted if (a.name, str(a.digest)) == (one.trust, one.anchor)), None)
    if isinstance(anchor, KeyAnchor):
        key = f"../{anchor.name}.pem"
        return (
            Command(
                title="The signature, by openssl alone",
                why=f"{key} is the public key of that entry, got from whoever signs with it. "
                "It leaves files behind that are not of the pack.",
                needs="openssl",
                text=clients.openssl_by_key(f"{one.place}.dsse", key, anchor.key.kind),
            ),
        )
    if anchor is None or not all(_TYPED.fullmatch(word) for word in (one.signer, one.issuer)):
        return ()
    asked = Question(
        artifact="",
        bundle=f"{one.place}.sigstore.json",
        identity=one.signer,
        issuer=one.issuer,
        owner="",
        predicate_type=one.predicate_type,
        trust=f"../{anchor.name}",
    )
    folder = f"../{clients.NPM_FOLDER}"
    return (
        Command(
            title="By npm's client",
            why=f"{asked.root} is the trusted root of that entry. The client is a library: get it "
            f"once beside this folder, with `{clients.npm_install(folder)}`.",
            needs="node",
            text=clients.npm(asked, folder),
        ),
    )


# Strangers' words stand in a command only when no shell could take them for more than a word.
_TYPED: Final = re.compile(r"[A-Za-z0-9@:/._+-]+")
_FORMS: Final = {"dsse": "DSSE envelope", "sigstore": "Sigstore bundle"}
