"""VEX documents of every kind that is read here: OpenVEX, CycloneDX and CSAF 2.0."""

from __future__ import annotations

from engine.core.errors import Malformed
from engine.inputs.reading import read_json
from engine.inputs.vex import VexDocument
from engine.inputs.vex_csaf import read_csaf
from engine.inputs.vex_cyclonedx import read_cyclonedx_vex
from engine.inputs.vex_openvex import CONTEXT, read_openvex


def read_vex(content: bytes, *, where: str) -> VexDocument:
    """Read a VEX document.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    document = read_json(content, where=where)
    context = document.get("@context")
    if isinstance(context, str) and context.startswith(CONTEXT):
        return read_openvex(document, where)
    if document.get("bomFormat") == "CycloneDX":
        return read_cyclonedx_vex(document, where)
    head = document.get("document")
    if isinstance(head, dict) and "csaf_version" in head:
        return read_csaf(document, where)
    found = ", ".join(sorted(map(str, document))[:5]) or "an empty object"
    raise Malformed(
        f"expected OpenVEX ({CONTEXT}), CycloneDX or CSAF 2.0, found {found}",
        where=where,
    )
