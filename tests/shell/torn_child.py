"""Dies over its answer, as a process does that the system kills."""

from __future__ import annotations

import os
import sys

from engine.child import say, work

work()
say({"whole": 1})
sys.stdout.write('{"torn": ')
sys.stdout.flush()
os._exit(9)
