"""How to check a pack without us, in the words of the tools that auditors have."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from textwrap import indent
from typing import Any, Final

from cryptography import x509

from engine.core.exporting import ADDENDA, PARTIAL
from engine.core.run import Run
from engine.evidence import chain, clients, verify
from engine.evidence.owner import owner_of
from engine.evidence.statement import MANIFEST_NAME
from engine.packing_parts import SCRIPT, Maker

README: Final = "README.txt"
_BUNDLE: Final = ".sigstore.json"


def readme(kind: str, run: Run, maker: Maker, files: Mapping[str, bytes]) -> bytes:
    """Args:
    files: everything else in the pack; its signatures are listed with whose they are.
    """
    place = f"{run.request.region} / {run.environment}"
    parts = (
        _first(kind),
        f"Evidence of {run.run_id}: {run.label} to {place}\n",
        _trust(maker),
        _ours(kind, maker),
        _script(),
        _files_of(kind),
        _stock(kind, maker, files),
        _by_hand(),
        _told(kind, files),
        _signatures(files, maker),
        "What no signature can tell: whether the machine that made it was sound at that moment.\n",
    )
    return "\n".join(part for part in parts if part).encode()


def _first(kind: str) -> str:
    if kind == PARTIAL:
        return """THIS PACK IS PARTIAL. It was made before the run was sealed: there is no proof
chain, and what the run did afterwards is not in it.
"""
    if kind == ADDENDA:
        return """What was added after the seal. Nothing that was sealed has changed: each addendum
is a statement of its own about the proof chain, signed by whoever wrote it. Check it together with
the audit pack of the run; its proof-chain.json has to be the one in here.
"""
    return ""


def _trust(maker: Maker) -> str:
    return f"""Everything can be checked offline. Trust begins with ONE file that must not come from
this pack: trusted_root.json, or its SHA-256, as it was handed to you when this home was set up. The
copy in trust/ has

    sha256 {maker.keys.fingerprint.hex}

Compare it with the one you were given. If they differ, stop.
"""


def _ours(kind: str, maker: Maker) -> str:
    pack = "PACK AUDIT_PACK" if kind == ADDENDA else "PACK"
    return f"""With Releaseline (every file, every link, the log, the approvals):

    releaseline verify {pack} --trusted-root-sha256 {maker.keys.fingerprint.hex}

An earlier pack or checkpoint of the same log, behind --against, shows that the log was not
rewritten in between. log/checkpoint is the log's state of this pack: keep it.
"""


def _script() -> str:
    return f"""With sh, sed, openssl and the core utilities, inside the folder, all but the log:

    sh {SCRIPT} -r TRUSTED_ROOT_JSON

The script is the same in every pack. Who can change a pack can change it too, so take the copy
that you have read, or that came with an earlier pack.
"""


def _files_of(kind: str) -> str:
    beside = (
        f"""
The pack as one file is signed too; that signature lies beside it and not in it:

    the name of the pack, with {_BUNDLE} behind it
"""
        if kind not in {PARTIAL, ADDENDA}
        else ""
    )
    return f"""That every file is the one that was signed:

    sha256sum -c {verify.SUMS}
{beside}"""


def _stock(kind: str, maker: Maker, files: Mapping[str, bytes]) -> str:
    asked = clients.Question(
        artifact=verify.SUMS,
        bundle=verify.SUMS_BUNDLE,
        identity=maker.identity,
        issuer=maker.issuer,
        # gh wants a trusted root that ends with its line; what was made before can't be used.
        owner=_owner(files) if files[verify.TRUST].endswith(b"\n") else "",
        predicate_type=f"{maker.base}/export/v1",
        trust="trust",
    )
    told = (clients.sigstore(asked), clients.github(asked), clients.cosign(asked))
    seal = (
        ""
        if kind == PARTIAL
        else f"""
Every file under the seal is a subject of {chain.STEM}{_BUNDLE} as well: put it in place of
{verify.SUMS_BUNDLE}, and that file in place of {verify.SUMS}. A single
NAME{_BUNDLE} speaks of {MANIFEST_NAME}.
"""
    )
    npm = f"../{clients.NPM_FOLDER}"
    return f"""Who signed that list, by clients that know nothing of us:

{_typed(*told)}
npm's client is a library; get it once, beside this folder, with a Node that is not too old:

{_typed(clients.npm_install(npm))}
{_typed(clients.npm(asked, npm))}{seal}"""


def _typed(*commands: str) -> str:
    """Each set in, and a line between them."""
    return "\n".join(f"{indent(one, '    ')}\n" for one in commands if one)


def _by_hand() -> str:
    """One signature by openssl alone; the script does this for each of them."""
    return f"""One signature by hand, here that over the list (B is any NAME{_BUNDLE}):

{_typed(clients.openssl(verify.SUMS_BUNDLE))}
SECONDS: the time stamp, since 1970. A leaf lives for ten minutes and its key for one signature.
These commands leave files behind that are not of the pack; the script will say so.
"""


def _told(kind: str, files: Mapping[str, bytes]) -> str:
    views = any(name.endswith("-view.json") for name in files)
    seen = (
        "An approval's NAME-view.json is what the approver was shown; its SHA-256 stands in the\n"
        "statement, as `saw`.\n"
        if views
        else ""
    )
    events = next((name for name in sorted(files) if name.endswith("run-events.ndjson")), "")
    story = (
        f"{verify.STORY} tells the run; each of its sentences cites the event that it rests on.\n"
        if verify.STORY in files
        else ""
    )
    if not events:
        return f"{story}{seen}"
    return f"""{story}{seen}The events are in {events},
one a line. The hash of an event is the SHA-256 of its line without the members "hash" and "type";
"prev" is that of the event before.
"""


def _signatures(files: Mapping[str, bytes], maker: Maker) -> str:
    rows = [
        (name, *_said(files[name], maker))
        for name in sorted(files)
        if name.endswith(_BUNDLE) and name != verify.SUMS_BUNDLE
    ]
    listed = "".join(f"    {name}\n        {who}\n        {what}\n" for name, who, what in rows)
    return f"The signatures in this pack, whose they are and of which kind:\n\n{listed}"


def _said(bundle: bytes, maker: Maker) -> tuple[str, str]:
    """Who has to have signed, and the type of the statement."""
    statement = json.loads(b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    said: dict[str, Any] = statement["predicate"]
    person = said.get("approver") or said.get("author")
    signer = maker.identity
    if isinstance(person, dict):
        signer = str(person["id"]).removeprefix("mailto:")
    return signer, str(statement["predicateType"])


def _owner(files: Mapping[str, bytes]) -> str:
    """The last part of the owner's address in the certificates; empty when they name none."""
    for name in sorted(files):
        if name.endswith(_BUNDLE):
            raw = json.loads(files[name])["verificationMaterial"]["certificate"]["rawBytes"]
            owner = owner_of(x509.load_der_x509_certificate(b64decode(raw)))
            if owner:
                return owner
    return ""
