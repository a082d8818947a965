"""Imported attestations over HTTP: taken in for a bundle or for a run, and listed."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, UploadFile
from starlette.concurrency import run_in_threadpool

from engine.api.runs import asker
from engine.attestations import SIZE_MAX, Given, Taken
from engine.core.attestations import Attestation
from engine.core.errors import Malformed
from engine.services import Services

_TOTAL_MAX: Final = 4 * SIZE_MAX


def router(services: Services) -> APIRouter:
    api = APIRouter()
    _bundles(api, services)
    _runs(api, services)
    return api


def _bundles(api: APIRouter, services: Services) -> None:
    @api.post("/bundles/{digest}/attestations", status_code=201)
    async def take(digest: str, request: Request, attestation: list[UploadFile]) -> Any:
        files, who = await _given(attestation), asker(request)
        bundle = await run_in_threadpool(services.catalog.find, digest)
        taken = await run_in_threadpool(
            services.attestations.import_for_bundle,
            bundle.digest,
            files,
            actor=who.user,
            limits=who.limits,
        )
        return {"bundle": str(bundle.digest), "items": [_taken(one) for one in taken]}

    @api.get("/bundles/{digest}/attestations")
    def listed(digest: str) -> Any:
        bundle = services.catalog.find(digest)
        items = services.attestations.of_bundle(bundle.digest)
        return {"bundle": str(bundle.digest), "items": [attestation_shape(one) for one in items]}


def _runs(api: APIRouter, services: Services) -> None:
    @api.post("/runs/{run_id}/attestations", status_code=201)
    async def take(run_id: str, request: Request, attestation: list[UploadFile]) -> Any:
        files, who = await _given(attestation), asker(request)
        taken = await run_in_threadpool(
            services.attestations.import_for_run,
            run_id,
            files,
            actor=who.user,
            limits=who.limits,
        )
        return {"run": run_id, "items": [_taken(one) | {"pinned": one.pinned} for one in taken]}

    @api.get("/runs/{run_id}/attestations")
    def listed(run_id: str) -> Any:
        items = services.attestations.of_run(run_id)
        return {
            "run": run_id,
            "items": [attestation_shape(one.attestation) | {"pinned": one.pinned} for one in items],
        }


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
