"""A small sound document of every kind, and ways to spoil it."""

from __future__ import annotations

import copy
import json
from typing import Any

CDX: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"timestamp": "2026-01-01T00:00:00Z"},
    "components": [
        {
            "type": "library",
            "name": "Jinja2",
            "version": "3.1.6",
            "purl": "pkg:pypi/Jinja2@3.1.6",
            "licenses": [{"license": {"id": "BSD-3-Clause"}}],
            "components": [
                {"type": "library", "name": "inner", "version": "1", "purl": "pkg:npm/%40a/inner@1"}
            ],
        },
        {"type": "library", "name": "bare", "version": "2"},
        {"type": "library", "name": "loose", "purl": "pkg:pypi/loose"},
        {
            "type": "library",
            "name": "choice",
            "version": "1",
            "purl": "pkg:pypi/choice@1",
            "licenses": [{"expression": "(MIT OR AGPL-3.0-only) AND Apache-2.0"}],
        },
    ],
}
SPDX: dict[str, Any] = {
    "spdxVersion": "SPDX-2.3",
    "creationInfo": {"created": "2026-01-01T00:00:00Z"},
    "documentDescribes": ["SPDXRef-app"],
    "packages": [
        {"SPDXID": "SPDXRef-app", "name": "app"},
        {
            "SPDXID": "SPDXRef-1",
            "name": "jinja2",
            "versionInfo": "3.1.6",
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "BSD-3-Clause",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": "pkg:pypi/jinja2@3.1.6",
                }
            ],
        },
        {"SPDXID": "SPDXRef-2", "name": "bare", "versionInfo": "2"},
    ],
}
OSV: dict[str, Any] = {
    "id": "PYSEC-1",
    "aliases": ["CVE-1", "GHSA-1"],
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
    "database_specific": {"severity": "moderate"},
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Foo_Bar"},
            "ranges": [
                {"type": "GIT", "events": [{"introduced": "abc"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "1.5"}]},
            ],
            "versions": ["0.9"],
        }
    ],
}
KEV: dict[str, Any] = {"count": 1, "vulnerabilities": [{"cveID": "CVE-1"}]}
NVD: dict[str, Any] = {
    "format": "NVD_CVE",
    "version": "2.0",
    "vulnerabilities": [
        {
            "cve": {
                "id": "CVE-1",
                "metrics": {
                    "cvssMetricV31": [
                        {"type": "Secondary", "cvssData": {"vectorString": "CVSS:3.1/second"}},
                        {"type": "Primary", "cvssData": {"vectorString": "CVSS:3.1/first"}},
                    ],
                    "cvssMetricV2": [{"type": "Primary", "cvssData": {"vectorString": "AV:N"}}],
                },
            }
        }
    ],
}
VEX: dict[str, Any] = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "psirt@example.com",
    "timestamp": "2026-01-01T00:00:00Z",
    "statements": [
        {
            "vulnerability": {"name": "CVE-1", "aliases": ["GHSA-1"]},
            "products": [
                {"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:pypi/foo@1.0"}]},
                {"@id": "x", "identifiers": {"purl": "pkg:pypi/bar"}},
            ],
            "status": "not_affected",
            "justification": "component_not_present",
        }
    ],
}


def dump(document: object) -> bytes:
    return json.dumps(document).encode()


def without(document: dict[str, Any], *path: str | int) -> dict[str, Any]:
    return replaced(document, path, None, drop=True)


def replaced(
    document: dict[str, Any], path: tuple[str | int, ...], value: Any, *, drop: bool = False
) -> dict[str, Any]:
    changed: Any = copy.deepcopy(document)
    inner = changed
    for part in path[:-1]:
        inner = inner[part]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    result: dict[str, Any] = changed
    return result
