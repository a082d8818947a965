"""Pulling an image: the tag is resolved once, every byte is hashed, and nothing is believed."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.guarded_http import GuardedHttp
from engine.adapters.oci_registry import DigestMismatch, Pulled
from engine.adapters.oci_registry import Registry as Puller
from engine.core.digest import Digest
from engine.core.errors import AdapterFailed, Malformed, NotFound, Unauthenticated
from engine.core.oci import parse_challenge, parse_manifest, parse_reference
from engine.core.outbound import Allowed
from tests.oci.images import MANIFEST, Answer, Image, Registry, image, index, serving, sha

ONE, OTHER = image(b"layer one", b"layer two"), image(b"another layer")


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as made:
        made.hold("team/app", "1.0", ONE)
        yield made


def pulled(host: str, folder: Path, asked: str = "team/app:1.0", **more: Any) -> Pulled:
    http = GuardedHttp(Allowed(hosts=frozenset({host})))
    puller = Puller(http=http, host=host, secure=False, **more)
    return puller.pull(parse_reference(f"oci://{host}/{asked}"), folder)


def test_an_image_is_its_manifest_its_config_and_its_layers(
    registry: Registry, tmp_path: Path
) -> None:
    found = pulled(registry.host, tmp_path)
    assert str(found.digest) == sha(ONE.manifest)
    assert [path.name for path in found.files] == [
        "manifest.json", "config.json", "layer-001.tar.gz", "layer-002.tar.gz",
    ]  # fmt: skip
    assert found.files[0].read_bytes() == ONE.manifest
    assert {sha(path.read_bytes()) for path in found.files[1:]} == set(ONE.blobs)
    tags = [path for path, _ in registry.asked if path.endswith("/1.0")]
    assert len(tags) == 1  # resolved once


def test_an_index_is_its_manifests(registry: Registry, tmp_path: Path) -> None:
    both = index(ONE, OTHER)
    registry.hold("team/app", "any", OTHER)
    registry.answers["/v2/team/app/manifests/both"] = Answer(content=both)
    found = pulled(registry.host, tmp_path, "team/app:both")
    assert str(found.digest) == sha(both)
    assert [path.read_bytes() for path in found.files] == [both, ONE.manifest, OTHER.manifest]


def test_a_digest_in_the_reference_has_to_be_the_manifests(
    registry: Registry, tmp_path: Path
) -> None:
    digest = sha(ONE.manifest)
    assert str(pulled(registry.host, tmp_path, f"team/app@{digest}").digest) == digest
    registry.answers[f"/v2/team/app/manifests/{digest}"] = Answer(content=OTHER.manifest)
    with pytest.raises(DigestMismatch, match=f"expected {digest}, got {sha(OTHER.manifest)}"):
        pulled(registry.host, tmp_path, f"team/app:1.0@{digest}")


def test_a_header_is_compared_and_never_believed(registry: Registry, tmp_path: Path) -> None:
    lie = {"Docker-Content-Digest": sha(OTHER.manifest)}
    registry.answers["/v2/team/app/manifests/1.0"] = Answer(content=ONE.manifest, headers=lie)
    with pytest.raises(DigestMismatch, match="digest mismatch: expected"):
        pulled(registry.host, tmp_path)


LAYER = sha(b"layer two")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(content=b"layer twX"), DigestMismatch, f"expected {LAYER}, got sha256:"),
        (Answer(content=b"layer", stated=9), AdapterFailed, "cannot be reached"),
        (Answer(content=b"x" * (70 << 10)), AdapterFailed, "answers more than"),
        (Answer(status=503), AdapterFailed, "answers 503"),
        (Answer(status=404), NotFound, "no such image"),
        (Answer(content=b"layer two", every_s=0.4), AdapterFailed, "gave no"),
        (Answer(status=307, headers={"Location": "http://169.254.169.254/x"}),
         Malformed, "https"),
        (Answer(status=307, headers={"Location": "https://127.0.0.2/x"}),
         Malformed, "127.0.0.2, inside"),
        (Answer(status=307), AdapterFailed, "the answer was 307"),
    ],
    ids=["changed", "torn", "large", "away", "gone", "slow", "metadata", "inside", "round"],
)  # fmt: skip
def test_a_part_that_does_not_arrive_whole_makes_no_bundle(
    registry: Registry, tmp_path: Path, answer: Answer, kind: type[Exception], said: str
) -> None:
    registry.answers[f"/v2/team/app/blobs/{LAYER}"] = answer
    began_s = time.monotonic()
    with pytest.raises(kind, match=said):
        pulled(registry.host, tmp_path, deadline_s=1.0 if answer.every_s else 30.0)
    assert not answer.every_s or time.monotonic() - began_s < 10


def test_a_part_may_lie_elsewhere_and_is_asked_for_without_what_signs_us_in(
    registry: Registry, tmp_path: Path
) -> None:
    registry.wants, registry.challenge = "Basic " + base64.b64encode(b"me:pw").decode(), "Basic"
    path = f"/v2/team/app/blobs/{LAYER}"
    registry.answers["/elsewhere"] = registry.answers[path]
    registry.answers[path] = Answer(status=307, headers={"Location": "/elsewhere"})
    pulled(registry.host, tmp_path, user="me", password="pw")
    assert ("/elsewhere", "") in registry.asked


def test_a_manifest_is_not_redirected(registry: Registry, tmp_path: Path) -> None:
    moved = Answer(status=302, headers={"Location": "/v2/team/app/manifests/2.0"})
    registry.answers["/v2/team/app/manifests/1.0"] = moved
    with pytest.raises(AdapterFailed, match="redirects its manifest"):
        pulled(registry.host, tmp_path)


def test_what_is_said_to_be_too_large_is_not_asked_for(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="expected at most 8 bytes, found"):
        pulled(registry.host, tmp_path, part_max_bytes=8)
    with pytest.raises(Malformed, match="in all"):
        pulled(registry.host, tmp_path, image_max_bytes=20)
    assert not [path for path, _ in registry.asked if "/blobs/" in path]


def test_a_registry_is_signed_in_at_with_a_token(registry: Registry, tmp_path: Path) -> None:
    registry.wants = "Bearer t-1"
    registry.challenge = (
        f'Bearer realm="http://{registry.host}/token",service="reg",scope="repository:team/app"'
    )
    registry.answers["/token"] = Answer(content=json.dumps({"token": "t-1"}).encode())
    pulled(registry.host, tmp_path, user="me", password="pw")
    basic = "Basic " + base64.b64encode(b"me:pw").decode()
    assert ("/token?service=reg&scope=repository%3Ateam%2Fapp", basic) in registry.asked
    registry.answers["/token"] = Answer(status=403)
    with pytest.raises(Unauthenticated, match="the answer was 403"):
        pulled(registry.host, tmp_path)
    registry.answers["/token"] = Answer(content=b'{"token": "t\\n1"}')
    with pytest.raises(AdapterFailed, match="holds no token"):
        pulled(registry.host, tmp_path)
    # Whoever answers for the registry does not choose where a password goes.
    registry.challenge = 'Bearer realm="https://10.0.0.1/token"'
    with pytest.raises(Malformed, match="inside our own network"):
        pulled(registry.host, tmp_path, user="me", password="pw")
    registry.challenge = "Negotiate"
    with pytest.raises(Malformed, match="expected Bearer with a realm, or Basic"):
        pulled(registry.host, tmp_path)


def test_a_registry_that_lets_nobody_in_says_so(registry: Registry, tmp_path: Path) -> None:
    registry.wants, registry.challenge = "Basic never", 'Basic realm="r"'
    with pytest.raises(Unauthenticated, match="wants a user and a password"):
        pulled(registry.host, tmp_path)
    with pytest.raises(Unauthenticated, match="lets us not in"):
        pulled(registry.host, tmp_path, user="me", password="wrong")


@pytest.mark.parametrize(
    "text",
    ["oci://", "oci://host", "oci://host/app", "host/app:1", "oci://host/App:1", "oci://h/a:",
     "oci://h/a@sha256:12", "oci://h/a:1?x", "oci://u@h/a:1", "oci://h/../a:1", "docker://h/a:1"],
)  # fmt: skip
def test_what_names_no_image(text: str) -> None:
    with pytest.raises(Malformed, match="expected oci://HOST"):
        parse_reference(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9)
        | st.sampled_from([2, sha(b"x"), "sha256:0", MANIFEST]),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "config", "layers", "manifests", "digest", "size", "mediaType"]
            ),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_document_is_read_or_refused_in_a_sentence(document: Any) -> None:
    try:
        parts = parse_manifest(json.dumps(document).encode(), where="m")
    except Malformed:
        return
    assert parts and len({part.name for part in parts}) == len(parts)


@given(st.text(max_size=80) | st.from_regex(r'Bearer realm="[a-z]*",x="'))
def test_any_challenge_is_read_or_refused(text: str) -> None:
    try:
        assert parse_challenge(text).scheme in {"basic", "bearer"}
    except Malformed as error:
        assert "WWW-Authenticate" in str(error)


# --- a registry as people run it ------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry: apt-get install docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\nlog: {{level: error}}\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/v2/", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def push(host: str, repo: str, tag: str, one: Image) -> None:
    base = f"http://{host}/v2/{repo}"
    for digest, content in one.blobs.items():
        begun = httpx.post(f"{base}/blobs/uploads/", timeout=10)
        place = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        assert httpx.put(place, content=content, timeout=10).status_code == 201
    answer = httpx.put(
        f"{base}/manifests/{tag}",
        content=one.manifest,
        headers={"Content-Type": MANIFEST},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text


def test_a_real_registry_and_a_tag_that_moves(real: str, tmp_path: Path) -> None:
    push(real, "team/app", "1.0", ONE)
    before = pulled(real, tmp_path)
    assert before.digest == Digest.of(ONE.manifest) and len(before.files) == 4
    push(real, "team/app", "1.0", OTHER)
    (tmp_path / "again").mkdir()
    after = pulled(real, tmp_path / "again")
    assert after.digest == Digest.of(OTHER.manifest) != before.digest
    (tmp_path / "old").mkdir()
    old = pulled(real, tmp_path / "old", f"team/app@{before.digest}")
    assert [p.read_bytes() for p in old.files] == [p.read_bytes() for p in before.files]
    with pytest.raises(NotFound):
        pulled(real, tmp_path, "team/app:never")
