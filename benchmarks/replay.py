"""Replays at scale: how fast recorded verdicts are asked again, and their numbers read.

    python benchmarks/replay.py [--verdicts N] [--replays N] [--jobs N]

A home is filled with verdicts of the shipped policy on inputs of 17 kB, 50 to a bundle, at another
minute each. Beside every rate stands the bare engine: one compiled expression on the same input,
without reading, hashing or comparing anything. The processor's time is told where it says more than
the wall's on a busy machine. `--verdicts 100000` takes some minutes to fill.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data import queries_replays
from data.store import Store
from engine.adapters.clock_system import SystemClock
from engine.adapters.feeds_dir import FeedsDir
from engine.blob_folder import BlobFolder
from engine.core.approvals import Actor
from engine.core.digest import Digest
from engine.core.replays import Depth, ReplayAsk, ReplayMode
from engine.core.rows import VerdictRow
from engine.core.statemachine import Role
from engine.policy.capsule import seal_capsule
from engine.policy.cel import evaluate
from engine.policy.compile import CompiledPolicy, compile_policy
from engine.policy.document import GateInput, gate_input, input_digest
from engine.policy.evaluate import base_names, bind_variables, evaluate_policy
from engine.policy.hostloop import HostLoop
from engine.policy.identity import identity
from engine.policy.model import load_policy
from engine.replaying import Replaying
from engine.replaying_pool import ReplayPool
from engine.replaying_work import Item, Task, Worker
from engine.replaying_worker import rarely_collect
from engine.service import Asker
from engine.verdicts import PolicyDesk

EXAMPLES: Final = Path(__file__).resolve().parents[1] / "examples"
INPUT_BYTES: Final = 17_000
PER_BUNDLE: Final = 50
DAY_US: Final = 86_400_000_000

FILL: Final = f"""
INSERT INTO replays
SELECT 1000000 + i, 1, $now_us - i * 400000,
       CASE WHEN i % 1000 = 0 THEN 'FAILED' ELSE 'COMPLETED' END,
       'VERDICT', 'verdict-' || (1 + i % $verdicts), 'run-' || (1 + i % 400), 'eu-prod', 'VERIFY',
       'SHALLOW', CASE WHEN i % 1000 = 0 THEN '' WHEN i % 997 = 0 THEN 'MISMATCH' ELSE 'MATCH' END,
       CASE WHEN i % 997 = 0 THEN 'INPUT_MISSING' ELSE '' END, '', 'PASS again',
       $now_us - (i % 90) * {DAY_US}, 'PASS', 'PASS', sha256(CAST(i % $verdicts AS VARCHAR)), '',
       'sha256:' || sha256(CAST(i % 12 AS VARCHAR)), '', 'cel-cpp/0.1.' || (i % 3), '', 'combined',
       '', 700, ''
  FROM range($replays) r(i)
"""  # noqa: S608 (constants)
REQUESTS: Final = """
INSERT INTO replay_requests
SELECT n, ts_us, 'dora', 'bench', mode, depth, subject, run_id, environment, '', 1 FROM replays
 WHERE n >= 1000000
