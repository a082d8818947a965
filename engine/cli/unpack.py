"""An export as it comes from the API, written as the two files that it holds."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

from engine.cli.call import Call
from engine.cli.exits import INVALID_EVIDENCE, USAGE, Ended


def unpacked(call: Call, content: bytes, output: Path) -> None:
    """Write the file and its manifest, after comparing one with the other."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        text = archive.read("manifest.json")
        manifest = json.loads(text)
        data = archive.read(manifest["file"]["name"])
    if hashlib.sha256(data).hexdigest() != manifest["file"]["sha256"]:
        raise Ended(INVALID_EVIDENCE, f"{output}: the file is not the one of its manifest.")
    beside = output.with_name(f"{output.name}.manifest.json")
    try:
        output.write_bytes(data)
        beside.write_bytes(text)
    except OSError as error:
        raise Ended(USAGE, f"{error.filename}: cannot be written: {error.strerror}.") from error
    call.give({"file": str(output), "manifest": str(beside), **manifest})
    call.say(
        f"{output}: {manifest['rows']:,} rows, {len(data):,} bytes, sha256 "
        f"{manifest['file']['sha256']}"
    )
