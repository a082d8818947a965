"""Which engine evaluates here: names, versions and a digest of its code, for capsules.

A replay that differs asks first whether the engine is another one; a version alone would not show
a rebuilt wheel, so the digest of the installed code stands beside it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, version
from typing import Final

from engine.core.digest import Digest

_ENGINE_PACKAGE: Final = "cel-expr-python"
_CROSSCHECK_PACKAGE: Final = "common-expression-language"

ENGINE: Final = f"cel-cpp/{version(_ENGINE_PACKAGE)}"
CROSSCHECK: Final = f"cel-rust/{version(_CROSSCHECK_PACKAGE)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Attributes:
    engine: for example `cel-cpp/0.1.3`.
    engine_code: SHA-256 over the names and digests of the engine's installed binaries.
    """

    engine: str
    engine_code: Digest
    crosscheck: str
    python: str

    def document(self) -> Mapping[str, str]:
        return {
            "engine": self.engine,
            "engine_code": str(self.engine_code),
            "crosscheck": self.crosscheck,
            "python": self.python,
        }


def requirement(engine: str) -> str:
    """`cel-cpp/0.1.3` as a policy writes it: `cel-cpp==0.1.3`."""
    return engine.replace("/", "==")


@cache
def identity() -> Identity:
    """Read once per process: the binaries are re-hashed, not taken from the wheel's list."""
    files = distribution(_ENGINE_PACKAGE).files or []
    binaries = sorted((str(file), file.read_binary()) for file in files if file.suffix == ".so")
    listing = "".join(f"{Digest.of(content).hex}  {name}\n" for name, content in binaries)
    return Identity(
        engine=ENGINE,
        engine_code=Digest.of(listing.encode()),
        crosscheck=CROSSCHECK,
        python=platform.python_version(),
    )
