"""Bills of materials of every kind: what is read out of them, and that nothing gets lost."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import Malformed
from engine.inputs.sbom import is_sbom, read_sbom
from engine.inputs.sbom_parts import license_ids
from tests.inputs.documents import CDX, SPDX, SPDX3, dump, replaced

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:cyclonedx")

REAL = ["legacy-web.cdx-1.6.json", "ops-stack.cdx-1.6.json", "laravel-7.12.0.cdx-1.4.json"]


def by_library(document: Any, form: OutputFormat, version: SchemaVersion) -> bytes:
    """The document written again by the library that others use."""
    bom = Bom.from_json(copy.deepcopy(document))  # type: ignore[attr-defined]  # made at run time
    return make_outputter(bom, form, version).output_as_string().encode()


@pytest.mark.parametrize("form", list(OutputFormat))
@pytest.mark.parametrize("name", REAL)
def test_what_the_library_writes_is_read_as_the_same_packages(
    name: str, form: OutputFormat, data: Path
) -> None:
    content = (data / "sbom" / name).read_bytes()
    ours = read_sbom(content, where="f")
    for version in (SchemaVersion.V1_5, SchemaVersion.V1_6, SchemaVersion.V1_7):
        again = read_sbom(by_library(json.loads(content), form, version), where="f")
        assert again.packages == ours.packages
        assert (again.roots, again.gaps) == (ours.roots, ours.gaps)


def test_the_library_finds_the_same_components(data: Path) -> None:
    for name in REAL:
        document = json.loads((data / "sbom" / name).read_bytes())
        bom = Bom.from_json(copy.deepcopy(document))  # type: ignore[attr-defined]  # made at run time
        theirs = {str(one.purl) for one in bom.components}
        ours = read_sbom(dump(document), where="f")
        assert {one.purl for one in ours.packages} - set(ours.roots) == theirs


XML = """<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1">
 <metadata><timestamp>2026-01-01T00:00:00Z</timestamp>
  <component type="application"><name>shop</name><version>1</version><purl>pkg:pypi/shop@1</purl>
   <components><component type="library"><name>in-root</name><version>3</version>
    <purl>pkg:pypi/in-root@3</purl></component></components></component></metadata>
 <components><component type="library"><group>@a</group><name>inner</name><version>1</version>
  <hashes><hash alg="SHA-256">%s</hash></hashes>
  <licenses><license><id>MIT</id></license><expression>ISC OR 0BSD</expression></licenses>
  <purl>pkg:npm/%%40a/inner@1</purl>
  <evidence><callstack><frames><frame><module>m</module></frame></frames></callstack></evidence>
  </component></components>
</bom>""" % ("AB" * 32)


def test_xml_is_read_with_inner_parts_hashes_and_call_stacks() -> None:
    sbom = read_sbom(XML.encode(), where="f")
    assert (sbom.format, sbom.generated_at_s, sbom.gaps) == ("CycloneDX 1.5", 1767225600, ())
    assert [one.purl for one in sbom.packages] == [
        "pkg:npm/%40a/inner@1",
        "pkg:pypi/in-root@3",
        "pkg:pypi/shop@1",
    ]
    assert sbom.roots == ("pkg:pypi/shop@1",)
    assert sbom.call_stacks == ("pkg:npm/%40a/inner@1",)
    inner = sbom.packages[0]
    assert inner.licenses == ("0BSD", "ISC", "MIT")
    assert inner.hashes == (f"sha-256:{'ab' * 32}",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<bom", "f: expected XML, found"),
        ("<html/>", "f: expected a CycloneDX bom, found <html>"),
        (
            '<bom xmlns="http://cyclonedx.org/schema/bom/1.1"/>',
            "f.specVersion: expected one of 1.4",
        ),
        ('<!DOCTYPE b [<!ENTITY x "y">]><b>&x;</b>', "f: expected XML, found Entities"),
        (XML.replace('<component type="library"><name>', "<component><name>"), "type: expected a"),
    ],
)
def test_a_broken_xml_is_refused_by_place(text: str, says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_sbom(text.encode(), where="f")
    assert says in str(refused.value)


# --- tag-value and SPDX 3 -------------------------------------------------------------------------

TAGS = """# made by hand
SPDXVersion: SPDX-2.3
Created: 2026-01-01T00:00:00Z
DocumentComment: <text>PackageName: this is no tag,
it is a comment</text>

