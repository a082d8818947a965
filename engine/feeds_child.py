"""The process that one sync runs in: unpacking and reading a bulk feed would stop every thread of
the server for seconds. `python -m engine.feeds_child`, started by `engine.feeds_process`.
"""

from __future__ import annotations

from engine.child import say, teller, work
from engine.core.errors import Malformed, ReleaselineError, Unverified
from engine.feeds_job import Job
from engine.feeds_take import take


def main() -> None:
    job = Job.read(work())
    try:
        say({"taken": take(job, teller()).document()})
    except Unverified as error:
        say({"failed": str(error), "code": "unverified"})
    except Malformed as error:
        say({"failed": str(error), "code": "malformed"})
    except ReleaselineError as error:
        say({"failed": str(error), "code": "unreachable"})
    except OSError as error:
        said = f"{error.filename or 'the disk'}: {error.strerror}"
        say({"failed": said, "code": "unreachable"})
    except MemoryError:
        say({"failed": "it is larger than the memory of this machine", "code": "malformed"})


if __name__ == "__main__":
    main()
