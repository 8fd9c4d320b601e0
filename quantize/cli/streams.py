"""The standard streams of the program: what cannot be written is an error in one line."""

import io
import os
import signal
import sys
from typing import Any, Final

from eightbit.models.errors import InputError

# What a shell tells of a program that a reader left alone.
_READER_GONE: Final = 128 + signal.SIGPIPE


class _Output(io.FileIO):
    """Standard output. The first failure is raised, and nothing is written after it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._failed = False

    def write(self, data: Any, /) -> int:
        """See `io.RawIOBase`; InputError if it cannot be written, an exit if nobody reads."""
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._failed = True
            sys.exit(_READER_GONE)
        except OSError as exc:
            self._failed = True
            raise InputError(
                f"standard output: cannot be written: {exc.strerror}; send it elsewhere: what a "
                "command made is in its place"
            ) from exc


class _Messages(io.FileIO):
    """Standard error. Where it cannot be written, messages are lost, and the work goes on."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: Any, /) -> int:
        """See `io.RawIOBase`."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Make the standard streams such, for this process.

    A stream that is closed is opened on the null device: a file that is opened would otherwise get
    its number, and whatever a library prints.

    Raises:
        InputError: Standard output is closed.
    """
    is_closed = sys.stdout is None
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    if isinstance(sys.stdout, io.TextIOWrapper | None):
        sys.stdout = _text(_Output(1), sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper | None):
        sys.stderr = _text(_Messages(2), sys.stderr)
    if is_closed:
        raise InputError(
            "standard output: expected it open, found it closed; send it to a file or to "
            f"{os.devnull}"
        )


def _text(raw: io.FileIO, before: io.TextIOWrapper | None) -> io.TextIOWrapper:
    # A terminal that lacks a letter of a class name shows a question mark instead.
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors="replace",
        line_buffering=raw.isatty() or isinstance(raw, _Messages),
    )
