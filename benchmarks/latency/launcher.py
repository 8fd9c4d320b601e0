"""Starts one program and prints how long it ran and how much memory it took.

Run as a program of its own, `python -I -S launcher.py PROGRAM ARGUMENT...`, because Linux counts
the memory of a parent as memory of the process it starts: a parent with a large network
would be measured instead. This one is smaller than anything that it starts.
"""

import json
import os
import sys
import time


def main(command: list[str]) -> None:
    """Run a command to its end; its output is not kept."""
    silence = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=silence)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak, "code": code}))


if __name__ == "__main__":
    main(sys.argv[1:])
