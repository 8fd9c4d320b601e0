"""The program ``eightbit``: runs a command and returns its exit code.

Exit codes: 0 done; 1 a gate failed; 2 bad input or usage, or a process that runs a model died, in
one line; 130 interrupted. A traceback is a bug.
"""

import io
import os
import sys
from collections.abc import Sequence

import typer

from eightbit.benchmarks.processes.process import WorkerCrashError, with_short_spins
from eightbit.models.errors import InputError
from eightbit.quantize.cli.quantize import app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `arguments`, or the command line of the process if None; returns the exit code."""
    try:
        code = app(args=arguments, prog_name="eightbit", standalone_mode=False)
    except (InputError, typer.TyperException) as exc:
        message = exc.format_message() if isinstance(exc, typer.TyperException) else str(exc)
        if message:  # there is none where the help was all there is to say
            print(f"eightbit: {' '.join(message.split())}", file=sys.stderr)
        return 2
    except WorkerCrashError as exc:
        # Notes say how the work can be continued.
        said = [exc.in_short, exc.todo, *getattr(exc, "__notes__", ())]
        print(f"eightbit: {'; '.join(said)}", file=sys.stderr)
        return 2
    except typer.Abort:
        print("eightbit: aborted", file=sys.stderr)
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
