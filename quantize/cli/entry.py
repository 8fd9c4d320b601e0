"""The program ``eightbit``: runs a command and returns its exit code.

Exit codes: 0 done; 1 a gate failed; 2 bad input or usage, a place that cannot be written, or a
process that runs a model died, in one line; 128 and the number of a signal that ended it. A
traceback is a bug.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final

import typer

from eightbit.benchmarks.processes.process import WorkerCrashError, with_short_spins
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.quantize.cli import streams
from eightbit.quantize.cli.quantize import app
from eightbit.quantize.disk import takes_no_more

# Everything was done; with 1 a gate failed.
_DONE: Final = (0, 1)

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

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
    except MemoryError:
        _say("memory ran out: make room, or give fewer images or --threads")
        return 2
    except Exception as exc:
        failed = exc if isinstance(exc, OSError) else takes_no_more(exc)
        if failed is None:
            raise
        where = "a file" if failed.filename is None else str(failed.filename)
        reason = failed.strerror or str(failed)
        _say(
            f"{where}: cannot be read or written: {reason}; check the path, its "
            "permissions and the room there"
        )
        return 2
    return code if isinstance(code, int) else 0


def run() -> None:
    """The entry point of the installed command."""
    os.environ.update(with_short_spins(os.environ))
    # torch's C++ says once more, on stderr, which of its types are deprecated.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    ended = _Ended()
    try:
        streams.prepare()
        ended.watch()
        code = main()
        sys.stdout.flush()
    except InputError as exc:
        _say(str(exc))
        code = 2
    except KeyboardInterrupt:  # while it loaded
        code = 130
    ended.over()
    # A signal that came too late to stop the work, or in a place that lets no exception out, ended
    # nothing: what was written is whole, and the exit code is its own.
    if ended.by is not None and code not in _DONE:
        _say(f"ended by {ended.by.name}")
        code = 128 + ended.by
    sys.exit(code)


class _Ended:
    """Signals that end the program as Ctrl-C does, with everything cleaned up; only the first does.

    Attributes:
        by: The first that came.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def watch(self) -> None:
        """Take the signals, but for those that whoever started the program has it ignore."""
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._end)

    def over(self) -> None:
        """Leave what is left of the program alone."""
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.by is None:
            self.by = signal.Signals(number)
            raise KeyboardInterrupt


def _say(message: str) -> None:
    line = one_line(message, limit=len(message) * 10)
    if len(line) > _HEAD + _TAIL:
        line = f"{line[:_HEAD]} ... {line[-_TAIL:]}"
    print(f"eightbit: {line}", file=sys.stderr)
