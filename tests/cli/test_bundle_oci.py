"""`bundle create oci://...`: a bundle out of a registry, and what is refused of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.homes import create_home
from tests.cli.conftest import Done
from tests.oci.images import Answer, Registry, image, serving, sha

pytestmark = pytest.mark.house
IMAGE = image(b"layer one", b"layer two")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as made:
        made.hold("team/app", "1.0", IMAGE)
        yield made


def test_a_tag_becomes_a_bundle_of_what_it_meant(
    registry: Registry, releaseline: Callable[..., Done], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    create_home(home, passphrase="correct horse")
    at = ("--home", str(home))
    made = releaseline("token", "create", "--user", "ana.li", "--json", *at)
    token = ("--token", json.loads(made.out)["token"], *at)
    asked = ("bundle", "create", f"oci://{registry.host}/team/app:1.0", "--name", "app",
             "--version", "1.0", *token)  # fmt: skip
    refused = releaseline(*asked)
    assert refused.code == 75 and "cannot be reached" in refused.err  # it speaks no TLS
    done = releaseline(*asked, "--plain-http")
    assert done.code == 0, done.err
    digest = done.out.strip()
    assert f"is {sha(IMAGE.manifest)} now" in done.err
    shown = json.loads(releaseline("bundle", "show", digest, "--json", *token).out)
    parts = {one["name"]: one["digest"] for one in shown["manifest"]["components"]}
    assert parts["manifest.json"] == sha(IMAGE.manifest) and len(parts) == 4
    assert set(parts.values()) == {sha(IMAGE.manifest), *IMAGE.blobs}
    assert releaseline(*asked, "--plain-http").out.strip() == digest
    layer = f"/v2/team/app/blobs/{sha(b'layer two')}"
    registry.answers[layer] = Answer(content=b"layer twX")
    wrong = releaseline(*asked, "--plain-http")
    assert wrong.code == 17
    assert f"digest mismatch: expected {sha(b'layer two')}, got {sha(b'layer twX')}" in wrong.err


def test_what_is_no_source_is_refused(releaseline: Callable[..., Done]) -> None:
    given = ("--name", "a", "--version", "1")
    assert "expected oci://HOST" in releaseline("bundle", "create", "oci://x", *given).err
    gone = releaseline("bundle", "create", "not-there.tar", *given)
    assert (gone.code, "no such file" in gone.err) == (2, True)
    two = releaseline("bundle", "create", "oci://h/a:1", "oci://h/b:1", *given)
    assert two.code == 2 and "expected one oci:// image" in two.err