PackageName: app
SPDXID: SPDXRef-app

PackageName: jinja2
SPDXID: SPDXRef-1
PackageVersion: 3.1.6
PackageLicenseConcluded: NOASSERTION
PackageLicenseDeclared: BSD-3-Clause
PackageComment: <text>one line</text>
ExternalRef: SECURITY cpe23Type cpe:2.3:a:palletsprojects:jinja:3.1.6:*:*:*:*:*:*:*
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/jinja2@3.1.6

PackageName: bare
SPDXID: SPDXRef-2
PackageVersion: 2

FileName: ./a
SPDXID: SPDXRef-file
LicenseConcluded: MIT
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-app
"""


def test_tag_value_says_what_json_says() -> None:
    assert read_sbom(TAGS.encode(), where="f") == read_sbom(dump(SPDX), where="f")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TAGS + "no tag\n", "f: line 27: expected `Tag: value`, found 'no tag'"),
        (TAGS.replace("</text>\n\n", "\n"), "f: line 4: expected </text>, found the end"),
        (TAGS.replace(" purl pkg", " purl"), "f: line 17: expected three words"),
        (TAGS.replace("SPDX-2.3", "SPDX-1.2"), "f.spdxVersion: expected one of SPDX-2.2, SPDX-2.3"),
        (TAGS.replace("Created: 2026", "Creator: 2026"), "f.creationInfo.created: expected"),
    ],
)
def test_a_broken_tag_value_is_refused_by_line(text: str, says: str) -> None:
    if "</text>" in says:
        text = text.replace("<text>one line</text>", "x")
    with pytest.raises(Malformed) as refused:
        read_sbom(text.encode(), where="f")
    assert says in str(refused.value)


def test_spdx_3_says_what_spdx_2_says() -> None:
    old, new = (read_sbom(dump(one), where="f") for one in (SPDX, SPDX3))
    assert (new.packages, new.gaps) == (old.packages, old.gaps)
    assert (new.format, new.generated_at_s) == ("SPDX 3.0", old.generated_at_s)
    other = {"externalIdentifierType": "packageUrl", "identifier": "pkg:pypi/bare@2"}
    named = replaced(SPDX3, ("@graph", 5, "externalIdentifier"), [other])
    assert read_sbom(dump(named), where="f").packages[0].purl == "pkg:pypi/bare@2"
    half = replaced(SPDX3, ("@graph", 7, "completeness"), "incomplete")
    assert "list of hasDeclaredLicense incomplete" in read_sbom(dump(half), where="f").gaps[0]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"@context": SPDX3["@context"]}, "f.@graph: expected a list of elements, found nothing"),
        (SPDX3 | {"@graph": [1]}, "f.@graph[0]: expected an object"),
        (SPDX3 | {"@graph": []}, "f.@graph: expected a CreationInfo, found none"),
        (replaced(SPDX3, ("@graph", 0, "specVersion"), "4.0"), "specVersion: expected 3.0, found"),
        (replaced(SPDX3, ("@graph", 3, "name"), 7), "f.@graph[3].name: expected a non-empty text"),
        ({"@context": "https://example.com"}, "f: expected CycloneDX (bomFormat), SPDX 2"),
    ],
)
def test_a_broken_spdx_3_is_refused_by_place(document: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_sbom(dump(document), where="f")
    assert says in str(refused.value)


# --- what real files hold -------------------------------------------------------------------------


def one_component(**more: Any) -> dict[str, Any]:
    return CDX | {"components": [{"type": "library", "name": "x", **more}]}


@pytest.mark.parametrize(
    ("document", "gap"),
    [
        (one_component(purl="nonsense"), "f.components[0].purl: expected a package URL, found"),
        (one_component(purl="pkg:pypi/x@1", version="2"), "is called version 2 beside it"),
        (one_component(cpe="cpe:2.3:a"), "x has no package URL but a CPE"),
        (one_component(type="toy"), "f.components[0].type: expected a kind of component"),
        (
            CDX
            | {"components": [], "compositions": [{"aggregate": "incomplete_third_party_only"}]},
            "the document calls itself incomplete third party only",
        ),
    ],
)
def test_one_bad_part_is_a_gap_and_the_others_are_read(document: dict[str, Any], gap: str) -> None:
    good = {"type": "library", "name": "y", "purl": "pkg:pypi/y@1"}
    document = document | {"components": [*document["components"], good]}
    sbom = read_sbom(dump(document), where="f")
    assert "pkg:pypi/y@1" in [one.purl for one in sbom.packages]
    assert gap in sbom.gaps[0]


@pytest.mark.parametrize(
    ("purl", "version"),
    [
        ("pkg:golang/a.b/c@v1.2.3", "1.2.3"),
        ("pkg:deb/debian/vim@9.0?epoch=2", "2:9.0"),
        ("pkg:pypi/x@1", ""),
    ],
)
def test_two_spellings_of_one_version_are_no_contradiction(purl: str, version: str) -> None:
    assert read_sbom(dump(one_component(purl=purl, version=version)), where="f").gaps == ()


def test_when_every_package_is_described_none_is_passed_over() -> None:
    document = SPDX | {"documentDescribes": ["SPDXRef-app", "SPDXRef-1", "SPDXRef-2"]}
    sbom = read_sbom(dump(document), where="f")
    assert sbom.gaps == ("app has no package URL", "bare 2 has no package URL")
    assert sbom.roots == ("pkg:generic/app", "pkg:generic/bare@2", "pkg:pypi/jinja2@3.1.6")


@given(st.permutations(range(4)), st.permutations(range(3)))
def test_the_order_of_parts_changes_nothing(cdx: list[int], spdx: list[int]) -> None:
    for document, key, order in ((CDX, "components", cdx), (SPDX, "packages", spdx)):
        mixed = document | {key: [document[key][n] for n in order]}
        one, other = read_sbom(dump(document), where="f"), read_sbom(dump(mixed), where="f")
        assert one.packages == other.packages
        assert sorted(one.gaps) == sorted(other.gaps)


def test_a_part_that_stands_twice_is_one_package_with_all_that_was_said() -> None:
    part = {"type": "library", "name": "x", "purl": "pkg:pypi/x@1"}
    hashed = part | {"hashes": [{"alg": "SHA-256", "content": "a" * 64}]}
    licensed = part | {"licenses": [{"license": {"name": "GNU Affero GPL"}}]}
    sbom = read_sbom(dump(CDX | {"components": [part, hashed, licensed]}), where="f")
    assert [(one.licenses, one.hashes) for one in sbom.packages] == [
        (("GNU Affero GPL",), (f"sha-256:{'a' * 64}",))
    ]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("MIT", ["MIT"]),
        ("The Apache Software License", ["The Apache Software License"]),
        ("(MIT OR AGPL-3.0-only) AND X", ["MIT", "AGPL-3.0-only", "X"]),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ["GPL-2.0-only", "Classpath-exception-2.0"]),
        ("NOASSERTION", []),
        (" ", []),
    ],
)
def test_licences_of_an_expression(text: str, ids: list[str]) -> None:
    assert list(license_ids(text)) == ids


def test_what_claims_to_be_an_sbom_is_known_before_it_is_read() -> None:
    for good in (dump(CDX), dump(SPDX), dump(SPDX3), XML.encode(), TAGS.encode()):
        assert is_sbom(good)
    for bad in (b"", b"{}", b"[1]", b"text", dump({"clock": {}})):
        assert not is_sbom(bad)
