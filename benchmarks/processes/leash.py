"""Runs one program, and ends it and all it started once whoever started this one is gone.

Run as a program of its own, `python -I -S leash.py PROGRAM ARGUMENT...`, with a pipe as standard
input whose other end the starter holds; see `leashed.run_leashed`. It ends as the program does.
"""

import os
import select
import signal
import sys
from threading import Thread

_CANNOT_RUN = 127  # as a shell tells it


def main(command: list[str]) -> int:
    """Run a command to its end; returns its exit code, or ends by the signal that ended it."""
    nothing_to_read = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    starter = os.dup(0)
    try:
        pid = os.posix_spawn(
            command[0], command, os.environ, file_actions=nothing_to_read, setpgroup=0
        )
    except OSError as exc:
        print(exc, file=sys.stderr)
        return _CANNOT_RUN
    Thread(target=_end_after, args=(starter, pid), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _end_after(starter: int, group: int) -> None:
    hang_up = select.poll()
    hang_up.register(starter, 0)  # what is always told: that the other end is closed
    hang_up.poll()
    os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
