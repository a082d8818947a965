"""The redactor's cost per log line, beside what Python's logging costs for the same line.

Run `python benchmarks/redact.py`. Only CPU time and the ratio count on a busy machine.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.redact import Redactor

LINES: Final = (
    "eu-prod-03 switch: sha256:5b0a00000000 to sha256:beef00000000, drained in 52 ms",
    "input DB_PASSWORD resolved from vault:kv/eu-prod#db 3",
    "127.0.0.1 - GET /api/v1/runs/run-12/events HTTP/1.1 200",
    "feed NVD 0c1d2e3f4a5b is 1200 s old; see https://nvd.nist.gov/vuln/detail/CVE-2024-3651",
)
ROUNDS: Final = 5_000


def cost_us(do: Callable[[str], object]) -> float:
    """CPU microseconds per line, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(ROUNDS):
            for line in LINES:
                do(line)
        best = min(best, time.process_time() - began)
    return best / (ROUNDS * len(LINES)) * 1e6


def main() -> None:
    logger = logging.Logger("benchmark")
    sink = Path(os.devnull).open("w")  # noqa: SIM115
    handler = logging.StreamHandler(sink)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(handler)
    bare_us = cost_us(logger.info)
    print(f"load average {os.getloadavg()[0]:.1f}; logging a line: {bare_us:.1f} us of CPU")
    for values in (0, 10, 100):
        redactor = Redactor()
        for _ in range(values):
            redactor.learn(secrets.token_urlsafe(24))
        us = cost_us(redactor.text)
        print(f"{values:>4} values known: {us:6.2f} us a line, {us / bare_us:.2f} of logging it")


if __name__ == "__main__":
    main()
