"""CycloneDX 1.4 to 1.7, as JSON or XML.

Read by hand, field by field, so that a problem is named by its place and ten thousand components
take part of a second: the library for this format builds a model of the whole document first, which
takes 15 s for them, and its schema check takes minutes. Tests hold this reader against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # it has none
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]  # it has none

from engine.core.errors import Malformed
from engine.inputs.packages import Package
from engine.inputs.reading import (
    kind,
    list_of,
    object_of,
    objects_of,
    optional_text,
    seconds_of,
    text_of,
)
from engine.inputs.sbom_parts import Collected, Part, Sbom, sbom_of

VERSIONS: Final = ("1.4", "1.5", "1.6", "1.7")
_NAMESPACE: Final = "http://cyclonedx.org/schema/bom/"
# Parts that no advisory speaks of, so that it means nothing when they have no package URL.
_NOT_SOFTWARE: Final = frozenset({"file", "data", "cryptographic-asset"})
_TYPES: Final = frozenset(
    {
        *("application", "framework", "library", "container", "platform", "operating-system"),
        *("device", "device-driver", "firmware", "machine-learning-model"),
        *_NOT_SOFTWARE,
    }
)
_DEPTH_MAX: Final = 64


def read_cyclonedx(document: Mapping[str, Any], where: str) -> Sbom:
    """Read the JSON form. Raises `Malformed` naming file, field, expected and found."""
    version = document.get("specVersion")
    if version not in VERSIONS:
        raise Malformed(
            f"expected one of {', '.join(VERSIONS)}, found {kind(version)}",
            where=f"{where}.specVersion",
        )
    metadata = object_of(document, "metadata", where)
    stamp = optional_text(metadata, "timestamp", f"{where}.metadata")
    collected, called = Collected(), list[Package]()
    roots = _root(metadata, f"{where}.metadata", collected)
    for place, component in _flat(document, where):
        made = _take(component, place, collected)
        if made and _is_called(component, place):
            called += made
    for place, item in objects_of(document, "compositions", where):
        said = optional_text(item, "aggregate", place)
        if said.startswith("incomplete"):
            collected.gaps.append(f"the document calls itself {said.replace('_', ' ')}")
    return sbom_of(
        collected,
        form=f"CycloneDX {version}",
        generated_at_s=seconds_of(stamp, f"{where}.metadata.timestamp") if stamp else 0,
        roots=roots,
        called=called,
    )


def _root(metadata: Mapping[str, Any], where: str, collected: Collected) -> tuple[Package, ...]:
    """What the document is about. With a package URL it is a package like its parts; without one
    it is the thing itself that is promoted. Its own parts may lie inside of it."""
    root = object_of(metadata, "component", where)
    if not root:
        return ()
    place = f"{where}.component"
    made = _take(root, place, collected) if optional_text(root, "purl", place) else ()
    for spot, component in _flat(root, place):
        _take(component, spot, collected)
    return made


def _flat(
    item: Mapping[str, Any], where: str, depth: int = 0
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if depth > _DEPTH_MAX:
        raise Malformed(f"expected at most {_DEPTH_MAX} components in each other", where=where)
    for place, component in objects_of(item, "components", where):
        yield place, component
        yield from _flat(component, place, depth + 1)


def _take(component: Mapping[str, Any], place: str, collected: Collected) -> tuple[Package, ...]:
    form = text_of(component, "type", place)
    group = optional_text(component, "group", place)
    name = text_of(component, "name", place)
    purl = optional_text(component, "purl", place)
    licenses = list(_licenses(component, place))
    if not purl and form in _NOT_SOFTWARE:
        return ()
    if form not in _TYPES:
        collected.gaps.append(f"{place}.type: expected a kind of component, found {form!r}")
    names = (("cpe", "a CPE"), ("swid", "a SWID tag"))
    return collected.take(
        Part(
            place=f"{place}.purl",
            name=f"{group}/{name}" if group else name,
            version=optional_text(component, "version", place),
            purls=(purl,) if purl else (),
            licenses=licenses,
            hashes=[
                (text_of(one, "alg", spot), text_of(one, "content", spot))
                for spot, one in objects_of(component, "hashes", place)
            ],
            other_names=[said for field, said in names if component.get(field)],
        )
    )


def _licenses(component: Mapping[str, Any], where: str) -> Iterator[str]:
    for place, choice in objects_of(component, "licenses", where):
        yield optional_text(choice, "expression", place)
        named = object_of(choice, "license", place)
        ids = [optional_text(named, field, f"{place}.license") for field in ("id", "name")]
        yield next((one for one in ids if one), "")


def _is_called(component: Mapping[str, Any], where: str) -> bool:
    """Whether the document records a way of calls into the part (`evidence.callstack`, since 1.5).

    Where a part occurs says that it is there, which its being listed says already.
    """
    evidence = object_of(component, "evidence", where)
    stack = object_of(evidence, "callstack", f"{where}.evidence")
    return bool(list_of(stack, "frames", f"{where}.evidence.callstack"))


# --- XML ------------------------------------------------------------------------------------------


def is_xml(content: bytes) -> bool:
    return content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def read_cyclonedx_xml(content: bytes, where: str) -> Sbom:
    """Read the XML form. External entities and the like are refused, whatever they hold."""
    return read_cyclonedx(mapping_of_xml(content, where), where)


def mapping_of_xml(content: bytes, where: str) -> Mapping[str, Any]:
    """What the JSON form would hold, as far as anything here asks for it.

    Raises:
        Malformed: no XML, or of another kind.
    """
    try:
        root = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise Malformed(f"expected XML, found {error}", where=where) from error
    space, _, name = root.tag.removeprefix("{").rpartition("}")
    if name != "bom" or not space.startswith(_NAMESPACE):
        raise Malformed(f"expected a CycloneDX bom, found <{name or root.tag}>", where=where)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    metadata = root.find("metadata")
    about = None if metadata is None else metadata.find("component")
    return {
        "specVersion": space.removeprefix(_NAMESPACE),
        "metadata": {
            "timestamp": root.findtext("metadata/timestamp"),
            "component": None if about is None else _component(about),
        },
        "components": [_component(one) for one in root.findall("components/component")],
        "compositions": [
            {"aggregate": one.findtext("aggregate")}
            for one in root.findall("compositions/composition")
        ],
    }


def _component(element: Element, depth: int = 0) -> dict[str, Any]:
    if depth > _DEPTH_MAX:
        raise Malformed(f"expected at most {_DEPTH_MAX} components in each other", where="bom")
    texts = ("group", "name", "version", "purl", "cpe")
    found: dict[str, Any] = {
        name: text.strip() for name in texts if (text := element.findtext(name)) is not None
    }
    licenses: list[dict[str, Any]] = [
        {"license": {"id": one.findtext("id"), "name": one.findtext("name")}}
        for one in element.findall("licenses/license")
    ]
    licenses += [{"expression": one.text} for one in element.findall("licenses/expression")]
    return {
        **found,
        "type": element.get("type"),
        "licenses": licenses,
        "hashes": [
            {"alg": one.get("alg"), "content": one.text} for one in element.findall("hashes/hash")
        ],
        "evidence": {
            "callstack": {
                "frames": [{} for _ in element.findall("evidence/callstack/frames/frame")]
            }
        },
        "components": [
            _component(one, depth + 1) for one in element.findall("components/component")
        ],
    }
