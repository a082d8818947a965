"""The process that one sync runs in: unpacking and reading a bulk feed would stop every thread of
the server for seconds. `python -m engine.feeds_child`, started by `engine.feeds_process`.

It reads its job from standard input, which stays open: its end means that the server is gone, and
then this process ends too. It writes a line of JSON for progress, and one for the outcome.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any, Final

from engine.core.errors import Malformed, ReleaselineError, Unverified
from engine.feeds_job import Job
from engine.feeds_take import take

_TELL_EVERY_S: Final = 0.2


def main() -> None:
    line = sys.stdin.readline()
    threading.Thread(target=_leave_with_the_server, daemon=True).start()
    job = Job.read(line)
    told_s = 0.0

    def tell(what: str, done: int, of: int, unit: str) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            _say({"progress": [what, done, of, unit]})

    try:
        _say({"taken": take(job, tell).document()})
    except Unverified as error:
        _say({"failed": str(error), "code": "unverified"})
    except Malformed as error:
        _say({"failed": str(error), "code": "malformed"})
    except ReleaselineError as error:
        _say({"failed": str(error), "code": "unreachable"})
    except OSError as error:
        said = f"{error.filename or 'the disk'}: {error.strerror}"
        _say({"failed": said, "code": "unreachable"})
    except MemoryError:
        _say({"failed": "it is larger than the memory of this machine", "code": "malformed"})


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _leave_with_the_server() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
