"""Settings: the shipped example is right, and every kind of mistake is said with its line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml

from engine.core.errors import NotFound, UnsafeConfig
from engine.core.health import DEFAULT_CRITERIA
from engine.core.statemachine import Role
from engine.settings import Settings, read_settings
from engine.settings_parts import duration_ms
from engine.settings_shape import schema_text, share_bp

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Home = Callable[[Callable[[str], str]], Path]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home whose settings are the shipped ones, changed by a function."""

    def make(change: Callable[[str], str] = lambda text: text) -> Path:
        (tmp_path / "policies").mkdir()
        (tmp_path / "feeds").mkdir()
        for name in ("release-gate.yaml", "release-gate.config.json"):
            shutil.copyfile(EXAMPLES / name, tmp_path / "policies" / name)
        text = (EXAMPLES / "releaseline.yaml").read_text("utf-8")
        changed = change(text)
        (tmp_path / "releaseline.yaml").write_text(changed, "utf-8")
        return tmp_path

    return make


def _swap(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def _line(home: Path, needle: str) -> int:
    """The line of the first occurrence, as an editor counts."""
    text = (home / "releaseline.yaml").read_text("utf-8")
    return text[: text.index(needle)].count("\n") + 1


def _problems(home: Path) -> list[str]:
    with pytest.raises(UnsafeConfig) as caught:
        read_settings(home)
    return str(caught.value).splitlines()


def _read(home: Path) -> Settings:
    return read_settings(home)


def test_the_shipped_example_says_what_the_code_assumes(home: Home) -> None:
    settings = _read(home(lambda text: text))
    prod = settings.environment("eu-prod")
    assert prod.promotes_from == "eu-stage"
    assert prod.targets == tuple(f"eu-prod-{n:02}" for n in range(1, 11))
    assert prod.approval.min_approvals == 2
    assert prod.approval.expires_after_s == 86_400
    assert prod.on_breach == "rollback"
    assert prod.workflow.poll_ms == 5_000
    assert prod.workflow.metrics.slow_over_ms == 250
    stages = prod.workflow.stages
    assert [(s.name, s.share_bp) for s in stages] == [
        ("canary-10", 1_000),
        ("canary-50", 5_000),
        ("full-100", 10_000),
        ("post-verify", 0),
    ]
    assert stages[0].criteria == DEFAULT_CRITERIA
    assert stages[2].criteria.baseline == "history"
    assert stages[3].criteria.hold_ms == 600_000
    assert settings.environment("eu-stage").approval.min_approvals == 0
    assert {i.scheme for i in prod.inputs} == {"env", "file"}
    file_input = next(i for i in prod.inputs if i.scheme == "file")
    assert Path(file_input.path).is_absolute()


def test_roles_hold_everywhere_or_where_they_are_granted(home: Home) -> None:
    settings = _read(home(lambda text: text))
    assert settings.roles_of("ana.li", "eu-stage") == {
        Role.RELEASE_MANAGER,
        Role.SRE,
        Role.AUDITOR,
    }
    assert settings.roles_of("bob.smith", "eu-prod") == {Role.APPROVER}
    assert settings.roles_of("bob.smith", "eu-stage") == frozenset()
    assert settings.roles_of("stranger", "eu-prod") == frozenset()
    with pytest.raises(NotFound, match="stranger"):
        settings.person("stranger")
    with pytest.raises(NotFound, match=r"eu-stage, eu-prod"):
        settings.environment("eu-prd")


def test_the_digest_follows_meaning_and_not_spelling(home: Home, tmp_path: Path) -> None:
    place = home(lambda text: text)
    file = place / "releaseline.yaml"
    text = file.read_text("utf-8")
    first = _read(place).digest
    file.write_text(text.replace("# ", "#   "), "utf-8")
    assert _read(place).digest == first
    file.write_text(text.replace("alpha: 0.005", "alpha: 0.004"), "utf-8")
    changed = _read(place)
    assert changed.digest != first


def test_a_rollback_may_need_a_ticket(home: Home) -> None:
    place = home(lambda text: text)
    file, plain = place / "releaseline.yaml", _read(place)
    assert plain.environment("eu-prod").rollback_ticket == ""
    shipped = file.read_text("utf-8")
    (line,) = (one for one in shipped.splitlines() if "rollback_ticket" in one)
    file.write_text(shipped.replace(line, line.replace("# rollback", "rollback")), "utf-8")
    wanted = _read(place)
    assert wanted.environment("eu-prod").rollback_ticket == r"incident #\d+"
    assert wanted.digest != plain.digest
    for bad, said in (("'('", "a regular expression (missing ), "), ("'.*'", "no empty text")):
        file.write_text(shipped.replace(line, f"    rollback_ticket: {bad}"), "utf-8")
        with pytest.raises(UnsafeConfig) as refused:
            _read(place)
        assert "rollback_ticket" in str(refused.value) and said in str(refused.value)


def test_schema_is_the_shipped_one_and_accepts_the_example() -> None:
    shipped = (EXAMPLES / "releaseline.schema.json").read_text("utf-8")
    assert shipped == schema_text()
    schema = json.loads(shipped)
    jsonschema.Draft202012Validator.check_schema(schema)
    document = yaml.safe_load((EXAMPLES / "releaseline.yaml").read_text("utf-8"))
    jsonschema.validate(document, schema)
    document["workflows"][0]["stages"][0]["targets"] = {"min": 2, "share": "10%"}
    jsonschema.validate(document, schema)
    document["enviroments"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


_MIN2 = "min_approvals: 2"
_ROUTER = "      type: router "

# what is changed, the text whose line is named, and what the sentence has to say
_MISTAKES = {
    "wrong type": (_MIN2, "min_approvals: two", "min_approvals: two", ("a whole number", "'two'")),
    "out of range": ("port: 8501", "port: 99999", "port: 99999", ("at most 65535", "99999")),
    "unknown key": ("  poll: 5s", "  pol: 5s", "pol: 5s", ("no such key", "'poll'")),
    "doubled key": (_MIN2, f"{_MIN2}\n      {_MIN2}", "", ("once", "already")),
    "near miss": ("on_breach: rollback", "on_breech: rollback", "on_breech", ("'on_breach'",)),
    "duration": ("      poll: 5s", "      poll: 5 s", "poll: 5 s", ("a duration", "'5 s'")),
    "share": ("targets: 10%}", "targets: 110%}", "name: canary-10,", ("up to 100%", "110%")),
    "workflow": (
        "workflow: canary-10-50-100\n    policy: release-gate\n    approval",
        "workflow: canary-10-50\n    policy: release-gate\n    approval",
        "workflow: canary-10-50\n",
        ("one of canary-10-50-100", "did you mean"),
    ),
    "policy": (
        "policy: release-gate\n    approval",
        "policy: gate\n    approval",
        "policy: gate\n",
        ("one of release-gate",),
    ),
    "promotes from": (
        "promotes_from: eu-stage",
        "promotes_from: eu-stge",
        "promotes_from: eu-stge",
        ("'eu-stage'",),
    ),
    "promotes in a circle": (
        "promotes_from: eu-stage",
        "promotes_from: eu-prod",
        "promotes_from: eu-prod",
        ("does not promote from this one",),
    ),
    "stranger in a group": (
        "[bob.smith, carol.wu]",
        "[bob.smith, carol.woo]",
        "[bob.smith, carol.woo]",
        ("carol.woo", "'carol.wu'"),
    ),
    "member who may not approve": (
        "[bob.smith, carol.wu]",
        "[bob.smith, ana.li]",
        "[bob.smith, ana.li]",
        ("the role approver", "ana.li"),
    ),
    "more approvals than approvers": (
        _MIN2,
        "min_approvals: 3",
        "min_approvals: 3",
        ("at most the 2 people", "3"),
    ),
    "role in no environment": (
        "in: [eu-prod]}]",
        "in: [us-prod]}]",
        "in: [us-prod]}]",
        ("one of eu-stage, eu-prod",),
    ),
    "unknown role": ("role: auditor", "role: boss", "role: boss", ("'viewer'", "boss")),
    "target twice": (
        "- eu-prod-02",
        "- eu-prod-01",
        "",
        ("a name of its own", "eu-prod-01"),
    ),
    "unsafe host": (
        "host: 127.0.0.1",
        "host: 0.0.0.0",
        "host: 0.0.0.0",
        ("behind_proxy", "0.0.0.0"),
    ),
    "policy file": (
        "policies/release-gate.yaml",
        "policies/none.yaml",
        "policies/none.yaml",
        ("a file", "policies/none.yaml"),
    ),
    "feeds folder": ("folder: feeds", "folder: fed", "folder: fed", ("a folder", "fed")),
    "router with address": (
        _ROUTER,
        "      url: http://127.0.0.1:9090\n      type: router ",
        "      url: http://127.0.0.1:9090",
        ("no such key", "asked directly"),
    ),
    "prometheus without address": (
        _ROUTER,
        "      type: prometheus ",
        "metrics_source:",
        ("address of the Prometheus", "nothing"),
    ),
    "shares that fall": ("targets: 50%", "targets: 5%", "name: canary-50", ("above", "5%")),
    "no stage of 100%": ("targets: 100%", "targets: 90%", "stages:\n", ("100%", "90%")),
    "a reserved stage": ("name: full-100", "name: seal", "name: seal", ("no step of ours",)),
    "gate that cannot end": ("max_hold: 15m ", "max_hold: 1m ", "max_hold: 1m", ("for", "1m")),
    "switched off pause": (
        "        - {when: no_data, for: 2m}\n",
        "",
        "auto_pause:",
        ("no_data", "cannot be switched off"),
    ),
    "secret in the file": (
        "env:DB_PASSWORD",
        "hunter2",
        "hunter2",
        ("vault:MOUNT/PATH#FIELD", "not repeated"),
    ),
    "missing section": ("feeds:\n  folder: feeds", "", "version: 1", ("feeds", "a mapping")),
    "octal": ("port: 8501", "port: 08501", "port: 08501", ("a plain number",)),
    "yes is a text": (
        "behind_proxy: false",
        "behind_proxy: yes",
        "behind_proxy: yes",
        ("true or false", "'yes'"),
    ),
    "a tag": ("issuer: releaseline", "issuer: !!python/name:os.system x", "issuer:", ("the tag",)),
    "broken syntax": ("version: 1", "version: [1", "", ("expected YAML",)),
    "a tab": ("  port: 8501", "\tport: 8501", "\tport", ("expected YAML",)),
    "alias to nothing": ("gate:\n          <<: *gate", "gate: *gte", "*gte", ("gte",)),
}


@pytest.mark.parametrize("case", _MISTAKES.values(), ids=_MISTAKES.keys())
def test_each_mistake_is_said_with_its_line(
    home: Home, case: tuple[str, str, str, tuple[str, ...]]
) -> None:
    old, new, needle, words = case
    place = home(_swap(old, new))
    problems = _problems(place)
    said = [p for p in problems if all(word in p for word in words)]
    assert said, problems
    file = place / "releaseline.yaml"
    if needle:
        assert any(p.startswith(f"{file}:{_line(place, needle)}: ") for p in said), said
    assert all(p.startswith(str(file)) for p in problems), problems
    if "expected YAML" not in words:
        assert all("expected " in p for p in problems), problems


def test_everything_at_once_in_the_order_of_the_file(home: Home) -> None:
    def change(text: str) -> str:
        for old, new in (
            ("host: 127.0.0.1", "host: 0.0.0.0"),
            ("  poll: 5s", "  pol: 5s"),
            ("max_hold: 15m ", "max_hold: soon "),
            ("promotes_from: eu-stage", "promotes_from: nowhere"),
            ("role: auditor", "role: boss"),
        ):
            text = _swap(old, new)(text)
        return text

    place = home(change)
    problems = _problems(place)
    numbers = [
        int(p.removeprefix(f"{place / 'releaseline.yaml'}:").split(":")[0]) for p in problems
    ]
    assert numbers == sorted(numbers)
    wanted = ("server.host", "pol", "max_hold", "promotes_from", "roles[2].role")
    for key in wanted:
        assert any(key in p for p in problems), (key, problems)
    assert len(problems) == len(wanted)


def test_a_folder_of_files_is_one_document(home: Home) -> None:
    place = home(lambda text: text)
    whole = place / "releaseline.yaml"
    text = whole.read_text("utf-8")
    one = read_settings(place)
    head, tail = text.split("# --- people", 1)
    folder = place / "releaseline.d"
    folder.mkdir()
    (folder / "10-house.yaml").write_text(head, "utf-8")
    (folder / "20-people.yaml").write_text(f"# --- people{tail}", "utf-8")
    whole.unlink()
    split = read_settings(place)
    assert split.digest == one.digest
    n = len(split.people)
    (folder / "30-more.yaml").write_text(
        "version: 1\npeople:\n  - user: eve\n    email: eve\n", "utf-8"
    )
    problems = _problems(place)
    more = folder / "30-more.yaml"
    assert len(problems) == 2
    assert problems[0].startswith(f"{more}:1: version: expected this key once")
    assert problems[1].startswith(f"{more}:4: people[{n}].email: expected an e-mail address")


def test_no_settings_say_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(UnsafeConfig, match=r"found nothing") as caught:
        read_settings(tmp_path)
    assert "releaseline init" in caught.value.hint


def test_texts_that_are_no_utf8_name_the_byte(home: Home) -> None:
    place = home(lambda text: text)
    file = place / "releaseline.yaml"
    file.write_bytes(b"version: 1\nserver: \xff\n")
    assert _problems(place) == [f"{file}:2: expected UTF-8 text, found byte 0xff"]


@pytest.mark.parametrize(
    ("text", "ms"), [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000)]
)
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5M", "1.5h", "٣s", "5m ", "12345678s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        duration_ms(text)


@pytest.mark.parametrize(("text", "bp"), [("10%", 1_000), ("0.5%", 50), ("33.33 %", 3_333)])
def test_shares(text: str, bp: int) -> None:
    assert share_bp(text) == bp
