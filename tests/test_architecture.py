"""The house rules that a machine can check: who imports whom, how long things are, what is banned.

Each check is a function over sources, so that `test_architecture_checks` can show that it fails
where it should.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Who may import whom. The first prefix that fits a module decides; the standard library is open
# to all, and so is a module's own prefix. A new room gets a line here, or it imports nothing.
_SHELL = (
    "engine.asker",
    "engine.core",
    "engine.ports",
    "engine.attestations",
    "engine.catalog",
    "engine.identity",
    "engine.outside",
    "engine.own_module",
    "engine.recording",
    "engine.redact",
    "engine.requests",
    "engine.settings",
    "engine.steplog",
    "engine.steps",
    "engine.time_zones",
    "engine.trail",
    "engine.verdicts",
    "engine.waiver_register",
)
MAY_IMPORT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("engine.core", ()),
    ("engine.policy_book", (*_SHELL, "engine.policy", "engine.service")),
    ("engine.policy.crosscheck", ("engine.core", "engine.policy", "cel")),
    (
        "engine.policy",
        ("engine.core", "cel_expr_python", "google.protobuf", "pydantic", "pydantic_core",
         "typing_extensions", "yaml"),
    ),
    (
        "engine.inputs",
        ("engine.core", "engine.ports", "cvss", "defusedxml", "packageurl", "univers"),
    ),
    ("engine.evidence", ("engine.core", "cryptography")),
    ("engine.ports", ("engine.core",)),
    ("engine.fleet", ("engine.core", "engine.ports")),
    (
        "engine.adapters",
        ("engine.core", "engine.ports", "engine.fleet", "engine.inputs", "engine.redact", "httpx"),
    ),
    ("engine.home", ("engine.core",)),
    ("engine.keystore", ("engine.core", "engine.evidence", "cryptography")),
    # The settings' own files; `engine.policy.problems` gives places in YAML.
    (
        "engine.settings",
        ("engine.core", "engine.evidence", "engine.home", "engine.policy", "engine.slo", "pydantic",
         "pydantic_core", "yaml"),
    ),
    ("engine.homes", ("engine.core", "engine.keystore", "engine.settings")),
    ("engine.attestations", (*_SHELL, "engine.evidence", "engine.inputs")),
    ("engine.blob_folder", ("engine.core",)),
    ("engine.child", ("engine.core",)),
    ("engine.feeds", (*_SHELL, "engine.adapters", "engine.child", "engine.evidence",
                      "engine.inputs")),
    ("engine.integrations.depends", ("engine.core", "engine.settings")),
    ("engine.integrations", (*_SHELL, "engine.live_text", "engine.rescans", "engine.worker")),
    ("engine.rescans", (*_SHELL, "engine.blob_folder", "engine.child", "engine.environments",
                        "engine.gate_eval", "engine.inputs", "engine.policy")),
    ("engine.gate_eval", (*_SHELL, "engine.policy", "engine.inputs")),
    ("engine.verdicts", (*_SHELL, "engine.policy", "engine.inputs")),
    # What seals holds keys and bytes; the evidence room itself stays pure.
    ("engine.drafting", (*_SHELL, "engine.evidence", "engine.policy", "engine.story")),
    ("engine.witness", ("engine.core", "engine.evidence", "engine.keystore")),
    ("engine.log_tiles", ("engine.core", "engine.evidence")),
    ("engine.log_check", ("engine.core", "engine.evidence", "cryptography")),
    ("engine.transparency", (*_SHELL, "engine.evidence", "engine.keystore", "engine.log_tiles",
                             "engine.witness", "cryptography")),
    ("engine.logbook", (*_SHELL, "engine.evidence", "engine.keystore", "engine.log_check",
                        "engine.log_tiles", "engine.transparency", "engine.witness")),
    ("engine.rotation", (*_SHELL, "engine.keystore", "engine.logbook", "engine.transparency")),
    ("engine.packing", (*_SHELL, "engine.evidence", "engine.keystore", "engine.story",
                        "cryptography")),
    ("engine.sealing", (*_SHELL, "engine.drafting", "engine.evidence", "engine.keystore",
                        "engine.packing", "engine.story", "engine.transparency")),
    ("engine.acquiring", (*_SHELL, "engine.env_guard", "engine.starting")),
    ("engine.starting", (*_SHELL, "engine.env_guard")),
    ("engine.scheduling", (*_SHELL, "engine.admission")),
    ("engine.again", (*_SHELL, "engine.gate_eval", "engine.policy")),
    ("engine.service", (*_SHELL, "engine.admission", "engine.again")),
    ("engine.admitting", (*_SHELL, "engine.services")),
    ("engine.runner", (*_SHELL, "engine.acquiring", "engine.again", "engine.approvers",
                       "engine.env_guard", "engine.gate_eval", "engine.going_back",
                       "engine.sealing", "engine.settling", "engine.starting", "engine.watch")),
    ("engine.worker", (*_SHELL, "apscheduler")),
    ("engine.orchestrator", (*_SHELL, "engine.feeds", "engine.rescans", "engine.worker")),
    ("engine.vitals", (*_SHELL, "engine.integrity", "engine.logbook", "engine.worker",
                       "data.queries", "duckdb")),
    ("engine.approving", (*_SHELL, "engine.findings", "engine.inputs", "engine.live",
                          "engine.policy")),
    ("engine.archiving", ("engine.core",)),
    ("engine.environments", (*_SHELL, "engine.freezing")),
    ("engine.freezing", (*_SHELL, "engine.admission")),
    ("engine.waiver_register", ("engine.core", "engine.ports")),
    ("engine.waiving", (*_SHELL, "engine.admission", "engine.inputs")),
    ("engine.hooks", (*_SHELL, "engine.adapters", "engine.freezing", "engine.service",
                      "engine.story", "engine.troubles", "engine.waiving")),
    ("engine.troubles", (*_SHELL, "engine.integrity", "engine.rescans", "engine.worker")),
    ("engine.integrity", (*_SHELL, "engine.evidence", "data.queries", "duckdb")),
    ("engine.drilling", ("engine.core", "engine.evidence", "engine.ports")),
    ("engine.retention", ("engine.core", "engine.ports", "engine.recording")),
    ("engine.live", (*_SHELL, "engine.story", "data.queries")),
    ("engine.trail", (*_SHELL, "data.queries", "data.tables", "data.trail", "duckdb", "polars")),
    ("engine.story", ("engine.core",)),
    ("engine.findings", ("engine.core", "engine.inputs", "engine.policy", "engine.ports",
                         "engine.verdicts")),
    ("engine.replaying", (*_SHELL, "engine.blob_folder", "engine.environments", "engine.evidence",
                          "engine.gate_eval", "engine.gate_replay", "engine.inputs",
                          "engine.packing", "engine.policy", "engine.service", "data.queries")),
    ("engine.blocking", (*_SHELL, "engine.blob_folder", "engine.policy", "engine.replaying",
                         "data.queries")),
    # What an auditor reads: nothing here signs, records or decides.
    ("engine.audit", ("engine.core", "engine.evidence", "engine.ports", "engine.services",
                      "data.queries", "cryptography")),
    ("engine.services", (*_SHELL, "engine.approving",
                         "engine.archiving", "engine.blocking", "engine.feeds",
                         "engine.freezing", "engine.hooks", "engine.integrations",
                         "engine.integrity", "engine.live",
                         "engine.policy_book", "engine.logbook", "engine.orchestrator",
                         "engine.replaying",
                         "engine.rescans", "engine.retention",
                         "engine.runner", "engine.scheduling", "engine.sealing",
                         "engine.service", "engine.vitals", "engine.waiving",
                         "engine.worker", "engine.fleet", "data.store")),
    ("engine.wiring", ("engine", "data.restore", "data.store", "data.queries")),
    (
        "engine.api",
        (*_SHELL, "engine.admitting", "engine.approving",
         "engine.backtest", "engine.blocking", "engine.drilling", "engine.environments",
         "engine.feeds", "engine.findings", "engine.freezing", "engine.gate_replay", "engine.hooks",
         "engine.integrations", "engine.integrity", "engine.live", "engine.orchestrator",
         "engine.policy", "engine.policy_book",
         "engine.replaying", "engine.rescans", "engine.scheduling", "engine.service",
         "engine.services", "engine.story", "engine.waiving", "engine.wiring", "engine.home",
         "data.queries",
         "data.codec", "data.tables", "fastapi", "pydantic", "starlette", "streamlit",
         "typing_extensions", "uvicorn"),
    ),
    ("engine.cli", ("engine", "data.queries", "click", "httpx")),
    ("engine.demo", ("engine", "cyclonedx", "packageurl", "httpx")),
    ("engine.__main__", ("engine.cli",)),
    ("engine", _SHELL),
    ("data.queries", ("data", "engine.core", "duckdb", "polars")),
    ("data", ("engine.core", "engine.ports", "duckdb", "polars")),
    ("pages.ui.session", ("engine.wiring", "engine.api.cookies", "engine.asker", "engine.core",
                          "engine.services", "engine.trail", "pages.ui", "streamlit")),
    (
        "pages.ui",
        ("engine.admitting", "engine.child", "engine.core", "engine.ports", "engine.approving",
         "engine.audit", "engine.drilling", "engine.environments", "engine.evidence",
         "engine.feeds", "engine.findings", "engine.hooks",
         "engine.identity", "engine.integrations",
         "engine.live", "engine.orchestrator", "engine.policy", "engine.rescans",
         "engine.scheduling", "engine.service", "engine.services", "engine.story",
         "engine.time_zones", "engine.trail", "engine.worker",
         "data.queries", "streamlit", "plotly", "polars", "duckdb"),
    ),
    ("pages.releases", ("pages.ui", "engine.core", "engine.environments", "engine.services",
                        "data.queries", "streamlit")),
    ("pages.insights", ("pages.ui", "engine.backtest", "engine.core", "engine.policy",
                        "engine.services", "data.queries", "streamlit")),
    ("pages.operations", ("pages.ui", "engine.admitting", "engine.core", "engine.feeds",
                          "engine.hooks",
                          "engine.integrations", "engine.orchestrator", "engine.rescans",
                          "engine.services", "data.queries", "streamlit")),
    ("pages.evidence", ("pages.ui", "engine.asker", "engine.audit", "engine.core",
                        "engine.drilling", "engine.findings", "engine.services", "engine.trail",
                        "data.queries", "streamlit")),
    ("pages", ("pages.ui", "engine.core", "engine.services", "data.queries", "streamlit")),
    ("app", ("engine.api", "pandas", "plotly", "streamlit")),
)  # fmt: skip

# The one composition root, and who may ask for it: the way in of each door.
WIRING_USERS = ("app", "engine.api", "engine.cli", "engine.demo", "pages.ui.session")

# The core takes time, chance and I/O as arguments.
NOT_IN_CORE = {
    "asyncio", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip

# A forked server's children inherit its listening socket, and a pool forked after boot hangs.
FORKS = {"os.fork", "os.forkpty", "pty.fork"}
POOLS = {"multiprocessing.Process", "multiprocessing.Pool", "multiprocessing.Manager",
         "multiprocessing.Queue"}  # fmt: skip

Sources = Mapping[str, str]


@functools.cache
def house() -> Sources:
    """Module name to source, of everything that ships."""
    files = [ROOT / "app.py"]
    for room in ("engine", "data", "pages"):
        files += sorted((ROOT / room).rglob("*.py"))
    return {module_name(f.relative_to(ROOT)): f.read_text() for f in files if f.exists()}


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def under(module: str, prefix: str) -> bool:
    # `engine.settings` covers engine.settings_read: a room that grew into several files.
    return module == prefix or module.startswith((f"{prefix}.", f"{prefix}_"))


def imports(source: str, known: Iterable[str] = ()) -> Iterator[str]:
    """Everything that a source imports, anywhere in it; modules of `known` by their full name."""
    names = set(known)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(level=0, module=str(module), names=aliases):
                inner = [f"{module}.{alias.name}" for alias in aliases]
                modules = [name for name in inner if name in names]
                yield from modules
                if len(modules) < len(inner):
                    yield module
            case ast.ImportFrom(level=level) if level > 0:
                yield "." * level


def import_problems(sources: Sources) -> list[str]:
    problems = []
    for module, source in sources.items():
        rule = next((row for row in MAY_IMPORT if under(module, row[0])), None)
        for name in sorted(set(imports(source, sources))):
            if name.startswith("."):
                problems.append(f"{module} imports relatively")
                continue
            if name.split(".")[0] in sys.stdlib_module_names:
                continue
            if rule is None:
                problems.append(f"{module} has no line in the table, and imports {name}")
            elif not any(under(name, prefix) for prefix in (rule[0], *rule[1])):
                problems.append(f"{module} may not import {name}")
    return problems


def wiring_problems(sources: Sources) -> list[str]:
    return [
        f"{module} may not import engine.wiring"
        for module, source in sources.items()
        if "engine.wiring" in imports(source, sources)
        and not any(under(module, user) for user in WIRING_USERS)
    ]


def core_problems(sources: Sources) -> list[str]:
    problems = []
    for module, source in sources.items():
        if not under(module, "engine.core"):
            continue
        problems += [
            f"{module} imports {name}: the core takes that as an argument"
            for name in sorted(set(imports(source)))
            if name.split(".")[0] in NOT_IN_CORE
        ]
        problems += [
            f"{module}:{node.lineno} calls {node.func.id}()"
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"open", "print", "input", "exec", "eval"}
        ]
    return problems


def cycles(sources: Sources) -> list[list[str]]:
    """Groups of modules that import each other, each sorted; what only types need counts too."""
    graph = {
        module: {n for n in imports(source, sources) if n in sources and n != module}
        for module, source in sources.items()
    }
    reach: dict[str, set[str]] = {}

    def reachable(module: str) -> set[str]:
        if module not in reach:
            seen: set[str] = set()
            todo = list(graph[module])
            while todo:
                found = todo.pop()
                if found not in seen:
                    seen.add(found)
                    todo += graph[found]
            reach[module] = seen
        return reach[module]

    groups = {
        tuple(sorted({m for m in reachable(module) if module in reachable(m)}))
        for module in graph
        if module in reachable(module)
    }
    return [list(group) for group in sorted(groups)]


def length_problems(sources: Sources) -> list[str]:
    problems = []
    for module, source in sources.items():
        lines = source.count("\n")
        if lines >= LINES_MAX:
            problems.append(f"{module} has {lines} lines, expected fewer than {LINES_MAX}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                long = (node.end_lineno or 0) - node.lineno + 1
                if long >= FUNCTION_LINES_MAX:
                    problems.append(f"{module}.{node.name} has {long} lines")
    return problems


def word_problems(sources: Sources) -> list[str]:
    banned = {
        r"\b(TODO|FIXME|XXX|HACK)\b": "an open end",
        r"unsafe_allow_javascript": "scripts in a page",
        r"[\"'(= ]/(home|root|tmp|work)/\w": "a path of one machine",
    }
    return [
        f"{module}:{number}: {why}"
        for module, source in sources.items()
        for number, line in enumerate(source.splitlines(), 1)
        for pattern, why in banned.items()
        if re.search(pattern, line)
    ]


def fork_problems(sources: Sources) -> list[str]:
    """Forks, and pools or processes without an explicit start method."""
    problems = []
    for module, source in sources.items():
        tree = ast.parse(source)
        aliases = dict(_aliases(tree))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = _dotted(node.func, aliases)
            keywords = {k.arg for k in node.keywords}
            method = [a.value for a in node.args if isinstance(a, ast.Constant)]
            where = f"{module}:{node.lineno}"
            if name in FORKS or name in POOLS:
                problems.append(f"{where} calls {name}")
            elif name == "concurrent.futures.ProcessPoolExecutor" and "mp_context" not in keywords:
                problems.append(f"{where}: a process pool without mp_context forks")
            elif name.endswith((".get_context", ".set_start_method")) and method != ["spawn"]:
                problems.append(f"{where}: expected the start method 'spawn'")
            elif "preexec_fn" in keywords:
                problems.append(f"{where}: preexec_fn runs between fork and exec")
    return problems


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((a.asname or a.name, a.name) for a in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((a.asname or a.name, f"{module}.{a.name}") for a in names)


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str:
    match node:
        case ast.Attribute(value=value, attr=attr):
            return f"{_dotted(value, aliases)}.{attr}"
        case ast.Name(id=name):
            return aliases.get(name, name)
        case _:
            return "?"


def cel_problems(sources: Sources) -> list[str]:
    """CEL can fail open: one wrapper evaluates, and nobody else holds an engine at all."""
    engines = {"cel_expr_python", "common_expression_language", "cel", "celpy"}
    return [
        f"{module} imports {name}: only engine.policy.cel evaluates, and crosscheck compares"
        for module, source in sources.items()
        if module not in {"engine.policy.cel", "engine.policy.crosscheck"}
        for name in imports(source)
        if name.split(".")[0] in engines
    ]


def test_the_house_is_all_there() -> None:
    assert {"app", "engine.core.run", "engine.runner", "data.store", "pages.console"} <= set(
        house()
    )


def test_imports_run_one_way() -> None:
    assert import_problems(house()) == []


def test_only_doors_ask_for_the_wiring() -> None:
    assert wiring_problems(house()) == []


def test_the_core_is_pure() -> None:
    assert core_problems(house()) == []


def test_there_are_no_cycles() -> None:
    assert cycles(house()) == []


def test_files_and_functions_are_short() -> None:
    assert length_problems(house()) == []


def test_nothing_is_left_open() -> None:
    assert word_problems(house()) == []


def test_nothing_forks() -> None:
    assert fork_problems(house()) == []


def test_one_place_evaluates_cel() -> None:
    assert cel_problems(house()) == []


def test_every_line_of_the_table_is_used() -> None:
    unused = {prefix for prefix, _ in MAY_IMPORT}
    for module in house():
        unused.discard(next((p for p, _ in MAY_IMPORT if under(module, p)), ""))
    assert unused == set()
