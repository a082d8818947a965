"""Policies and inputs that nobody wrote: texts of a small grammar over the real schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CASE: dict[str, Any] = json.loads((EXAMPLES / "release-gate.input.json").read_text())
NOW = CASE["clock"]["evaluated_at_s"]

CONFIG = {
    "limits": {"a": 0, "b": 3, "c": 86_400},
    "names": ["NVD", "OSV", "é", ""],
    "words": {"fail": "HIGH", "warn": "LOW"},
}

# What a rule may go through, and the integers and texts that an item of it has.
FACETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "input.feeds": (("it.as_of_s", "now - it.as_of_s"), ("it.name",)),
    "input.sboms": (("it.generated_at_s", "it.components"), ("it.component", "it.format")),
    "input.findings": (("it.cvss_dt", "it.epss_ppm"), ("it.id", "it.severity", "it.vex.author")),
    "live": (("size(it.aliases)",), ("it.key", "it.reach")),
    "input.scans.filter(s, s.status != 'COMPLETE')": ((), ("it.id", "it.detail")),
    "config.names": ((), ("it",)),
    "[1, 2, 3].map(n, [string(n), string(n * 2)])": (("int(it[0])", "int(it[1])"), ("it[0]",)),
    "": ((), ()),
}
_ORDER = "< <= > >= == !="
_INTS = ("0", "1", "3", "(-2)", "now", "config.limits.b", "size(input.findings)", "size(live)")
_TEXTS = ("''", "'é𝒜'", "'NVD'", "input.promotion.target.env", "config.words.fail")
_BOOLS = (
    "true",
    "input.findings.exists(f, f.kev)",
    "input.feeds.all(f, f.as_of_s <= now)",
    "input.sboms.exists_one(s, s.components > 2)",
    "has(input.baseline.label)",
    "live.exists(f, f.severity in ['HIGH', 'CRITICAL'] && !f.new_since_baseline)",
)


class _Texts:
    """Draws expressions of a kind, never deeper than asked for."""

    def __init__(self, draw: st.DrawFn, over: str) -> None:
        self._draw = draw
        self._own, self._words = FACETS[over]

    def _one(self, *of: str) -> str:
        return self._draw(st.sampled_from(of))

    def number(self, depth: int = 2) -> str:
        match self._draw(st.integers(0, 3)) if depth else 0:
            case 1:
                return self._infix(self.number(depth - 1), "+ - *", self.number(depth - 1))
            case 2:  # may have no answer: then no form and no engine may have one
                return self._infix(self.number(depth - 1), "/ %", self.number(depth - 1))
            case 3:
                items = self._one("live", "input.feeds")
                return f"size({items}.filter(y, size({items}) > {self.number(depth - 1)}))"
        return self._one(*_INTS, *self._own)

    def text(self) -> str:
        match self._draw(st.integers(0, 2)):
            case 1:
                return f"string({self.number(1)})"
            case 2:
                return self._infix(self._one(*_TEXTS, *self._words), "+", self._one(*_TEXTS))
        return self._one(*_TEXTS, *self._words)

    def truth(self, depth: int = 2) -> str:
        match self._draw(st.integers(0, 7)) if depth else self._draw(st.integers(3, 7)):
            case 0:
                return f"!({self.truth(depth - 1)})"
            case 1:
                return self._infix(self.truth(depth - 1), "&& || ==", self.truth(depth - 1))
            case 2:
                parts = [self.truth(depth - 1) for _ in range(3)]
                return f"({parts[0]} ? {parts[1]} : {parts[2]})"
            case 3:
                return self._infix(self.number(), _ORDER, self.number())
            case 4:
                return self._infix(self.text(), _ORDER, self.text())
            case 5:
                return f"{self.text()} in config.names"
            case 6:
                return f"({self.text()}).{self._one('startsWith', 'contains')}({self.text()})"
        return self._one(*_BOOLS)

    def _infix(self, left: str, signs: str, right: str) -> str:
        return f"({left} {self._one(*signs.split())} {right})"


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    over = draw(st.sampled_from(sorted(FACETS)))
    texts = _Texts(draw, over)
    return {
        "level": draw(st.sampled_from(["FAIL", "WARN"])),
        **({"over": over} if over else {}),
        "all": [texts.truth() for _ in range(draw(st.integers(1, 3)))],
        "subject": texts.text(),
        "detail": texts.text() + draw(st.sampled_from(["", "  // why"])),
    }


VARIABLES = {
    "live": "input.findings.filter(f, f.vex.status != 'fixed' && size(f.aliases) < two)",
    "two": "config.limits.b - 1",
}


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Gate inputs that fit the schema, with ages on both sides of every limit."""
    age = st.sampled_from([-1, 0, 1, 3_600, 86_400, 86_401, NOW])
    feed = st.builds(
        lambda name, old: {**CASE["feeds"][0], "name": name, "as_of_s": NOW - old},
        st.sampled_from(["NVD", "OSV", "KEV", "EPSS", "Ν𝒱D", "é"]),
        age,
    )
    sbom = st.builds(
        lambda name, old, n: {
            **CASE["sboms"][0],
            "component": name,
            "generated_at_s": NOW - old,
            "components": n,
        },
        st.sampled_from(["api.zip", "worker.zip", "é.zip"]),
        age,
        st.integers(0, 4),
    )
    finding = st.builds(
        lambda key, **change: {**CASE["findings"][0], "key": key, **change},
        st.sampled_from([f"F-{n}" for n in range(6)]),
        severity=st.sampled_from(["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]),
        reach=st.sampled_from(["UNKNOWN", "CONFIRMED_REACHABLE", "CONTESTED", "UNREACHABLE"]),
        kev=st.booleans(),
        new_since_baseline=st.booleans(),
        epss_ppm=st.sampled_from([-1, 0, 200_000, 1_000_000]),
        cvss_dt=st.integers(-1, 100),
        aliases=st.lists(st.sampled_from(["A", "B"]), max_size=3),
        vex=st.sampled_from(
            [
                {"status": "", "justification": "", "author": ""},
                {"status": "fixed", "justification": "x", "author": "psirt@example.com"},
                {"status": "not_affected", "justification": "", "author": "psirt@example.com"},
            ]
        ),
    )
    scan = st.builds(
        lambda name, status: {"id": name, "status": status, "detail": "d"},
        st.sampled_from(["s1", "s2", "𝒜"]),
        st.sampled_from(["COMPLETE", "FAILED", "UNKNOWN"]),
    )
    component = st.builds(
        lambda name, licenses: {
            **CASE["components"][0],
            "purl": f"pkg:pypi/{name}@1",
            "licenses": licenses,
        },
        st.sampled_from("abcdefg"),
        st.lists(st.sampled_from(["MIT", "AGPL-3.0-only", "SSPL-1.0"]), max_size=2),
    )
    return st.builds(
        lambda feeds, sboms, findings, scans, components, bp: {
            **CASE,
            "feeds": feeds,
            "sboms": sboms,
            "findings": findings,
            "scans": scans,
            "components": components,
            "reachability": {"static_bp": 0, "runtime_bp": bp},
        },
        _few(feed, "name"),
        _few(sbom, "component"),
        _few(finding, "key"),
        _few(scan, "id"),
        _few(component, "purl"),
        st.sampled_from([0, 4_999, 5_000, 10_000]),
    )


def _few(
    one: st.SearchStrategy[dict[str, Any]], by: str
) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(one, max_size=4, unique_by=lambda item: item[by])