"""
COUNTS: Final = f"""
INSERT INTO replay_counts
SELECT kind, mode, status, result, cause, environment, policy, engine, form, crosscheck,
       CAST(decided_us // {DAY_US} AS INTEGER), CAST(ts_us // {DAY_US} AS INTEGER), count(*)
  FROM replays WHERE n >= 1000000 GROUP BY ALL
"""  # noqa: S608 (constants)


def main() -> None:
    parser = argparse.ArgumentParser(description="Replays at scale.")
    parser.add_argument("--verdicts", type=int, default=5_000)
    parser.add_argument("--replays", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="rl-bench-replay-") as folder:
        home = Path(folder)
        store = Store.open(home, clock=SystemClock())
        try:
            compiled = compile_policy(policy())
            base = bare(compiled)
            items = fill(store, home, compiled, given.verdicts)
            in_one_process(home, items, base)
            what_if(store, home, given.jobs, given.verdicts)
            numbers(store, home, given.replays, given.verdicts)
        finally:
            store.close()


def policy(**thresholds: int) -> Any:
    config = json.loads((EXAMPLES / "release-gate.config.json").read_text())
    config["thresholds"] |= thresholds
    return load_policy((EXAMPLES / "release-gate.yaml").read_bytes(), json.dumps(config).encode())


def case(bundle: int, minute: int = 0) -> dict[str, Any]:
    """An input of 17 kB: packages of its own for each bundle, a clock for each minute."""
    document: dict[str, Any] = copy.deepcopy(_CASE)
    template = document["components"][0]
    while len(json.dumps(document)) < INPUT_BYTES:
        n = len(document["components"])
        document["components"].append(
            {**template, "purl": f"pkg:pypi/lib{n}@{bundle}.{n}", "name": f"lib{n}"}
        )
    document["clock"]["evaluated_at_s"] += minute * 60
    return document


_CASE: Final = json.loads((EXAMPLES / "release-gate.input.json").read_text())


def rate(call: Callable[[], object], seconds: float = 2.0) -> float:
    """Calls per second of processor time of this process."""
    done, began_s = 0, time.process_time()
    while time.process_time() - began_s < seconds:
        call()
        done += 1
    return done / (time.process_time() - began_s)


def bare(compiled: CompiledPolicy) -> float:
    given = gate_input(case(1))
    names, _ = bind_variables(
        compiled, base_names(compiled, given), HostLoop(compiled.programs, 1 << 62)
    )
    program, bound = (
        compiled.programs.of(compiled.combined),
        names.bindings(compiled.programs.facts(compiled.combined)),
    )
    base = rate(lambda: evaluate(program, bound))
    print(f"\n{'in one process, 17 kB inputs':<44}{'per cpu s':>10}{'x bare':>8}")
    print(f"{'bare engine, combined expression':<44}{base:>10,.0f}{1.0:>8.2f}")
    whole = rate(lambda: evaluate_policy(compiled, given))
    print(f"{'evaluate_policy, checked input at hand':<44}{whole:>10,.0f}{whole / base:>8.2f}")
    return base


def fill(store: Store, home: Path, compiled: CompiledPolicy, count: int) -> list[Item]:
    began_s, began_us = time.perf_counter(), SystemClock().now_us()
    put = _Put(home / "blobs")
    rows: list[VerdictRow] = []
    items: list[Item] = []
    capsules = 0
    for n in range(1, count + 1):
        if n % PER_BUNDLE == 1:
            given = gate_input(case(n // PER_BUNDLE))
            for part in (compiled.policy.blob, *given.blobs.values()):
                put(part)
        given = later(given)
        evaluation = evaluate_policy(compiled, given)
        capsule = seal_capsule(
            verdict_id=f"verdict-{n}", run=f"run-{1 + n % 400}", step="gate-eval",
            policy=compiled.policy, given=given, evaluation=evaluation, identity=identity(),
            matcher="rl-match/1", raw={},
        )  # fmt: skip
        put(capsule.blob)
        capsules += len(capsule.blob)
        verdict = evaluation.verdict
        item = Item(
            verdict_id=f"verdict-{n}", capsule=Digest.of(capsule.blob), recorded=verdict.digest
        )
        items.append(item)
        rows.append(
            VerdictRow(
                verdict_id=item.verdict_id, run_id=f"run-{1 + n % 400}", step="gate-eval",
                attempt=n, ts_us=began_us - n * 1_000_000, decision=verdict.decision,
                warn=verdict.warn, fail=verdict.fail, error=verdict.error,
                verdict=str(verdict.digest), policy=str(verdict.policy),
                policy_input=str(verdict.input), capsule=str(item.capsule),
            )
        )  # fmt: skip
        if len(rows) == 1_000 or n == count:
            store.record(rows)
            rows = []
    body = json.dumps({"run_id": "run-1", "bundle": "sha256:0", "bundle_name": "shop"})
    with store._shelf.filling() as database, database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO projections SELECT i, 'runs', i, 'eu-prod', 'SUCCEEDED', ? "
            "FROM range(1, 401) r(i)",
            [body],
        )
    cursor = store.cursor()
    cursor.execute("CHECKPOINT")
    size = cursor.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchall()
    print(
        f"\n{count:,} verdicts filled in {time.perf_counter() - began_s:.0f} s; of each "
        f"{size[0][0] / count:,.0f} bytes in the database, {capsules / count:,.0f} of its capsule, "
        f"{put.parts / count - capsules / count:,.0f} of parts that are its alone"
    )
    return items


def later(given: GateInput) -> GateInput:
    """The same facts a minute later; nothing of them is checked or hashed again."""
    clock = {"evaluated_at_s": given.now_s + 60}
    return replace(
        given,
        document={**given.document, "clock": clock},
        digest=input_digest(clock, given.refs),
    )


class _Put:
    """Blobs as the store lays them out, without waiting for the disk after each."""

    def __init__(self, root: Path) -> None:
        self._root, self.parts = root, 0
        self._known: set[Digest] = set()

    def __call__(self, content: bytes) -> None:
        digest = Digest.of(content)
        if digest in self._known:
            return
        self._known.add(digest)
        place = self._root / digest.hex[:2] / digest.hex
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        self.parts += len(content)


def in_one_process(home: Path, items: list[Item], base: float) -> None:
    rarely_collect()  # as a worker does
    worker = Worker(BlobFolder(home / "blobs"))
    task = Task(items=tuple(items[:3_000]), mode=ReplayMode.VERIFY, depth=Depth.SHALLOW)
    began_s = time.process_time()
    answers = worker.work(task)
    found = len(answers) / (time.process_time() - began_s)
    assert all(one.result == "MATCH" for one in answers)
    print(f"{'replay, 50 verdicts to a bundle':<44}{found:>10,.0f}{found / base:>8.2f}")
    alone = tuple(items[::PER_BUNDLE][:300])
    worker = Worker(BlobFolder(home / "blobs"))
    worker.work(Task(items=alone[:1], mode=ReplayMode.VERIFY, depth=Depth.SHALLOW))
    began_s = time.process_time()
    worker.work(Task(items=alone[1:], mode=ReplayMode.VERIFY, depth=Depth.SHALLOW))
    found = (len(alone) - 1) / (time.process_time() - began_s)
    print(f"{'replay, every input another':<44}{found:>10,.0f}{found / base:>8.2f}")


def door(store: Store, home: Path, pool: ReplayPool) -> Replaying:
    clock = SystemClock()
    return Replaying(
        store=store,
        clock=clock,
        desk=PolicyDesk(policies={}, feeds=FeedsDir(home / "feeds"), blobs=store.blobs,
                        clock=clock),
        pool=pool,
        actor=lambda asker, _: Actor(
            user=asker.user, roles=frozenset({Role.AUDITOR}), service=False
        ),
        environments=("eu-prod",),
    )  # fmt: skip


def what_if(store: Store, home: Path, jobs: int, count: int) -> None:
    candidate = policy(runtime_reach_warn_bp=0, sbom_fail_s=3_600)
    for mode in (ReplayMode.VERIFY, ReplayMode.WHAT_IF):
        pool = ReplayPool(home / "blobs", jobs=jobs)
        replaying = door(store, home, pool)
        chosen = None
        if mode is ReplayMode.WHAT_IF:
            chosen = replaying.candidate(
                json.dumps(dict(candidate.document)).encode(),
                json.dumps(candidate.config).encode(),
            )
        ask = ReplayAsk(scope="all", reason="bench", mode=mode, policy=chosen)
        began_s, began = time.perf_counter(), cpu()
        request = replaying.request(ask, Asker(user="dora"))
        done = replaying.wait(request.n, 3_600)
        took_s = time.perf_counter() - began_s
        pool.stop()
        server_s, workers_s = (now - then for now, then in zip(cpu(), began, strict=True))
        told = f"{done.matching + done.same:,} same, {done.flipped:,} flips"
        print(
            f"{mode.value}, everything, {jobs} processes: {count:,} in {took_s:.1f} s "
            f"({count / took_s:,.0f}/s), {told}, recorded; load {os.getloadavg()[0]:.1f}; "
            f"processor: workers {workers_s:.1f} s, server {server_s:.1f} s"
        )
    began_s = time.perf_counter()
    flips = replaying.flips(request.n)
    print(f"  {len(flips):,} changes read back in {time.perf_counter() - began_s:.1f} s")


def cpu() -> tuple[float, float]:
    """Processor seconds of this process, and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    mine, theirs = (one.ru_utime + one.ru_stime for one in used)
    return mine, theirs


def numbers(store: Store, home: Path, replays: int, verdicts: int) -> None:
    now_us = SystemClock().now_us()
    with store._shelf.filling() as database, database.transaction() as cursor:
        cursor.execute(FILL, {"now_us": now_us, "replays": replays, "verdicts": verdicts})
        cursor.execute(REQUESTS)
        cursor.execute(COUNTS)
    store.cursor().execute("CHECKPOINT")
    store.close()
    store = Store.open(home, clock=SystemClock())
    pool = ReplayPool(home / "blobs", jobs=1)
    replaying = door(store, home, pool)
    replaying.recover()  # as a server does when it starts
    asked: dict[str, Callable[[], object]] = {
        "bare count of replays": lambda: (
            store.cursor().execute("SELECT count(*), count(DISTINCT subject) FROM replays")
        ).fetchall(),
        "determinism, everything": replaying.determinism,
        "determinism of a run": lambda: replaying.determinism(run_id="run-7"),
        "replays, the newest 50": lambda: queries_replays.replays(store.cursor()),
        "replays of a run": lambda: queries_replays.replays(store.cursor(), run_id="run-7"),
    }
    print(f"\n{replays:,} replays\n{'read':<30}{'p50 ms':>10}{'p95 ms':>10}{'cpu ms':>10}")
    for name, call in asked.items():
        took, cpu = [], []
        for _ in range(15):
            began_s, cpu_s = time.perf_counter(), time.process_time()
            call()
            took.append((time.perf_counter() - began_s) * 1_000)
            cpu.append((time.process_time() - cpu_s) * 1_000)
        p50, p95 = statistics.median(took), sorted(took)[-2]
        print(f"{name:<30}{p50:>10.0f}{p95:>10.0f}{statistics.median(cpu):>10.0f}")
    pool.stop()
    store.close()


if __name__ == "__main__":
    main()
