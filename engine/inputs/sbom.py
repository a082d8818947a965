"""Bills of materials of every kind that is read here, by what their bytes say they are.

CycloneDX 1.4 to 1.7 (JSON, XML), SPDX 2.2 and 2.3 (JSON, tag-value) and SPDX 3.0 (JSON-LD).
"""

from __future__ import annotations

from engine.core.errors import Malformed
from engine.inputs.reading import read_json
from engine.inputs.sbom_cyclonedx import is_xml, read_cyclonedx, read_cyclonedx_xml
from engine.inputs.sbom_parts import Sbom
from engine.inputs.sbom_spdx2 import is_tag_value, read_spdx2, read_spdx2_text
from engine.inputs.sbom_spdx3 import is_spdx3, read_spdx3

__all__ = ["Sbom", "is_sbom", "read_sbom"]


def read_sbom(content: bytes, *, where: str) -> Sbom:
    """Read a bill of materials.

    Raises:
        Malformed: naming file, field, expected and found.
    """
    if is_xml(content):
        return read_cyclonedx_xml(content, where)
    if is_tag_value(content):
        return read_spdx2_text(content, where)
    document = read_json(content, where=where)
    if document.get("bomFormat") == "CycloneDX":
        return read_cyclonedx(document, where)
    if "spdxVersion" in document:
        return read_spdx2(document, where)
    if is_spdx3(document):
        return read_spdx3(document, where)
    found = ", ".join(sorted(map(str, document))[:5]) or "an empty object"
    raise Malformed(
        f"expected CycloneDX (bomFormat), SPDX 2 (spdxVersion) or SPDX 3 (@context), found {found}",
        where=where,
    )


def is_sbom(content: bytes) -> bool:
    """Whether the bytes claim to be a bill of materials; they need not be a good one."""
    if is_xml(content) or is_tag_value(content):
        return True
    try:
        document = read_json(content, where="")
    except Malformed:
        return False
    return (
        document.get("bomFormat") == "CycloneDX" or "spdxVersion" in document or is_spdx3(document)
    )
