"""Calls from outside: whether one is proven, and what it asks for, by who sends it. Pure.

A call is proven before anything in it is read. What it asks for is only ever a bundle, by digest or
by name and version, or files to make one of, each with its digest; what happens with it is decided
by our settings and never by the call.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.core.webhook_signing import ID, PREFIX, SIGNATURE, key_of
from engine.core.webhook_signing import problem as signature_problem

BODY_BYTES_MAX: Final = 1024 * 1024

_FILES_MAX: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", re.ASCII)
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", re.ASCII)

# What a refusal is called, and the sentence for it. None says which part of a secret was wrong.
REFUSALS: Final = {
    "unsigned": "The call carries no signature that this hook knows.",
    "bad_signature": "The call's signature is not that of its body.",
    "too_old": "The call's time is more than 5 minutes away from ours.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Attributes:
    headers: by their names in lower case.
    """

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file to be fetched. `kind` is component or sbom."""

    name: str
    url: str
    digest: Digest
    kind: str = "component"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a call asks for.

    Attributes:
        what: what the sender said happened, for people.
        digest: of a bundle that is here; None = it is named by name and version.
        files: to make the bundle of; empty when it is here.
        manifest: address of an OCI manifest to make the bundle of, and its digest.
    """

    what: str
    name: str = ""
    version: str = ""
    digest: Digest | None = None
    files: tuple[RemoteFile, ...] = ()
    manifest: RemoteFile | None = None


def problem(preset: str, call: Call, secrets: Sequence[str], *, now_s: int) -> str:
    """Why a call is not proven, as a key of `REFUSALS`; empty when it is.

    Args:
        secrets: either of them proves it; never empty.

    Raises:
        Malformed: a secret of ours is not written as this preset needs it.
    """
    given = call.headers
    match preset:
        case "github":
            shown = given.get("x-hub-signature-256", "")
            made = [_hex(secret.encode(), call.body) for secret in secrets]
            return _one_of(shown, [f"sha256={one}" for one in made])
        case "gitlab":
            if given.get(SIGNATURE):
                keys = [_gitlab_key(secret) for secret in secrets]
                return signature_problem(keys, given, call.body, now_s=now_s)
            return _one_of(given.get("x-gitlab-token", ""), secrets)
        case "registry":
            scheme, _, shown = given.get("authorization", "").partition(" ")
            return _one_of(shown if scheme.lower() == "bearer" else "", secrets)
        case _:
            keys = [key_of(secret, where="secret") for secret in secrets]
            return signature_problem(keys, given, call.body, now_s=now_s)


def replay_key(preset: str, call: Call) -> str:
    """The same for a call that was sent before. It rests on what the preset has signed: on the id
    where that is, else on the body, since anybody could send a captured one under another id."""
    if preset == "standard" or (preset == "gitlab" and call.headers.get(SIGNATURE)):
        return hashlib.sha256(call.headers.get(ID, "").encode("utf-8", "replace")).hexdigest()
    return hashlib.sha256(call.body).hexdigest()


def delivery_of(call: Call) -> str:
    """What the sender calls this call; a label."""
    for name in (ID, "x-github-delivery", "x-gitlab-event-uuid", "idempotency-key"):
        if call.headers.get(name):
            text = call.headers[name][:100]
            return text if text.isprintable() else ""
    return ""


def wishes(preset: str, call: Call) -> tuple[Wish, ...]:
    """What a proven call asks for; empty for one that is about nothing that we act on.

    Raises:
        Malformed: names the field that is not as its sender documents it.
    """
    try:
        document = json.loads(call.body)
    except (ValueError, RecursionError):
        raise Malformed("expected a JSON document, found something else", where="body") from None
    if not isinstance(document, dict):
        raise Malformed("expected an object, found another value", where="body")
    return _READERS[preset](document)


def _github(body: Mapping[str, Any]) -> tuple[Wish, ...]:
    repository = (
        _text(_object(body, "repository"), "name", "repository") if body.get("repository") else ""
    )
    if isinstance(body.get("release"), dict) and body.get("action") == "published":
        version = _version(_text(body["release"], "tag_name", "release"))
        return (Wish(what=f"release {version} published", name=repository, version=version),)
    if isinstance(body.get("deployment"), dict) and body.get("action") == "created":
        deployment = body["deployment"]
        payload = deployment.get("payload")
        named = payload.get("bundle") if isinstance(payload, dict) else None
        if named is not None:
            digest = _digest(named, "deployment.payload.bundle")
            return (Wish(what="deployment created", digest=digest),)
        version = _version(_text(deployment, "ref", "deployment"))
        return (Wish(what=f"deployment of {version} created", name=repository, version=version),)
    return ()


