"""The process behind an `IsolatedRunner`: loads a model, answers requests until its input ends.

Usage: python -P -m eightbit.benchmarks.processes.worker PATH THREADS EXECUTION, which is JSON
"""

import sys
from functools import partial
from pathlib import Path
from time import perf_counter_ns

from eightbit.benchmarks.artifact.onnx_file import read_by_parent
from eightbit.benchmarks.artifact.trust import trust_as_told
from eightbit.benchmarks.processes.calls import settle, walk
from eightbit.benchmarks.processes.channel import (
    Action,
    Reply,
    Request,
    claim_standard_streams,
    receive,
    send,
)
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.feed import FileRunner
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable


def main(path: Path, threads: int, execution: Execution) -> None:
    """Serves requests from standard input until it is closed, as it is when the parent dies."""
    inbox, outbox = claim_standard_streams()
    trust_as_told()
    read_by_parent()
    try:
        runner = open_runner(path, threads, execution)
    except InputError as exc:
        send(outbox, Reply(input_error=printable(str(exc))))
        return
    send(outbox, Reply(feed=runner.feed))
    while True:
        try:
            request, batch = receive(inbox, Request)
        except EOFError:
            return
        try:
            reply, logits = _answer(runner, request, batch)
        except InputError as exc:
            reply, logits = Reply(input_error=printable(str(exc))), None
        send(outbox, reply, logits)


def _answer(
    runner: FileRunner, request: Request, batch: AnyArray | None
) -> tuple[Reply, FloatArray | None]:
    if request.action is Action.PEAK_RSS:
        return Reply(peak_rss_bytes=peak_rss_bytes()), None
    if batch is None:
        raise InputError(f"{request.action}: expected a batch, found none")
    if request.action is Action.RUN:
        return Reply(), runner(batch)
    return Reply(seconds=_seconds(runner, request, batch)), None


def _seconds(runner: FileRunner, request: Request, batch: AnyArray) -> tuple[float, ...]:
    if request.action is Action.WALK:
        return walk(batch.tobytes(), runner)
    if request.action is Action.SETTLE:
        return tuple(settle(partial(_time, runner, batch), max_seconds=request.max_seconds))
    return tuple(_time(runner, batch) for _ in range(request.repeats))


def _time(runner: FileRunner, batch: AnyArray) -> float:
    start = perf_counter_ns()
    runner(batch)
    return (perf_counter_ns() - start) / 1e9


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Execution.model_validate_json(sys.argv[3]))
