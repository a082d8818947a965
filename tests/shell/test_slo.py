"""OpenSLO files: what is taken over, and that everything else is refused by its place."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli.main import run as command_line
from engine.core.burn import BurnState, judge, overall
from engine.core.errors import UnsafeConfig
from engine.core.health_criteria import DEFAULT_CRITERIA
from engine.core.health_parse import parse_gate
from engine.settings import read_settings
from engine.slo import read_slo

pytestmark = pytest.mark.house

EXAMPLES = Path(__file__).parents[2] / "examples"
CHECKOUT = (EXAMPLES / "openslo" / "checkout.yaml").read_bytes()
SEARCH = (EXAMPLES / "openslo" / "search.yaml").read_bytes()
DOCUMENTS = list(yaml.safe_load_all(CHECKOUT))


def problems(documents: list[Any]) -> list[str]:
    text = yaml.safe_dump_all(documents, sort_keys=False)
    slo, found = read_slo(text.encode(), "slo.yaml")
    assert (slo is None) == bool(found)
    return [str(problem) for problem in found]


def test_an_slo_with_its_alerts() -> None:
    slo, wrong = read_slo(CHECKOUT, "checkout.yaml")
    assert slo is not None and not wrong
    assert (slo.name, slo.service, slo.slo_bp, slo.own_rules) == (
        "checkout-availability",
        "checkout",
        9_990,
        True,
    )
    assert [(rule.burn_centi, rule.windows_ms) for rule in slo.rules] == [
        (1_440, (3_600_000, 300_000)),
        (600, (21_600_000, 1_800_000)),
    ]
    assert slo.numerator == "bad" and 'code=~"5.."' in slo.query
    counts = dict.fromkeys((300, 1800, 3600, 21600), (20, 1000))
    assert overall(judge(slo.rules, counts, slo_bp=slo.slo_bp)) is BurnState.BURNING


def test_the_smallest_one_has_the_default_rules() -> None:
    slo, _ = read_slo(SEARCH, "search.yaml")
    assert slo is not None
    assert slo.rules == DEFAULT_CRITERIA.guard_burns
    assert (slo.slo_bp, slo.own_rules, slo.numerator) == (9_900, False, "good")


def at(path: str, value: Any) -> Callable[[list[Any]], None]:
    """Sets a place such as `0.spec.service`; `...` takes it away."""

    def change(documents: list[Any]) -> None:
        inner: Any = documents
        *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        for part in way:
            inner = inner[part]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value

    return change


RATIO = "1.spec.ratioMetric"
INLINE = "5.spec.conditions.0.spec.condition"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("0.apiVersion", "openslo/v2alpha", "apiVersion: expected openslo/v1, found"),
        ("0.kind", "Slo", "kind: expected SLO or SLI"),
        ("0.metadata", ..., "metadata.name: expected a text that is not empty, found nothing"),
        ("0.spec.budgetingMethod", "Timeslices", "expected Occurrences, found 'Timeslices'"),
        ("0.spec.budgetingMethod", ..., "expected Occurrences, found nothing"),
        ("0.spec.objectives", [], "spec.objectives: expected a list of one objective"),
        ("0.spec.objectives.0.target", 0.9, "expected either target or targetPercent"),
        ("0.spec.objectives.0.targetPercent", ..., "expected either target or targetPercent"),
        ("0.spec.objectives.0.targetPercent", 100, "below 100, in steps of 0.01 %, found 100"),
        ("0.spec.objectives.0.targetPercent", 99.999, "in steps of 0.01 %, found 99.999"),
        ("0.spec.objectives.0.targetPercent", True, "found True"),
        ("0.spec.objectives.0.targetPercent", "99", "found '99'"),
        ("0.spec.objectives.0.op", "lte", "objectives[0].op: expected one of displayName"),
        ("0.spec.objectives.0.timeSliceTarget", 0.9, "not supported, found timeSliceTarget"),
        ("0.spec.indicatorRef", "nobody", "the name of a document of kind SLI in this file"),
        ("0.spec.indicator", {}, "expected either indicator or indicatorRef"),
        ("0.spec.severity", "high", "not supported, found severity"),
        ("0.spec.alertPolicies", {"a": 1}, "spec.alertPolicies: expected a list"),
        ("0.spec.alertPolicies.0", "fast-burn", "alertPolicies[0]: expected a mapping"),
        ("1.spec.thresholdMetric", {}, "not supported, found thresholdMetric"),
        (RATIO, ..., "spec.ratioMetric: expected a ratio of two counters, found nothing"),
        (f"{RATIO}.counter", False, "expected true: a budget is spent by events"),
        (f"{RATIO}.good", {}, "either good or bad, besides total"),
        (f"{RATIO}.raw", {}, "not supported, found raw"),
        (f"{RATIO}.total", ..., "metricSource.type: expected Prometheus, found nothing"),
        (f"{RATIO}.bad.metricSource.type", "Datadog", "type: expected Prometheus, found 'Datadog'"),
        (f"{RATIO}.bad.metricSource.spec.step", "1m", "expected one of query; anything else"),
        (f"{RATIO}.bad.metricSource.spec.query", " ", "query: expected a text that is not empty"),
        ("2.spec.type", "CloudWatch", "expected Prometheus, found 'CloudWatch'"),
        ("3.spec.conditions", [], "spec.conditions: expected a list of one condition"),
        ("3.spec.conditions.0.conditionRef", "x", "of kind AlertCondition in this file"),
        (f"{INLINE}.kind", "budget", "condition.kind: expected burnrate, found 'budget'"),
        (f"{INLINE}.op", "lt", "condition.op: expected gt or gte, found 'lt'"),
        (f"{INLINE}.threshold", 0, "threshold: expected a number from 0.01"),
        (f"{INLINE}.threshold", 1e300, "threshold: expected a number from 0.01"),
        (f"{INLINE}.lookbackWindow", "1Q", "lookbackWindow: expected a duration like 5m"),
        (f"{INLINE}.lookbackWindow", "5w", "lookbackWindow: expected a duration like 5m"),
        (f"{INLINE}.lookbackWindow", 60, "lookbackWindow: expected a duration like 5m"),
    ],
)
def test_what_a_guard_cannot_keep_is_refused_by_its_place(path: str, value: Any, told: str) -> None:
    documents = copy.deepcopy(DOCUMENTS)
    at(path, value)(documents)
    found = problems(documents)
    assert any(told in line for line in found), found
    assert all(line.startswith("slo.yaml:") for line in found)
    assert all(int(line.split(":")[1]) > 0 for line in found)


def test_every_problem_has_its_own_line_over_several_documents() -> None:
    text = CHECKOUT.replace(b"op: gte", b"op: lt").replace(b"counter: true", b"counter: maybe")
    _, found = read_slo(text, "x.yaml")
    lines = text.decode().splitlines()
    assert [lines[p.line - 1].strip() for p in found] == ["counter: maybe", "op: lt"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "expected one SLO, found none"),
        (b"---\n---\n", "expected one SLO, found none"),
        (b"- 1\n", "expected a mapping"),
        (b"a: 1\na: 2\n", "expected this key once"),
        (b"a: !!python/object:os.system x\n", "expected a plain value"),
        (b"a: &a [*a]\n", "alias to what it stands in"),
        (b"\xff", "expected UTF-8 text"),
        (b"a: [\n", "expected YAML"),
        (b"x" * (1024 * 1024 + 1), "expected at most 1048576 bytes"),
        (b"[" * 3_000, "expected"),
        (CHECKOUT + b"---\n" + SEARCH, "expected one SLO, found checkout-availability, search"),
        (CHECKOUT + b"---\n" + CHECKOUT, "expected each SLO once"),
    ],
)
def test_hostile_files_end_in_one_sentence(text: bytes, told: str) -> None:
    slo, found = read_slo(text, "x.yaml")
    assert slo is None
    assert any(told in str(problem) for problem in found), found


def test_one_of_several_can_be_named() -> None:
    both = CHECKOUT + b"---\n" + SEARCH
    slo, _ = read_slo(both, "x.yaml", name="search-availability")
    assert slo is not None and slo.slo_bp == 9_900
    _, found = read_slo(both, "x.yaml", name="nobody")
    assert "expected an SLO called nobody" in str(found[0])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_is_a_crash(data: st.DataObject) -> None:
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.just([]), st.just({}),
        st.just([{"spec": []}]),
    )  # fmt: skip
    documents = copy.deepcopy(DOCUMENTS)
    for _ in range(data.draw(st.integers(1, 3))):
        inner: Any = documents
        while isinstance(inner, dict | list) and inner:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inner[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
                inner[key] = data.draw(junk)
                break
            inner = inner[key]
    problems(documents)


class TestInTheSettings:
    def home(self, folder: Path, text: bytes, guard: str = "{openslo: slo.yaml}") -> Path:
        home = folder / "home"
        (home / "policies").mkdir(parents=True)
        (home / "feeds").mkdir()
        for name in ("release-gate.yaml", "release-gate.config.json"):
            shutil.copy(EXAMPLES / name, home / "policies" / name)
        (home / "slo.yaml").write_bytes(text)
        lines = (EXAMPLES / "releaseline.yaml").read_text().splitlines()
        begin = next(n for n, line in enumerate(lines) if line.strip().startswith("env_guard:"))
        after = next(
            n
            for n in range(begin + 1, len(lines))
            if len(lines[n]) - len(lines[n].lstrip()) < 8 and lines[n].strip()
        )
        lines[begin:after] = [f"      env_guard: {guard}"]
        (home / "releaseline.yaml").write_text("\n".join(lines) + "\n")
        return home

    def test_the_file_is_read_and_its_digest_is_part_of_the_settings(self, tmp_path: Path) -> None:
        home = self.home(tmp_path, CHECKOUT)
        settings = read_settings(home)
        stage = settings.environment("eu-prod").workflow.stages[0]
        slo, _ = read_slo(CHECKOUT, "x")
        assert slo is not None
        assert (stage.criteria.guard_slo_bp, stage.criteria.guard_burns) == (9_990, slo.rules)
        (home / "slo.yaml").write_bytes(CHECKOUT + b"# the same, other bytes\n")
        again = read_settings(home)
        assert again.digest != settings.digest
        assert again.environment("eu-prod").workflow.digest == (
            settings.environment("eu-prod").workflow.digest
        )

    @pytest.mark.parametrize(
        ("guard", "told"),
        [
            ("{openslo: none.yaml}", "env_guard.openslo: expected a readable file, found"),
            ("{openslo: slo.yaml, slo: 0.9}", "expected slo and block_start_if, or openslo alone"),
            ("{slo: 0.9}", "expected slo and block_start_if, or openslo alone"),
            ("{}", "expected slo and block_start_if, or openslo alone"),
            ('{openslo: "a\\0b"}', "env_guard.openslo: expected a readable file"),
        ],
    )
    def test_a_wrong_guard_is_one_sentence(self, tmp_path: Path, guard: str, told: str) -> None:
        with pytest.raises(UnsafeConfig) as refused:
            read_settings(self.home(tmp_path, CHECKOUT, guard))
        assert told in str(refused.value)

    def test_a_broken_file_is_named_with_its_own_line(self, tmp_path: Path) -> None:
        home = self.home(tmp_path, CHECKOUT.replace(b"Occurrences", b"Timeslices"))
        with pytest.raises(UnsafeConfig) as refused:
            read_settings(home)
        assert f"{home / 'slo.yaml'}:16: spec.budgetingMethod: expected Occurrences" in str(
            refused.value
        )
        assert len(str(refused.value).splitlines()) == 1


class TestTheCommand:
    def test_the_piece_means_the_same_in_a_gate(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "piece.yaml"
        source = EXAMPLES / "openslo" / "checkout.yaml"
        assert command_line(["slo", "import", str(source), "--output", str(path)]) == 0
        assert f"Written to {path}." in capsys.readouterr().out
        gate = {
            "proceed_if": {"healthy": {"share": 0.95, "for": "5m"}, "error_rate": {"max": 0.01}},
            **yaml.safe_load(path.read_text()),
        }
        slo, _ = read_slo(CHECKOUT, "x")
        assert slo is not None
        criteria = parse_gate(gate)
        assert (criteria.guard_slo_bp, criteria.guard_burns) == (slo.slo_bp, slo.rules)
        assert command_line(["slo", "import", str(source), "--output", str(path)]) == 2

    def test_problems_are_said_with_their_place(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "slo.yaml"
        path.write_bytes(SEARCH.replace(b"target: 0.99", b"target: 99"))
        assert command_line(["slo", "import", str(path)]) == 2
        assert f"{path}:27: spec.objectives[0].target: expected more than 0, below 1" in (
            capsys.readouterr().err
        )

    def test_text_of_a_file_never_becomes_yaml_of_ours(self, tmp_path: Path) -> None:
        hostile = SEARCH.replace(b"service: search\n", b'service: "a\\nenv_guard: {}"\n')
        path, out = tmp_path / "slo.yaml", tmp_path / "out.yaml"
        path.write_bytes(hostile)
        assert command_line(["slo", "import", str(path), "--output", str(out)]) == 0
        assert yaml.safe_load(out.read_text())["env_guard"]["slo"] == 0.99
