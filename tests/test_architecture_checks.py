"""Every check of the house rules can fail: it is shown made-up sources that break its rule."""

from __future__ import annotations

from tests.test_architecture import (
    cel_problems,
    core_problems,
    cycles,
    fork_problems,
    import_problems,
    length_problems,
    wiring_problems,
    word_problems,
)

CHECKS = {
    "imports": import_problems,
    "wiring": wiring_problems,
    "core": core_problems,
    "lengths": length_problems,
    "words": word_problems,
    "forks": fork_problems,
    "cel": cel_problems,
}


def said(check: str, **sources: str) -> list[str]:
    """What a check says of made-up sources; a name's `__` stands for a dot."""
    return CHECKS[check]({name.replace("__", "."): text for name, text in sources.items()})


def test_a_wrong_import_is_found() -> None:
    assert said("imports", engine__core__x="import yaml") == ["engine.core.x may not import yaml"]
    assert said("imports", engine__core__x="from engine.ports import Clock") == [
        "engine.core.x may not import engine.ports"
    ]
    assert said("imports", engine__evidence__x="def f():\n    import duckdb") == [
        "engine.evidence.x may not import duckdb"
    ]
    assert said("imports", data__x="from engine.service import Service") == [
        "data.x may not import engine.service"
    ]
    assert said("imports", pages__a__b="from data.store import Store") == [
        "pages.a.b may not import data.store"
    ]
    assert said("imports", engine__x="from . import y") == ["engine.x imports relatively"]
    assert said("imports", other="import yaml")[0].startswith("other has no line in the table")
    assert said("imports", pages__a__b="from data import queries", data__queries="") == []
    assert said("imports", engine__core__x="import json\nfrom engine.core.run import Run") == []


def test_a_wrong_user_of_the_wiring_is_found() -> None:
    wiring = {"engine__wiring": ""}
    for text in (
        "import engine.wiring",
        "from engine import wiring",
        "from engine.wiring import x",
    ):
        assert said("wiring", engine__service=text, **wiring) == [
            "engine.service may not import engine.wiring"
        ]
        assert said("wiring", engine__cli__local=text, **wiring) == []
    assert said("wiring", pages__ui__cards="from engine.wiring import running", **wiring)


def test_time_and_files_in_the_core_are_found() -> None:
    assert len(said("core", engine__core__x="import time\nfrom random import choice")) == 2
    assert said("core", engine__core__x="x = open('f')") == ["engine.core.x:1 calls open()"]
    assert said("core", engine__steps="import time") == []


def test_a_cycle_is_found() -> None:
    ring = {"a": "import b", "b": "def f():\n    from c import x", "c": "import a", "d": "import a"}
    assert cycles(ring) == [["a", "b", "c"]]
    assert cycles({"a": "import b", "b": ""}) == []


def test_long_files_and_functions_are_found() -> None:
    assert said("lengths", x="a = 1\n" * 400) == ["x has 400 lines, expected fewer than 400"]
    assert said("lengths", x="def f():\n" + "    a = 1\n" * 69) == ["x.f has 70 lines"]
    assert said("lengths", x="def f():\n" + "    a = 1\n" * 68) == []


def test_open_ends_are_found() -> None:
    assert said("words", x="a = 1  # TO" + "DO later") == ["x:1: an open end"]
    assert said("words", x="p = '/home/somebody/x'") == ["x:1: a path of one machine"]
    assert said("words", x="st.html(x, unsafe_allow_" + "javascript=True)") != []


def test_forks_are_found() -> None:
    assert said("forks", x="import os\nos.fork()") == ["x:2 calls os.fork"]
    assert said("forks", x="from os import fork as f\nf()") == ["x:2 calls os.fork"]
    assert said("forks", x="import multiprocessing as mp\nmp.Pool(2)") != []
    pool = "from concurrent.futures import ProcessPoolExecutor as P\nP("
    assert said("forks", x=f"{pool}2)") == ["x:2: a process pool without mp_context forks"]
    assert said("forks", x=f"{pool}2, mp_context=c)") == []
    context = "import multiprocessing\nmultiprocessing.get_context("
    assert said("forks", x=f"{context}'fork')") != [] and said("forks", x=f"{context})") != []
    assert said("forks", x=f"{context}'spawn')") == []
    assert said("forks", x="import subprocess\nsubprocess.run([], preexec_fn=f)") != []


def test_a_second_evaluator_is_found() -> None:
    assert said("cel", engine__policy__evaluate="from cel_expr_python import cel") != []
    assert said("cel", engine__policy__cel="from cel_expr_python import cel") == []
