"""A bundle as a service process sees it: bytes in a directory, re-hashed, and code from it.

Knows the layout of a bundle directory and nothing of deployment. Imports nothing heavy: ten of
these processes start at once.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

APP_MEDIA_TYPE: Final = "application/vnd.releaseline.app+zip"  # as in engine.catalog
MANIFEST: Final = "manifest.json"
COMPONENTS: Final = "components"  # a folder of its own: no component can pose as the manifest


class BadBundle(Exception):
    """The bundle cannot be served. One sentence."""


class Shipped:
    """The bundle in `folder`, every byte of it read and hashed.

    Raises:
        BadBundle: the manifest is unreadable, or a component's bytes are not what it says.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.manifest = (folder / MANIFEST).read_bytes()
            document = json.loads(self.manifest)
        except (OSError, ValueError) as error:
            raise BadBundle(f"unreadable manifest: {error}") from error
        self.digest = f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"
        self.archive: Path | None = None
        for component in document["components"]:
            path = folder / COMPONENTS / component["name"]
            try:
                found = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            except OSError as error:
                raise BadBundle(f"unreadable component {component['name']}: {error}") from error
            if found != component["digest"]:
                raise BadBundle(
                    f"component {component['name']}: expected {component['digest']}, found {found}"
                )
            if component["mediaType"] == APP_MEDIA_TYPE and self.archive is None:
                self.archive = path
        self.ships = _ships(self.archive)

    def load(self) -> Callable[[str], Any]:
        """Import the bundle's `app` and return its `handle`. May run any code, for any time.

        A bundle without an app serves its manifest.
        """
        if self.archive is None:
            return lambda path: (200, self.manifest)
        sys.path.insert(0, str(self.archive))
        try:
            app = importlib.import_module("app")
        except BaseException as error:  # its code may even call sys.exit
            raise BadBundle(
                f"app.py cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if not self._ours(app):
            raise BadBundle("app.py is not in the archive")
        handle: Callable[[str], Any] | None = getattr(app, "handle", None)
        if not callable(handle):
            raise BadBundle("app.py has no function handle(path)")
        return handle

    def observed(self) -> list[str]:
        """Package URLs of shipped components whose module is loaded, from this very archive."""
        return sorted(
            purl
            for purl, module in self.ships
            if (loaded := sys.modules.get(module)) is not None and self._ours(loaded)
        )

    def _ours(self, module: Any) -> bool:
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        return origin.startswith(f"{self.archive}/")


def _ships(archive: Path | None) -> tuple[tuple[str, str], ...]:
    """(package URL, module) pairs from the archive's `components.json`; empty without one."""
    if archive is None:
        return ()
    try:
        with zipfile.ZipFile(archive) as file:
            if "components.json" not in file.namelist():
                return ()
            listed = json.loads(file.read("components.json"))
        return tuple(sorted((str(item["purl"]), str(item["module"])) for item in listed))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadBundle(f"{archive.name}: unreadable components.json: {error}") from error
