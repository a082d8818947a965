"""The demo's bundles, built from real artifacts: packages as installed here, zipped with an app.

The app is a small web application that really uses some of the packages it ships, so that the
runtime snapshot sees which are loaded. The SBOM lists what the zip holds, nothing else. Versions
differ in the app's code only: one is sound, one fails every 20th request, one ships a plugin list
with a package that is known to be exploited.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

NAME: Final = "Platform Release"

# Installed package -> module whose presence in the running process proves that it is in use.
_SHIPPED: Final[Mapping[str, str]] = {
    "annotated-types": "annotated_types",
    "attrs": "attr",
    "click": "click",
    "defusedxml": "defusedxml",
    "h11": "h11",
    "idna": "idna",
    "itsdangerous": "itsdangerous",
    "jinja2": "jinja2",
    "markdown-it-py": "markdown_it",
    "markupsafe": "markupsafe",
    "mdurl": "mdurl",
    "packageurl-python": "packageurl",
    "packaging": "packaging",
    "pycparser": "pycparser",
    "semver": "semver",
    "shellingham": "shellingham",
    "sortedcontainers": "sortedcontainers",
    "typing-extensions": "typing_extensions",
    "typing-inspection": "typing_inspection",
    "tzlocal": "tzlocal",
}
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the oldest moment that a zip can tell

_APP: Final = '''"""Platform: a small catalogue that is rendered on the server."""

import itertools

import idna
import jinja2
import semver
from itsdangerous import Signer
from markupsafe import escape
from packaging.version import Version
from sortedcontainers import SortedDict

VERSION = "{version}"
_PAGE = jinja2.Template(
    "<!doctype html><title>Platform {{{{ version }}}}</title><h1>{{{{ title }}}}</h1>"
    "<ul>{{% for name, release in items %}}<li>{{{{ name }}}} {{{{ release }}}}</li>"
    "{{% endfor %}}</ul><footer>{{{{ seal }}}}</footer>",
    autoescape=True,
)
_SIGNER = Signer("demo-only")
_ITEMS = SortedDict(
    (idna.encode(f"shop-{{n}}.example").decode(), str(semver.Version(1, n, 0)))
    for n in range(12)
)
_COUNT = itertools.count(1)


def handle(path):
    number = next(_COUNT)
{fault}    seal = _SIGNER.sign(f"{{path}}:{{Version(VERSION).public}}").decode()
    page = _PAGE.render(
        version=VERSION, title=escape(path), items=_ITEMS.items(), seal=seal
    )
    return 200, page.encode()
'''
_FAULT: Final = """    if number % 20 == 0:  # the new price cache forgets an entry now and then
        raise KeyError(f"price of item {number}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Files of one bundle, ready for `bundle create`."""

    name: str
    version: str
    components: tuple[Path, ...]
    sbom: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    version: str
    faulty: bool = False
    plugins: tuple[str, ...] = ()


_RECIPES: Final = {
    "before": _Recipe(version="1.2.9"),
    "healthy": _Recipe(version="1.3.0rc1"),
    "regression": _Recipe(version="1.3.0rc2", faulty=True),
    # CVE-2025-3248 is in the catalogue of known exploited vulnerabilities; fixed in 1.3.0.
    "exploited": _Recipe(version="1.3.0rc3", plugins=("langflow==1.2.0",)),
}


def build(kind: str, folder: Path) -> Artifacts:
    """Build the bundle `kind` (before, healthy, regression, exploited) into `folder`."""
    recipe = _RECIPES[kind]
    folder.mkdir(parents=True, exist_ok=True)
    shipped = [distribution(name) for name in _SHIPPED]
    app = folder / "platform.zip"
    with zipfile.ZipFile(app, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_members(recipe, shipped)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    settings = folder / "platform.settings.json"
    settings.write_text(json.dumps({"catalogue": "shop", "version": recipe.version}) + "\n")
    sbom = folder / "platform.cdx.json"
    sbom.write_text(_sbom(recipe, shipped))
    return Artifacts(
        name=NAME, version=_semver(recipe.version), components=(app, settings), sbom=sbom
    )


def _members(recipe: _Recipe, shipped: list[Distribution]) -> Iterator[tuple[str, bytes]]:
    fault = _FAULT if recipe.faulty else ""
    source = _APP.format(version=recipe.version, fault=fault).encode()
    yield from _module("app.py", source)
    modules = [{"purl": str(_purl(d)), "module": _SHIPPED[_key(d)]} for d in shipped]
    yield "components.json", json.dumps(modules, indent=1).encode()
    if recipe.plugins:
        yield "plugins.txt", "\n".join(recipe.plugins).encode()
    for one in shipped:
        for file in one.files or ():
            path = Path(str(one.locate_file(file)))
            if file.suffix == ".py" and ".." not in file.parts and path.is_file():
                yield from _module(file.as_posix(), path.read_bytes())


def _module(name: str, source: bytes) -> Iterator[tuple[str, bytes]]:
    """The source and, beside it, its code: a service must not compile it at every start."""
    yield name, source
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    unchecked = (0b01).to_bytes(4, "little")  # PEP 552: by hash, not compared with the source
    hashed = importlib.util.source_hash(source)
    yield f"{name}c", importlib.util.MAGIC_NUMBER + unchecked + hashed + code


def _sbom(recipe: _Recipe, shipped: list[Distribution]) -> str:
    bom = Bom()
    bom.metadata.timestamp = datetime.now(UTC).replace(microsecond=0)
    bom.metadata.component = Component(
        name="platform", version=recipe.version, type=ComponentType.APPLICATION
    )
    for one in shipped:
        bom.components.add(
            Component(
                name=one.name,
                version=one.version,
                type=ComponentType.LIBRARY,
                purl=_purl(one),
                bom_ref=str(_purl(one)),
                licenses=[DisjunctiveLicense(name=_licence(one))],
            )
        )
    for line in recipe.plugins:
        name, _, version = line.partition("==")
        purl = PackageURL("pypi", None, name, version)
        bom.components.add(
            Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                purl=purl,
                bom_ref=str(purl),
                licenses=[DisjunctiveLicense(id="MIT")],
            )
        )
    bom.register_dependency(bom.metadata.component, bom.components)
    document: Any = json.loads(JsonV1Dot6(bom).output_as_string())
    return json.dumps(document, indent=1) + "\n"


def _purl(one: Distribution) -> PackageURL:
    return PackageURL("pypi", None, _key(one), one.version)


def _key(one: Distribution) -> str:
    return one.name.lower().replace("_", "-")


def _licence(one: Distribution) -> str:
    metadata = one.metadata
    expressions = metadata.get_all("License-Expression")
    if expressions:
        return str(expressions[0])
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    return classifiers[0].rpartition(" :: ")[2] if classifiers else str(metadata["License"])


def _semver(version: str) -> str:
    """`1.3.0rc1` (PEP 440) as people of releases write it: `1.3.0-rc1`."""
    return version.replace("rc", "-rc")
