"""Imported attestations over HTTP: taken in for a bundle or for a run, and listed."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, UploadFile
from starlette.concurrency import run_in_threadpool

from engine.api.acting import BundleText, Uploads
from engine.api.documents.base import says
from engine.api.documents.house import (
    AttestationsOfBundleDoc,
    AttestationsOfRunDoc,
    TakenForBundleDoc,
    TakenForRunsDoc,
)
from engine.api.once import Asked, OnceOnly, run_then
from engine.api.pages import Paged, filtered, page_of
from engine.api.runs import RunId, asker
from engine.attestations import SIZE_MAX, Given, Taken
from engine.core.attestations import Attestation
from engine.core.digest import Digest
from engine.core.errors import Malformed
from engine.services import Services

_TOTAL_MAX: Final = 4 * SIZE_MAX


def routes(api: APIRouter, services: Services) -> None:
    _bundles(api, services)
    _runs(api, services)


def _bundles(api: APIRouter, services: Services) -> None:
    @api.post(
        "/bundles/{digest}/attestations",
        status_code=201,
        responses=says(TakenForBundleDoc, status=201),
    )
    async def take(
        digest: BundleText, request: Request, attestation: Uploads, once: OnceOnly
    ) -> Any:
        """Take in what others attest of a bundle: all of the files, or none."""
        files, who = await _given(attestation), asker(request)

        def taken() -> Any:
            bundle = services.catalog.find(digest)
            with once.doing(_named(files)) as asked:
                found = services.attestations.import_for_bundle(
                    bundle.digest, files, actor=who.user, limits=who.limits, command_id=asked.id
                )
            return {"bundle": str(bundle.digest), "items": [_taken(one) for one in found]}

        return await run_in_threadpool(taken)

    @api.get("/bundles/{digest}/attestations", responses=says(AttestationsOfBundleDoc))
    def listed(digest: BundleText, page: Paged) -> Any:
        bundle = services.catalog.find(digest)
        found = list(enumerate(services.attestations.of_bundle(bundle.digest)))
        items, following = page_of(
            found, page, filtered("attestations", bundle=str(bundle.digest)), lambda one: (one[0],)
        )
        return {
            "bundle": str(bundle.digest),
            "items": [attestation_shape(one) for _, one in items],
            "next": following,
        }


def _runs(api: APIRouter, services: Services) -> None:
    @api.post(
        "/runs/{run_id}/attestations", status_code=201, responses=says(TakenForRunsDoc, status=201)
    )
    async def take(run_id: RunId, request: Request, attestation: Uploads, once: OnceOnly) -> Any:
        """Take in what others attest for one run: all of the files, or none."""
        files, who = await _given(attestation), asker(request)

        def taken() -> Any:
            with once.doing(_named(files)) as asked:
                found = services.attestations.import_for_run(
                    run_id, files, actor=who.user, limits=who.limits, command_id=asked.id
                )
            pinned = _pinned_then(services, run_id, asked)
            return {
                "run": run_id,
                "items": [_taken(one) | {"pinned": _is_pinned(one, pinned)} for one in found],
            }

        return await run_in_threadpool(taken)

    @api.get("/runs/{run_id}/attestations", responses=says(AttestationsOfRunDoc))
    def listed(run_id: RunId, page: Paged) -> Any:
        found = list(enumerate(services.attestations.of_run(run_id)))
        items, following = page_of(
            found, page, filtered("attestations", run=run_id), lambda one: (one[0],)
        )
        return {
            "run": run_id,
            "items": [
                attestation_shape(one.attestation) | {"pinned": one.pinned} for _, one in items
            ],
            "next": following,
        }


def _pinned_then(services: Services, run_id: str, asked: Asked) -> set[Digest] | None:
    """What the run's inputs named when this was asked for first; None when that is now."""
    if not asked.earlier:
        return None
    return {one.envelope for one in run_then(services, run_id, asked.earlier).pinned}


def _is_pinned(one: Taken, pinned: set[Digest] | None) -> bool:
    return one.pinned if pinned is None else one.attestation.envelope in pinned


def _named(files: list[Given]) -> list[Any]:
    """The files as what was asked for: names and digests."""
    return [[one.name, str(Digest.of(one.content))] for one in files]


async def _given(uploads: list[UploadFile]) -> list[Given]:
    total = sum(upload.size or 0 for upload in uploads)
    if total > _TOTAL_MAX:
        raise Malformed(f"expected at most {_TOTAL_MAX} bytes, found {total}", where="attestation")
    files = []
    for upload in uploads:
        name = upload.filename or "attestation"
        # One byte more than allowed tells that there is more; the rest is never read.
        content = await upload.read(SIZE_MAX + 1)
        if len(content) > SIZE_MAX:
            raise Malformed(f"expected at most {SIZE_MAX} bytes, found more", where=name)
        files.append(Given(name=name, content=content))
    return files


def _taken(one: Taken) -> dict[str, Any]:
    return attestation_shape(one.attestation) | {"new": one.new}


def attestation_shape(one: Attestation) -> dict[str, Any]:
    return {
        "digest": str(one.envelope),
        "source": str(one.source),
        "form": one.form,
        "file": one.file,
        "kind": one.kind,
        "title": one.title,
        "statement_type": one.statement_type,
        "predicate_type": one.predicate_type,
        "payload": str(one.payload),
        "about": [{"name": s.name, "digest": str(s.digest)} for s in one.subjects],
        "says": one.says,
        "authors": list(one.authors),
        "trust": one.trust,
        "anchor": str(one.anchor),
        "signer": one.signer,
        "issuer": one.issuer,
        "signed_s": one.signed_s,
    }
