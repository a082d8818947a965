"""SPDX 2.2 and 2.3, as JSON or as the line-by-line text of `Tag: value`.

The text form is turned into what the JSON form holds, so that both are read by one reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.core.errors import Malformed
from engine.inputs.packages import Package
from engine.inputs.reading import (
    kind,
    nfc,
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
    texts_of,
)
from engine.inputs.sbom_parts import Collected, Part, Sbom, sbom_of

VERSIONS: Final = ("SPDX-2.2", "SPDX-2.3")
_TAG: Final = re.compile(r"([A-Za-z][A-Za-z0-9]*):[ \t]*(.*)")
_PURL: Final = "purl"
# What other references name a package by, for the sentence about one without a package URL.
_OTHER_NAMES: Final = {"cpe22Type": "a CPE", "cpe23Type": "a CPE", "swid": "a SWID tag"}
_KEPT_OF_A_PACKAGE: Final = {
    "PackageVersion": "versionInfo",
    "PackageLicenseConcluded": "licenseConcluded",
    "PackageLicenseDeclared": "licenseDeclared",
}


def read_spdx2(document: Mapping[str, Any], where: str) -> Sbom:
    """Read the JSON form. Raises `Malformed` naming file, field, expected and found."""
    version = document.get("spdxVersion")
    if version not in VERSIONS:
        raise Malformed(
            f"expected one of {', '.join(VERSIONS)}, found {kind(version)}",
            where=f"{where}.spdxVersion",
        )
    info = object_of(document, "creationInfo", where)
    created = text_of(info, "created", f"{where}.creationInfo")
    described = _described(document, where)
    collected = Collected()
    roots: list[Package] = []
    for place, item in objects_of(document, "packages", where):
        part = _part(item, place)
        own = optional_text(item, "SPDXID", place)
        root = own in described
        # Some writers call every package described, so that none of them may be passed over.
        if described == {own} and not part.purls:
            continue  # what the document is about; it is no part of itself
        made = collected.take(part)
        roots += made if root else ()
    return sbom_of(
        collected,
        form=str(version).replace("-", " "),
        generated_at_s=seconds_of(created, f"{where}.creationInfo.created"),
        roots=roots,
    )


def _part(item: Mapping[str, Any], where: str) -> Part:
    purls, others = [], set()
    for place, ref in objects_of(item, "externalRefs", where):
        form = optional_text(ref, "referenceType", place)
        if form.rpartition("/")[2] == _PURL:
            purls.append(text_of(ref, "referenceLocator", place))
        elif form in _OTHER_NAMES:
            others.add(_OTHER_NAMES[form])
    return Part(
        place=where,
        name=text_of(item, "name", where),
        version=optional_text(item, "versionInfo", where),
        purls=purls,
        licenses=[
            optional_text(item, one, where) for one in ("licenseConcluded", "licenseDeclared")
        ],
        hashes=[
            (text_of(one, "algorithm", spot), text_of(one, "checksumValue", spot))
            for spot, one in objects_of(item, "checksums", where)
        ],
        other_names=sorted(others),
    )


def _described(document: Mapping[str, Any], where: str) -> set[str]:
    """Ids of what the document is about."""
    found = set(texts_of(document, "documentDescribes", where))
    for place, item in objects_of(document, "relationships", where):
        form = optional_text(item, "relationshipType", place)
        if form == "DESCRIBES":
            found.add(optional_text(item, "relatedSpdxElement", place))
        elif form == "DESCRIBED_BY":
            found.add(optional_text(item, "spdxElementId", place))
    return found


# --- tag-value ------------------------------------------------------------------------------------


def is_tag_value(content: bytes) -> bool:
    return (
        re.search(rb"^(?:\xef\xbb\xbf)?\s*SPDXVersion:", content[:4096], re.MULTILINE) is not None
    )


def read_spdx2_text(content: bytes, where: str) -> Sbom:
    """Read the text form. Raises `Malformed` naming the line."""
    return read_spdx2(_mapping_of_text(content, where), where)


def _mapping_of_text(content: bytes, where: str) -> Mapping[str, Any]:
    document: dict[str, Any] = {"creationInfo": {}, "packages": [], "relationships": []}
    package: dict[str, Any] | None = None
    for line, tag, value in _tags(content, where):
        place = f"{where}: line {line}"
        match tag:
            case "SPDXVersion":
                document["spdxVersion"] = value
            case "Created":
                document["creationInfo"]["created"] = value
            case "PackageName":
                package = {"name": value, "externalRefs": [], "checksums": []}
                document["packages"].append(package)
            case "FileName" | "SnippetSPDXID" | "LicenseID":
                package = None  # what follows is no longer about a package
            case "SPDXID" if package is not None:
                package["SPDXID"] = value
            case "ExternalRef" if package is not None:
                words = value.split(None, 2)
                if len(words) != 3:
                    raise Malformed(f"expected three words, found {value[:80]!r}", where=place)
                package["externalRefs"].append(
                    {"referenceType": words[1], "referenceLocator": words[2]}
                )
            case "PackageChecksum" if package is not None:
                algorithm, _, hexed = value.partition(":")
                package["checksums"].append(
                    {"algorithm": algorithm.strip(), "checksumValue": hexed.strip()}
                )
            case "Relationship":
                words = value.split()
                if len(words) != 3:
                    raise Malformed(f"expected three words, found {value[:80]!r}", where=place)
                document["relationships"].append(
                    dict(
                        zip(
                            ("spdxElementId", "relationshipType", "relatedSpdxElement"),
                            words,
                            strict=True,
                        )
                    )
                )
            case _ if package is not None and tag in _KEPT_OF_A_PACKAGE:
                package[_KEPT_OF_A_PACKAGE[tag]] = value
    return document


def _tags(content: bytes, where: str) -> Iterator[tuple[int, str, str]]:
    """(line, tag, value), values over several lines (`<text>...</text>`) joined."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Malformed(f"expected UTF-8 text, found byte {error.start}", where=where) from error
    at = 0
    while at < len(lines):
        line, at = lines[at].strip(), at + 1
        if not line or line.startswith("#"):
            continue
        found = _TAG.fullmatch(line)
        if found is None:
            raise Malformed(
                f"expected `Tag: value`, found {line[:80]!r}", where=f"{where}: line {at}"
            )
        begun, tag, value = at, found[1], found[2].strip()
        if value.startswith("<text>"):
            parts = [value.removeprefix("<text>")]
            while "</text>" not in parts[-1]:
                if at == len(lines):
                    raise Malformed(
                        "expected </text>, found the end", where=f"{where}: line {begun}"
                    )
                parts.append(lines[at])
                at += 1
            value = "\n".join(parts).partition("</text>")[0]
        yield begun, tag, nfc(value.strip())
