"""A target's directory: its bundles by digest, which one is current, and who may change it.

    <target>/bundles/<hex>/manifest.json, components/<name>, .ok   written once, whole or not at all
    <target>/current -> bundles/<hex>                              switched by an atomic rename
    <target>/epoch                                                 highest fencing epoch accepted
    <target>/lock                                                  held while anything is changed

Nothing here starts or asks a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Final

from engine.core.bundle import Bundle, parse_manifest
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed
from engine.fleet.flock import hold
from engine.fleet.shipped import COMPONENTS, MANIFEST
from engine.ports import BlobStore

KEPT: Final = 5  # bundles per target, the current one among them; never fewer than 3
_WHOLE: Final = ".ok"


class Shelf:
    def __init__(self, home: Path) -> None:
        self.home = home
        self._bundles = home / "bundles"

    # --- who may change it ----------------------------------------------------------------

    def held(self, *, deadline_s: float) -> contextlib.AbstractContextManager[None]:
        """Hold the target against other engines. Raises `AdapterFailed` when the time is up."""
        return hold(self.home / "lock", deadline_s=deadline_s)

    def epoch(self) -> int:
        """Highest epoch ever accepted; 0 when none was.

        Raises:
            AdapterFailed: it cannot be read. To take that for 0 would let a zombie in.
        """
        try:
            return int((self.home / "epoch").read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise AdapterFailed(f"{self.home / 'epoch'}: {error}", transient=False) from error

    def accept(self, epoch: int) -> bool:
        """Take note of `epoch`, durably; False when a higher one was here. Call while held."""
        seen = self.epoch()
        if epoch > seen:
            fresh = self.home / "epoch.new"
            _write(fresh, str(epoch).encode())
            fresh.replace(self.home / "epoch")
            _sync_folder(self.home)
        return epoch >= seen

    # --- what lies here -------------------------------------------------------------------

    def current(self) -> Digest | None:
        """What `current` points to; not what runs."""
        try:
            return Digest((self.home / "current").readlink().name)
        except (FileNotFoundError, Malformed):
            return None

    def present(self) -> tuple[Digest, ...]:
        """Bundles that lie here whole, sorted."""
        try:
            names = [folder.name for folder in self._bundles.iterdir()]
        except FileNotFoundError:
            return ()
        return tuple(sorted(Digest(n) for n in names if (self._bundles / n / _WHOLE).is_file()))

    def intact(self, digest: Digest) -> bool:
        """Re-hash every byte of a bundle that lies here."""
        folder = self._folder(digest)
        if not (folder / _WHOLE).is_file():
            return False
        try:
            check(folder, digest)
        except (Malformed, OSError):
            return False
        return True

    def store(self, digest: Digest, blobs: BlobStore) -> int:
        """Bring the bundle here from `blobs`, checked, whole or not at all; returns its bytes.

        Raises:
            Malformed: the bytes are not those of the digest; nothing was kept.
            ReleaselineError: whatever the source raises.
        """
        self._bundles.mkdir(parents=True, exist_ok=True)
        for left in self._bundles.glob(".new-*"):  # of a process that was killed
            shutil.rmtree(left)
        fresh = self._bundles / f".new-{digest.hex}"
        manifest = blobs.get(digest)
        bundle = read_manifest(manifest, digest)
        size = len(manifest)
        try:
            (fresh / COMPONENTS).mkdir(parents=True)
            _write(fresh / MANIFEST, manifest)
            for component in bundle.components:
                content = blobs.get(component.digest)
                size += len(content)
                _write(fresh / COMPONENTS / component.name, content)
            check(fresh, digest)  # what lies at the target now, not what was handed to us
            _write(fresh / _WHOLE, b"")
            for folder in (fresh / COMPONENTS, fresh):
                _sync_folder(folder)
            place = self._folder(digest)
            if place.exists():  # a damaged copy
                shutil.rmtree(place)
            fresh.replace(place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        _sync_folder(self._bundles)
        return size

    def switch(self, digest: Digest) -> None:
        """Point `current` to a bundle that lies here, at once and durably."""
        fresh = self.home / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"bundles/{digest.hex}")
        fresh.replace(self.home / "current")
        _sync_folder(self.home)
        os.utime(self._folder(digest) / _WHOLE)  # last used now: what `prune` goes by

    def prune(self) -> None:
        """Drop the bundles that were used longest ago, beyond `KEPT`."""
        current = self.current()
        others = [d for d in self.present() if d != current]
        others.sort(key=lambda d: (self._folder(d) / _WHOLE).stat().st_mtime_ns, reverse=True)
        for digest in others[KEPT - 1 :]:
            shutil.rmtree(self._folder(digest), ignore_errors=True)

    def _folder(self, digest: Digest) -> Path:
        return self._bundles / digest.hex


def read_manifest(content: bytes, digest: Digest) -> Bundle:
    """The bundle of these bytes. Raises `Malformed` when they are not those of `digest`."""
    found = Digest.of(content)
    if found != digest:
        raise Malformed(f"expected {digest}, found {found}", where="manifest")
    try:
        bundle = parse_manifest(json.loads(content))
    except ValueError as error:
        raise Malformed(f"not JSON: {error}", where="manifest") from error
    for component in bundle.components:
        name = component.name
        if "/" in name or "\0" in name or name in {".", ".."} or len(name.encode()) > 255:
            raise Malformed(f"{name!r} is no file name", where="manifest.components")
    return bundle


def check(folder: Path, digest: Digest) -> None:
    """Re-hash a bundle directory. Raises `Malformed` with the file, expected and found."""
    bundle = read_manifest((folder / MANIFEST).read_bytes(), digest)
    for component in bundle.components:
        found = Digest.of((folder / COMPONENTS / component.name).read_bytes())
        if found != component.digest:
            raise Malformed(
                f"digest mismatch: expected {component.digest}, found {found}",
                where=component.name,
            )


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
