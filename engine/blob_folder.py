"""A home's blobs as a process beside the server reads them; nothing here can write."""

from __future__ import annotations

import os
from pathlib import Path

from engine.core.digest import Digest
from engine.core.errors import NotFound, StoredDamaged


class BlobFolder:
    """Blobs to read, where the store put them.

    The folder's layout is the store's (`data.blobs`); a test holds the two together.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)

    def get(self, digest: Digest) -> bytes:
        """Raises `NotFound`, `StoredDamaged`: as `ports.BlobStore` does."""
        try:
            # A path made of parts costs more than reading the file.
            with open(f"{self._root}/{digest.hex[:2]}/{digest.hex}", "rb") as file:  # noqa: PTH123
                content = file.read()
        except FileNotFoundError:
            raise NotFound(f"There is no blob {digest}.") from None
        found = Digest.of(content)
        if found != digest:
            raise StoredDamaged(f"blob {digest}", expected=str(digest), found=str(found))
        return content
