"""
`python benchmarks/timed.py OUT COMMAND …`: run it, its output into OUT, and print what it took as JSON.

A small process of its own: the kernel counts into a child's peak memory what its parent had when it was forked.
"""

import json
import os
import subprocess
import sys
import time

with open(sys.argv[1], "wb") as out:  # noqa: PTH123  # pathlib alone would double this process
    began = time.monotonic()
    child = subprocess.Popen(sys.argv[2:], stdout=out)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.monotonic() - began
cost = {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": wall_s, "peak_mib": usage.ru_maxrss / 1024}
print(json.dumps({"exit_code": os.waitstatus_to_exitcode(status), "cost": cost}))