def _gitlab(body: Mapping[str, Any]) -> tuple[Wish, ...]:
    if body.get("object_kind") != "release" or body.get("action") != "create":
        return ()
    path = _text(_object(body, "project"), "path_with_namespace", "project")
    version = _version(_text(body, "tag", ""))
    name = path.rpartition("/")[2]
    return (Wish(what=f"release {version} created", name=name, version=version),)


def _registry(body: Mapping[str, Any]) -> tuple[Wish, ...]:
    events = body.get("events")
    if not isinstance(events, list):
        raise Malformed("expected a list, found another value", where="events")
    found = []
    for index, event in enumerate(events[:_FILES_MAX]):
        where = f"events[{index}].target"
        target = event.get("target") if isinstance(event, dict) else None
        if not isinstance(target, dict) or event.get("action") != "push":
            continue
        if "manifest" not in str(target.get("mediaType", "")):
            continue  # a layer; the manifest that names it follows
        repository = _text(target, "repository", where)
        if _REPOSITORY.fullmatch(repository) is None:
            raise Malformed(f"expected a name, found {repository[:80]!r}", where=where)
        digest = _digest(target.get("digest"), f"{where}.digest")
        tagged = target.get("tag") not in (None, "")
        version = _version(_text(target, "tag", where)) if tagged else digest.hex[:12]
        name = repository.rpartition("/")[2]
        url = target.get("url")
        manifest = None
        if isinstance(url, str) and url:
            manifest = RemoteFile(name=name, url=url, digest=digest, kind="manifest")
        found.append(
            Wish(what=f"{repository} pushed", name=name, version=version, manifest=manifest)
        )
    return tuple(found)


def _standard(body: Mapping[str, Any]) -> tuple[Wish, ...]:
    data = _object(body, "data")
    what = _text(body, "type", "") if body.get("type") is not None else "call"
    if data.get("bundle") is not None:
        return (Wish(what=what, digest=_digest(data["bundle"], "data.bundle")),)
    name, version = _text(data, "name", "data"), _text(data, "version", "data")
    files = [
        *_files(data, "components", "component"),
        *_files(data, "sboms", "sbom"),
    ]
    return (Wish(what=what, name=name, version=version, files=tuple(files)),)


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], tuple[Wish, ...]]]] = {
    "github": _github,
    "gitlab": _gitlab,
    "registry": _registry,
    "standard": _standard,
}


def _files(data: Mapping[str, Any], key: str, kind: str) -> list[RemoteFile]:
    listed = data.get(key, [])
    if not isinstance(listed, list) or len(listed) > _FILES_MAX:
        raise Malformed(f"expected a list of at most {_FILES_MAX} files", where=f"data.{key}")
    found = []
    for index, one in enumerate(listed):
        where = f"data.{key}[{index}]"
        if not isinstance(one, dict):
            raise Malformed("expected an object, found another value", where=where)
        name = _text(one, "name", where)
        if _NAME.fullmatch(name) is None:
            raise Malformed(f"expected a plain file name, found {name[:80]!r}", where=where)
        found.append(
            RemoteFile(
                name=name,
                url=_text(one, "url", where),
                digest=_digest(one.get("sha256"), f"{where}.sha256"),
                kind=kind,
            )
        )
    return found


def _object(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise Malformed("expected an object, found another value", where=key)
    return value


def _text(body: Mapping[str, Any], key: str, place: str) -> str:
    value = body.get(key)
    where = f"{place}.{key}" if place else key
    if not isinstance(value, str) or not value or len(value) > 500 or not value.isprintable():
        raise Malformed("expected a short text, found another value", where=where)
    return value


def _digest(value: object, where: str) -> Digest:
    if not isinstance(value, str):
        raise Malformed("expected sha256:HEX, found another value", where=where)
    try:
        return Digest.parse(value if ":" in value else f"sha256:{value}")
    except Malformed:
        raise Malformed(f"expected sha256:HEX, found {value[:80]!r}", where=where) from None


def _version(tag: str) -> str:
    """`v1.3.0` and `refs/tags/v1.3.0` as 1.3.0."""
    short = tag.rpartition("/")[2]
    return short[1:] if re.match(r"v[0-9]", short) else short


def _gitlab_key(secret: str) -> bytes:
    return key_of(secret, where="secret") if secret.startswith(PREFIX) else secret.encode()


def _hex(key: bytes, body: bytes) -> str:
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def _one_of(shown: str, expected: Sequence[str]) -> str:
    if not shown:
        return "unsigned"
    good = False
    for one in expected:  # all of them, so that the time says nothing about which was right
        good |= hmac.compare_digest(shown.encode("utf-8", "replace"), one.encode())
    return "" if good else "bad_signature"
