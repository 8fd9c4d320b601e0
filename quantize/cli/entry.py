"""The program ``eightbit``: runs a command and returns its exit code.

Exit codes: 0 done; 1 a gate failed; 2 bad input or usage, or a process that runs a model died, in
one line; 130 interrupted. A traceback is a bug.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import Final

import typer

from eightbit.benchmarks.processes.process import WorkerCrashError, with_short_spins
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.quantize.cli.quantize import app

# A message that names long paths keeps its beginning, where, and its end, what to do.
_HEAD: Final = 280
_TAIL: Final = 190


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `arguments`, or the command line of the process if None; returns the exit code."""
    try:
        code = app(args=arguments, prog_name="eightbit", standalone_mode=False)
    except (InputError, typer.TyperException) as exc:
        message = exc.format_message() if isinstance(exc, typer.TyperException) else str(exc)
        if message:  # there is none where the help was all there is to say
            _say(message)
        return 2
    except WorkerCrashError as exc:
        # Notes say how the work can be continued.
        _say("; ".join([exc.in_short, exc.todo, *getattr(exc, "__notes__", ())]))
        return 2
    except typer.Abort:
        _say("aborted")
        return 130
    return code if isinstance(code, int) else 0


def run() -> None:
    """The entry point of the installed command."""
    os.environ.update(with_short_spins(os.environ))
    # torch's C++ says once more, on stderr, which of its types are deprecated.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a letter of a class name shows a question mark instead.
            stream.reconfigure(errors="replace")
    sys.exit(main())


def _say(message: str) -> None:
    line = one_line(message, limit=len(message) * 10)
    if len(line) > _HEAD + _TAIL:
        line = f"{line[:_HEAD]} ... {line[-_TAIL:]}"
    print(f"eightbit: {line}", file=sys.stderr)
