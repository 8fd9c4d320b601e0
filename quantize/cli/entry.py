"""The program ``eightbit``: runs a command and returns its exit code.

Exit codes: 0 done; 1 a gate failed; 2 bad input or usage, a place that cannot be written, or a
process that runs a model died, in one line; 128 and the number of a signal that ended it. A
traceback is a bug.
"""

import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
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

# How often it is asked whether an interruption is still on its way.
_ASKED_EVERY_S: Final = 0.2


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
    except KeyboardInterrupt:
        ended.over()  # while the interruption is still held
        code = 130
    ended.over()
    # A signal that came too late to stop the work ended nothing: what was written is whole, and the
    # exit code is its own.
    if ended.by is not None and code not in _DONE:
        _say(f"ended by {ended.by.name}")
        code = 128 + ended.by
    sys.exit(code)


class _Interruption(KeyboardInterrupt):
    """The one that a signal raises; a class of Python's own can be referred to weakly."""


def _but_interruptions(
    tell: Callable[["sys.UnraisableHookArgs"], object],
) -> Callable[["sys.UnraisableHookArgs"], object]:
    """`tell` of exceptions that a finaliser kept, but not of an interruption: it is raised anew."""

    def hook(kept: "sys.UnraisableHookArgs") -> None:
        if not issubclass(kept.exc_type, _Interruption):
            tell(kept)

    return hook


class _Ended:
    """Signals that end the program as Ctrl-C does, with everything cleaned up; only the first does.

    A place that lets no exception out, as a finaliser or a library's bare `except`, would lose it;
    as soon as nobody holds the interruption any more, it is raised anew.

    Attributes:
        by: The first that came.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._raised: weakref.ref[_Interruption] | None = None
        self._over = threading.Event()

    def watch(self) -> None:
        """Take the signals, but for those that whoever started the program has it ignore."""
        sys.unraisablehook = _but_interruptions(sys.unraisablehook)
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._end)

    def over(self) -> None:
        """Leave what is left of the program alone."""
        self._over.set()
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.by is None:
            self.by = signal.Signals(number)
            threading.Thread(target=self._insist, args=[self.by], daemon=True).start()
        if self._raised is None or self._raised() is None:
            raise self._interruption()

    def _interruption(self) -> _Interruption:
        interruption = _Interruption()
        self._raised = weakref.ref(interruption)
        return interruption

    def _insist(self, number: signal.Signals) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while not self._over.wait(_ASKED_EVERY_S):
            if self._raised is not None and self._raised() is None:
                signal.pthread_kill(main, number)


def _say(message: str) -> None:
    line = one_line(message, limit=len(message) * 10)
    if len(line) > _HEAD + _TAIL:
        line = f"{line[:_HEAD]} ... {line[-_TAIL:]}"
    print(f"eightbit: {line}", file=sys.stderr)
