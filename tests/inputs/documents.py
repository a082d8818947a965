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

SPDX3: dict[str, Any] = {
    "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
    "@graph": [
        {
            "type": "CreationInfo",
            "@id": "_:c",
            "specVersion": "3.0.1",
            "created": "2026-01-01T00:00:00Z",
        },
        {"type": "SpdxDocument", "spdxId": "x:d", "creationInfo": "_:c", "rootElement": ["x:s"]},
        {"type": "software_Sbom", "spdxId": "x:s", "rootElement": ["x:app"]},
        {"type": "software_Package", "spdxId": "x:app", "name": "app"},
        {
            "type": "software_Package",
            "spdxId": "x:1",
            "name": "jinja2",
            "software_packageVersion": "3.1.6",
            "software_packageUrl": "pkg:pypi/jinja2@3.1.6",
        },
        {
            "type": "software_Package",
            "spdxId": "x:2",
            "name": "bare",
            "software_packageVersion": "2",
        },
        {
            "type": "simplelicensing_LicenseExpression",
            "spdxId": "x:l",
            "simplelicensing_licenseExpression": "BSD-3-Clause",
        },
        {
            "type": "Relationship",
            "spdxId": "x:r",
            "relationshipType": "hasDeclaredLicense",
            "from": "x:1",
            "to": ["x:l"],
        },
    ],
}
CDX_VEX: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "timestamp": "2026-01-01T00:00:00Z",
        "authors": [{"name": "PSIRT", "email": "psirt@example.com"}],
        "component": {
            "type": "application",
            "name": "app",
            "bom-ref": "app",
            "purl": "pkg:oci/app",
        },
    },
    "components": [
        {
            "type": "library",
            "name": "foo",
            "bom-ref": "foo",
            "purl": "pkg:pypi/foo@1.0",
            "hashes": [{"alg": "SHA-256", "content": "c" * 64}],
        }
    ],
    "vulnerabilities": [
        {
            "id": "CVE-1",
            "references": [{"id": "GHSA-1"}],
            "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
            "affects": [{"ref": "foo"}, {"ref": "urn:cdx:0/1#pkg:pypi/bar"}],
        }
    ],
}
CSAF: dict[str, Any] = {
    "document": {
        "category": "csaf_vex",
        "csaf_version": "2.0",
        "publisher": {"name": "psirt@example.com"},
        "tracking": {"status": "final", "current_release_date": "2026-01-01T00:00:00Z"},
    },
    "product_tree": {
        "branches": [
            {
                "category": "vendor",
                "name": "Example",
                "branches": [
                    {
                        "category": "product_version",
                        "name": "1.0",
                        "product": {
                            "product_id": "P-1",
                            "name": "foo 1.0",
                            "product_identification_helper": {"purl": "pkg:pypi/foo@1.0"},
                        },
                    }
                ],
            }
        ],
        "full_product_names": [
            {
                "product_id": "P-2",
                "name": "app",
                "product_identification_helper": {
                    "hashes": [{"file_hashes": [{"algorithm": "sha256", "value": "d" * 64}]}]
                },
            },
            {"product_id": "P-3", "name": "a name alone"},
        ],
        "product_groups": [{"group_id": "G-1", "product_ids": ["P-4"]}],
        "relationships": [
            {
                "category": "default_component_of",
                "product_reference": "P-1",
                "relates_to_product_reference": "P-2",
                "full_product_name": {"product_id": "P-4", "name": "foo in app"},
            }
        ],
    },
    "vulnerabilities": [
        {
            "cve": "CVE-1",
            "ids": [{"system_name": "GitHub", "text": "GHSA-1"}],
            "product_status": {"known_not_affected": ["P-4"], "known_affected": ["P-3"]},
            "flags": [{"label": "component_not_present", "group_ids": ["G-1"]}],
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
