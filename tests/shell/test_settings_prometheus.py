"""`metrics_source` of type prometheus: what is read, and every mistake with its line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engine.core.errors import UnsafeConfig
from engine.core.metrics import SeriesNames
from engine.settings import Settings, read_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ADDRESS = "url: http://127.0.0.1:9090"


def _home(folder: Path, *lines: str) -> Path:
    """A home whose workflow asks a Prometheus, with `lines` in `metrics_source`."""
    (folder / "policies").mkdir()
    (folder / "feeds").mkdir()
    for name in ("release-gate.yaml", "release-gate.config.json"):
        shutil.copyfile(EXAMPLES / name, folder / "policies" / name)
    text = (EXAMPLES / "releaseline.yaml").read_text("utf-8")
    source = "".join(f"      {line}\n" for line in ("type: prometheus", *lines))
    text, count = re.subn(r"      type: router .*\n", source, text)
    assert count == 1
    (folder / "releaseline.yaml").write_text(text, "utf-8")
    return folder


def _read(folder: Path, *lines: str) -> Settings:
    return read_settings(_home(folder, *lines))


def test_left_out_names_are_those_that_the_fleet_exposes(tmp_path: Path) -> None:
    metrics = _read(tmp_path, ADDRESS).environment("eu-prod").workflow.metrics
    assert (metrics.type, metrics.url, metrics.token) == (
        "prometheus",
        "http://127.0.0.1:9090",
        "",
    )
    assert metrics.series == SeriesNames()


def test_every_name_can_be_another(tmp_path: Path) -> None:
    metrics = (
        _read(
            tmp_path,
            "url: https://prometheus.example/base",
            "token: file:token",
            "series:",
            "  select: 'namespace=\"{environment}\"'",
            "  requests: grpc_server_handled_total",
            "  target_label: pod",
            "  code_label: grpc_code",
            '  errors: "Unavailable|Internal"',
            "  ready: null",
        )
        .environment("eu-prod")
        .workflow.metrics
    )
    assert metrics.token == "file:token"
    assert metrics.series == SeriesNames(
        select='namespace="{environment}"',
        requests="grpc_server_handled_total",
        target_label="pod",
        code_label="grpc_code",
        errors="Unavailable|Internal",
        ready="",
    )


def test_another_question_is_another_workflow(tmp_path: Path) -> None:
    digests = set()
    for n, lines in enumerate(
        [(ADDRESS,), (ADDRESS, "token: env:T"), (ADDRESS, "series: {errors: '[45]..'}")]
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        digests.add(_read(folder, *lines).environment("eu-prod").workflow.digest)
    assert len(digests) == 3


SECRET = "hunter2"
MISTAKES = {
    "a password": (["url: http://ana:hunter2@127.0.0.1:9090"], "url:", "without a name or pass"),
    "a query": (["url: http://127.0.0.1:9090/?token=hunter2"], "url:", "ends before ?"),
    "a port too high": (["url: http://127.0.0.1:99999"], "url:", "an address"),
    "a token in the clear": (
        ["url: http://prometheus.example", "token: env:T"],
        "url:",
        "https:// or a loopback address",
    ),
    "a token itself": ([ADDRESS, "token: hunter2"], "token: hunter2", "env:NAME or file:PATH"),
    "no metric": ([ADDRESS, "series: {requests: 'a-b'}"], "requests:", "name of a metric"),
    "no label": ([ADDRESS, "series: {code_label: 'a:b'}"], "code_label:", "name of a label"),
    "no pattern": ([ADDRESS, "series: {errors: '5(..'}"], "errors:", "a regular expression"),
    "no requests": ([ADDRESS, "series: {requests: null}"], "requests:", "only durations and"),
    "nothing selected": ([ADDRESS, "series: {select: ''}"], "select:", "not empty"),
    "unknown": ([ADDRESS, "series: {durationz: x}"], "durationz:", "did you mean 'durations'"),
    "no histogram for a latency limit": (
        [ADDRESS, "series: {durations: null}"],
        "durations:",
        "since a gate limits latency_p95",
    ),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=list(MISTAKES))
def test_each_mistake_is_said_with_its_line(
    tmp_path: Path, case: tuple[list[str], str, str]
) -> None:
    lines, needle, words = case
    home = _home(tmp_path, *lines)
    with pytest.raises(UnsafeConfig) as caught:
        read_settings(home)
    problems = str(caught.value).splitlines()
    text = (home / "releaseline.yaml").read_text()
    text = re.sub(r"(?m)^ *#.*$", "", text)  # comments name the same keys
    place = text[: text.index(needle)].count("\n") + 1
    said = [p for p in problems if words in p]
    assert said, problems
    assert said[0].startswith(f"{home / 'releaseline.yaml'}:{place}: "), said
    assert "url" not in needle or SECRET not in str(caught.value)
