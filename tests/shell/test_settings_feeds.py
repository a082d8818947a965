"""The sources of feeds in the settings: what is read, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.core.errors import UnsafeConfig
from engine.core.feeds_timing import FeedTiming
from engine.settings import FeedOrigin, read_settings

EXAMPLE = (Path(__file__).parents[2] / "examples" / "releaseline.yaml").read_text("utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("policies", "feeds", "trust", "inputs"):
        (tmp_path / folder).mkdir()
    for name in ("release-gate.yaml", "release-gate.config.json"):
        (tmp_path / "policies" / name).write_text("{}")
    key = Ed25519PrivateKey.generate().public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name in ("mirror.pem", "outside.pem"):
        (tmp_path / "trust" / name).write_bytes(pem)
    (tmp_path / "trust" / "none.pem").write_text("no key")
    return tmp_path


def written(home: Path, sources: str) -> Path:
    text = EXAMPLE.replace("\nretention:", f"\n  sources:\n{sources}\nretention:", 1)
    assert text != EXAMPLE
    head, _, tail = text.partition("  sources:\n")
    before = "\n".join(line for line in head.splitlines() if not line.startswith("#"))
    (home / "releaseline.yaml").write_text(f"{before}\n  sources:\n{tail}")
    return home


def test_no_source_changes_nothing(home: Path) -> None:
    (home / "releaseline.yaml").write_text(EXAMPLE)
    bare = read_settings(home)
    assert bare.feeds.sources == ()
    (home / "releaseline.yaml").write_text(
        EXAMPLE.replace("\n# sources:", "\n  sources: []\n# sources:", 1)
    )
    assert read_settings(home).digest == bare.digest


def test_the_commented_sources_of_the_example_are_sound(home: Path) -> None:
    lines = EXAMPLE.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("# sources:"))
    while lines[first].startswith("# "):
        lines[first] = "  " + lines[first][2:]
        first += 1
    (home / "releaseline.yaml").write_text("\n".join(lines))
    found = {one.name: one for one in read_settings(home).feeds.sources}
    assert list(found) == ["OSV", "KEV", "NVD", "EPSS"]
    assert found["OSV"] == FeedOrigin(
        name="OSV",
        address="https://osv-vulnerabilities.storage.googleapis.com",
        ecosystems=("PyPI", "npm"),
        timing=FeedTiming(every_s=1_800),
    )
    assert found["KEV"].timing == FeedTiming(every_s=86_400, at_s=18 * 3_600 + 1_800)
    assert found["EPSS"].timing is None  # only when somebody asks for it
    assert (found["NVD"].token, found["NVD"].pause_ms) == ("env:NVD_API_KEY", 600)
    assert found["EPSS"].manifest == "SHA256SUMS" and "PUBLIC KEY" in found["EPSS"].key


def test_a_folder_is_one_of_the_home(home: Path) -> None:
    found = read_settings(written(home, "    - {name: KEV, from: mirror/kev}\n"))
    assert found.feeds.sources[0].address == str(home / "mirror" / "kev")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{name: CVE, from: x}", "name: expected"),
        ("{name: KEV}", "from: expected"),
        ("{name: KEV, from: x, every: 1h, at: '02:00'}", "every or at, not both"),
        ("{name: KEV, from: x, every: 59s}", "every from 1m to 720h"),
        ("{name: KEV, from: x, every: 721h}", "every from 1m to 720h"),
        ("{name: KEV, from: x, at: '24:00'}", "at: expected"),
        ("{name: KEV, from: 'http://mirror.example.com/kev'}", "expected https://, or a key"),
        ("{name: KEV, from: 'ftp://a/b'}", "expected a folder, or https://HOST"),
        ("{name: KEV, from: 'https://u:p@a/b'}", "without user, password"),
        ("{name: KEV, from: 'https://a:port/b'}", "found 'https://a:port/b'"),
        ("{name: KEV, from: x, key: trust/mirror.pem}", "expected manifest beside key"),
        ("{name: KEV, from: x, manifest: M, key: trust/none.pem}", "found no such key in"),
        ("{name: KEV, from: x, manifest: M, key: trust/absent.pem}", "expected a file that can be"),
        ("{name: KEV, from: x, ecosystems: [PyPI]}", "expected ecosystems with OSV and GHSA only"),
        ("{name: KEV, from: x, token: secret}", "expected env:NAME or file:PATH"),
        ("{name: KEV, from: x}\n    - {name: KEV, from: y}", "each feed once, found KEV again"),
    ],
)
def test_what_is_refused(source: str, says: str, home: Path) -> None:
    with pytest.raises(UnsafeConfig) as refused:
        read_settings(written(home, f"    - {source}\n"))
    assert says in str(refused.value) and "releaseline.yaml:" in str(refused.value)


def test_plain_http_is_fine_where_a_key_vouches(home: Path) -> None:
    source = (
        "    - {name: KEV, from: 'http://mirror.example.com/kev', manifest: SHA256SUMS, "
        "key: trust/mirror.pem}\n"
    )
    assert read_settings(written(home, source)).feeds.sources[0].manifest == "SHA256SUMS"
