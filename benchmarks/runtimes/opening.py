"""Opening a model file in the runtime that it is for, or in another that can execute it."""

from pathlib import Path
from pkgutil import resolve_name

from eightbit.benchmarks.artifact.formats import format_of
from eightbit.benchmarks.artifact.metadata import Artifact
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.feed import FileRunner
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable


def open_runner(
    artifact: Artifact | Path, threads: int, execution: Execution | None = None
) -> FileRunner:
    """Loads a model file in this process, for at least 1 thread per call.

    Only the runtime that executes it is imported. The instruction set and the processor of the
    execution are those of the process: see `isolated.IsolatedRunner`.

    Raises:
        InputError: The runtime is not installed, or cannot load the file on this machine.
    """
    path = artifact.path if isinstance(artifact, Artifact) else artifact
    execution = execution or Execution(runtime=format_of(path).runtime)
    if not execution.runtime.is_installed:
        raise InputError(f"{printable(str(path))}: {execution.runtime.not_installed}")
    options = {name: getattr(execution, name) for name in execution.runtime.options}
    runner: FileRunner = resolve_name(execution.runtime.runner)(path, threads, **options)
    return runner
